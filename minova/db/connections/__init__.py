# SPDX-License-Identifier: Apache-2.0
"""Connections: the engine, its timeouts, its errors and its clock.

=============== ==============================================================
engine          the Database object: transactions, retries, circuit breaker
timeouts        client and server timeouts of a connection, by driver
sqlite_writers  writers of a SQLite database: none of them starves
statement_limit a shorter timeout for a single statement
user_regex      regular expressions of users, bounded in each database
error_classes   which errors allow a retry, and which mean an outage
clock_offset    the offset between this machine's clock and the database's
=============== ==============================================================
"""
