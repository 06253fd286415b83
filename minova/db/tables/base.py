# SPDX-License-Identifier: Apache-2.0
"""What the tables share: their metadata and the lengths of strings."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'pk': 'pk_%(table_name)s',
    }
)

Id = sa.String(36)
Name = sa.String(255)
Keyword = sa.String(32)
