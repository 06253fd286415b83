# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry point: run the schema upgrades on the given engine."""

from alembic import context

from minova.db import tables

engine = context.config.attributes['engine']

with engine.connect() as connection:
    if connection.dialect.name == 'sqlite':
        # Serializes two services that start at once and create the tables.
        connection.info['in_transaction'] = True
        connection.exec_driver_sql('BEGIN IMMEDIATE')
    context.configure(
        connection=connection,
        target_metadata=tables.metadata,
        user_module_prefix='types.',
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
