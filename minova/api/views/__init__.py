# SPDX-License-Identifier: Apache-2.0
"""The documents in replies, as the Compute API reference describes them.

================== =========================================================
links              links to resources and to the next page of a list
times              times in the format of the API
flavors            flavors, and the flavor inside a server
servers            servers: status, host, addresses, faults
diagnostics        what a hypervisor counts of a server
topology           the NUMA topology of a server
images             images, for clients of the first versions
instance_actions   the actions of a server and their events
migrations         migrations, and live migrations in progress
hypervisors        hypervisors and their totals
tenant_usage       the usage of projects
usage_audit_log    the log of a usage audit
================== =========================================================

A view is a function of typed objects and of database rows; it reads nothing
itself.
"""

#: The document of a reply, or an object in it.
Document = dict[str, object]
