# SPDX-License-Identifier: Apache-2.0
"""The audit: what in the records and on the hosts breaks the invariants.

========= ==================================================================
findings  the table of what may be found, and what is done about each
view      the records and the stocks, and what explains what
stock     rules about guests and disks
rooms     rules about allocations
addresses rules about ports, and their repairs
courses   rules about operations, steps, task states and moves
told      rules about notifications
services  rules about services and their queues
looks     two looks, so that what is in flight is not misreported
repair    each repair, by the product's own means
========= ==================================================================

``examine`` is a pure function over rows and stocks, however these were
gathered. It never writes; only ``repair`` does, under the locks and fences of
every other writer.
"""

from minova.audit.examine import examine
from minova.audit.findings import Finding
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.db.queries.audit_snapshot import read_snapshot

__all__ = ['DatabaseSnapshot', 'Finding', 'examine', 'read_snapshot']
