# SPDX-License-Identifier: Apache-2.0
"""The audit: compares the database, hosts, queues and images, and repairs.

================== ===========================================================
findings           the table of rules, and the class of a finding
snapshot           the rows and host contents, and what explains a difference
guest_rules        rules about guests and disks
allocation_rules   rules about allocations
placement_rules    rules about the NUMA cells and CPUs of guests
port_rules         rules about ports
interface_rules    rules about the interfaces of guests
image_rules        rules about the images of snapshots
operation_rules    rules about operations, steps, task states and migrations
notification_rules rules about notifications
service_rules      rules about services, hosts and queues
examine            all rules, applied to one snapshot
confirmed_scan     two scans, of which the second confirms the first
preconditions      the check that a finding still holds, before its repair
operation_repairs  repairs of operations, steps and migrations
counter_repairs    repairs of allocations and sequence numbers
port_repairs       repairs of ports
state_repairs      repairs of what a vm_state needs in the row
repair             the repair of a finding, by name
================== ===========================================================

``examine`` is a pure function of a snapshot and never writes. Only ``repair``
writes, under the same locks and fences as every other writer.
"""

from minova.audit.examine import examine
from minova.audit.findings import Finding
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.db.queries.audit_snapshot import read_snapshot

__all__ = ['DatabaseSnapshot', 'Finding', 'examine', 'read_snapshot']
