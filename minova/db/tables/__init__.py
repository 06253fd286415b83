# SPDX-License-Identifier: Apache-2.0
"""The tables. The object of the same name documents the columns.

================ =============================================================
module           what it holds
================ =============================================================
base             the metadata of all tables, and the lengths of strings
instance_tables  instances, tags, operations, steps, outbox, migrations, faults
host_tables      services, hosts, allocations, leases
placement_tables host aggregates, server groups
flavor_tables    flavors, their projects, key pairs
network_tables   networks, ports
quota_tables     quotas, quota classes, their locks
security_tables  keys of hosts, used messages, tokens of consoles
archive_tables   the archive tables
usage_tables     audits of the usage of instances
================ =============================================================

A value has its own column when a query filters, sorts or fences by it, or
shows it in a list; all other values are in a JSON column of the row. Callers
write ``tables.NAME``, so no two tables may have the same name.
"""

# Wildcards, because a list of names would name each table a second time.
from minova.db.tables.archive_tables import *  # noqa: F403,H303
from minova.db.tables.base import metadata as metadata
from minova.db.tables.flavor_tables import *  # noqa: F403,H303
from minova.db.tables.host_tables import *  # noqa: F403,H303
from minova.db.tables.instance_tables import *  # noqa: F403,H303
from minova.db.tables.network_tables import *  # noqa: F403,H303
from minova.db.tables.placement_tables import *  # noqa: F403,H303
from minova.db.tables.quota_tables import *  # noqa: F403,H303
from minova.db.tables.security_tables import *  # noqa: F403,H303
from minova.db.tables.usage_tables import *  # noqa: F403,H303
