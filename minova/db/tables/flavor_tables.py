# SPDX-License-Identifier: Apache-2.0
"""What users choose for a server: flavors and key pairs."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

flavors = sa.Table(
    'flavors',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('flavorid', Name, nullable=False, unique=True),
    sa.Column('name', Name, nullable=False, unique=True),
    sa.Column('description', sa.Text),
    sa.Column('vcpus', sa.Integer, nullable=False),
    sa.Column('memory_mb', sa.Integer, nullable=False),
    sa.Column('root_gb', sa.Integer, nullable=False),
    sa.Column('ephemeral_gb', sa.Integer, nullable=False),
    sa.Column('swap_mb', sa.Integer, nullable=False),
    sa.Column('rxtx_factor', sa.Double, nullable=False),
    sa.Column('is_public', sa.Boolean, nullable=False),
    sa.Column('disabled', sa.Boolean, nullable=False),
    sa.Column('extra_specs', types.Json, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

# The projects that may use a flavor that is not public.
flavor_projects = sa.Table(
    'flavor_projects',
    metadata,
    sa.Column('flavor_id', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('project_id', Name, primary_key=True),
    sa.Index(None, 'project_id'),
)

key_pairs = sa.Table(
    'key_pairs',
    metadata,
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('user_id', Name, nullable=False),
    sa.Column('name', Name, nullable=False),
    sa.Column('type', Keyword, nullable=False),
    sa.Column('public_key', sa.Text, nullable=False),
    sa.Column('fingerprint', Name, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.UniqueConstraint('user_id', 'name'),
    sqlite_autoincrement=True,
)
