# SPDX-License-Identifier: Apache-2.0
"""Host aggregates and server groups."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Id
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

aggregates = sa.Table(
    'aggregates',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', Id, nullable=False, unique=True),
    sa.Column('name', Name, nullable=False, unique=True),
    sa.Column('metadata', types.Json, nullable=False),
    sa.Column('notification_seq', sa.Integer, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('updated_at', types.UtcDateTime),
    sqlite_autoincrement=True,
)

aggregate_hosts = sa.Table(
    'aggregate_hosts',
    metadata,
    sa.Column(
        'aggregate_id', sa.Integer, primary_key=True, autoincrement=False
    ),
    sa.Column('host', Name, primary_key=True),
    sa.Index(None, 'host'),
)

server_groups = sa.Table(
    'server_groups',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', Id, nullable=False, unique=True),
    sa.Column('project_id', Name, nullable=False),
    sa.Column('user_id', Name, nullable=False),
    sa.Column('name', Name, nullable=False),
    sa.Column('policy', Keyword, nullable=False),
    sa.Column('rules', types.Json, nullable=False),
    sa.Column('notification_seq', sa.Integer, nullable=False),
    # Changed by each claim, so that claims for members are serialized.
    sa.Column('claims', sa.BigInteger, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Index(None, 'project_id'),
    sqlite_autoincrement=True,
)

server_group_members = sa.Table(
    'server_group_members',
    metadata,
    sa.Column('instance_uuid', Id, primary_key=True),
    sa.Column('group_id', sa.Integer, nullable=False, index=True),
)
