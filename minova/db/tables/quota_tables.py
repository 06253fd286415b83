# SPDX-License-Identifier: Apache-2.0
"""The limits of projects and users."""

import sqlalchemy as sa

from minova.db.tables.base import Keyword
from minova.db.tables.base import metadata
from minova.db.tables.base import Name

# Limits that differ from the defaults. user_id '': the limits of the project.
quotas = sa.Table(
    'quotas',
    metadata,
    sa.Column('project_id', Name, primary_key=True),
    sa.Column('user_id', Name, primary_key=True),
    sa.Column('resource', Keyword, primary_key=True),
    sa.Column('hard_limit', sa.Integer, nullable=False),
)

# The class "default" has the defaults that differ from the options.
quota_classes = sa.Table(
    'quota_classes',
    metadata,
    sa.Column('class_name', Name, primary_key=True),
    sa.Column('resource', Keyword, primary_key=True),
    sa.Column('hard_limit', sa.Integer, nullable=False),
)

# A row for each project or user whose usage was counted.
quota_locks = sa.Table(
    'quota_locks',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    # Changed by each holder, so that the nodes of Galera conflict as well.
    sa.Column('holders', sa.BigInteger, nullable=False),
)
