# SPDX-License-Identifier: Apache-2.0
"""The audits of the usage of instances."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

# A row for each period and host. host '': the period as a whole, and its
# instances without a host.
usage_audits = sa.Table(
    'usage_audits',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('period_beginning', types.UtcDateTime, nullable=False),
    sa.Column('period_ending', types.UtcDateTime, nullable=False),
    sa.Column('host', Name, nullable=False),
    sa.Column('state', Keyword, nullable=False),
    # The instances whose notification was written.
    sa.Column('instances', sa.Integer, nullable=False),
    sa.Column('started_at', types.UtcDateTime, nullable=False),
    sa.Column('finished_at', types.UtcDateTime),
    sa.UniqueConstraint('period_ending', 'period_beginning', 'host'),
    sqlite_autoincrement=True,
)
