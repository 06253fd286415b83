# SPDX-License-Identifier: Apache-2.0
"""The conductor: it schedules, runs transactions for computes and recovers.

================= ============================================================
service           one conductor: its parts, its start and stop
manager           the methods of the RPC interface
scheduler         the selection of a host
host_candidate    a host, and what one selection requires of it
host_filters      the filters that every selection passes
placement_filters the filters that an option enables
spec_operators    the operators in the values of extra specs
host_query        the conditions of the scheduler hint ``query``
weighers          which of the hosts that pass the filters is the best
power_sync        what a difference between hypervisor and database leads to
host_liveness     which hosts this conductor takes to be down
host_fencing      the fencing of a host that is down, once until it returns
fence_agent       the programs that fence hosts
sweeper           periodic recovery of open steps and overdue operations
usage_audit       one notification for each instance and audit period
reclaim           the delete of servers that were soft-deleted some time ago
shelved           the offload of servers that were shelved some time ago
================= ============================================================

Any number of equal replicas run. A lease in the database holds the work that
one replica does at a time: publishing notifications and sweeping.
"""
