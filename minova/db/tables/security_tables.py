# SPDX-License-Identifier: Apache-2.0
"""The keys and messages of RPC, and the tokens of consoles."""

import sqlalchemy as sa

from minova.db import types
from minova.db.tables.base import Id
from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

# The public keys of computes. Who reads them cannot act for a host.
host_keys = sa.Table(
    'host_keys',
    metadata,
    sa.Column('host', Name, primary_key=True),
    # NULL: the host has not shown its key yet; its token must come with it.
    sa.Column('public_key', sa.String(64)),
    sa.Column('enrolled_at', types.UtcDateTime),
    sa.Column('revoked_at', types.UtcDateTime),
    sa.Column('token_hash', sa.String(64)),
    sa.Column('token_expires_at', types.UtcDateTime),
)

# The key pair of api, conductors and minova-manage, which share the database.
control_plane_keys = sa.Table(
    'control_plane_keys',
    metadata,
    sa.Column('name', Keyword, primary_key=True),
    sa.Column('private_key', sa.String(64), nullable=False),
)

# The messages that no conductor may accept again, until they are too old.
used_messages = sa.Table(
    'used_messages',
    metadata,
    sa.Column('digest', sa.String(64), primary_key=True),
    sa.Column('expires_at', types.UtcDateTime, nullable=False, index=True),
)

#: The table holds hashes only: no token can be read from it.
console_tokens = sa.Table(
    'console_tokens',
    metadata,
    sa.Column('id', types.Serial, primary_key=True),
    sa.Column('token_hash', sa.String(64), nullable=False, unique=True),
    sa.Column('instance_uuid', Id, nullable=False, index=True),
    sa.Column('console_type', Keyword, nullable=False),
    sa.Column('created_at', types.UtcDateTime, nullable=False),
    sa.Column('expires_at', types.UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)
