# SPDX-License-Identifier: Apache-2.0
"""The database: connections, tables, migrations and queries.

============ =================================================================
types        column types that mean the same on every database
tables/      the tables and their archive tables
connections/ transactions, timeouts and error classes
schema       the schema version that this release requires
migrate      schema upgrades with Alembic
migrations/  the schema upgrades themselves
queries/     the statements, one module per entity
============ =================================================================

The api, the conductor and minova-manage use the database; a compute never
loads this package. No module here makes decisions: ``states`` holds the rules
and ``engine`` runs the transactions.
"""
