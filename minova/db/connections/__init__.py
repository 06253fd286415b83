# SPDX-License-Identifier: Apache-2.0
"""Connections: the engine, its timeouts, its errors and its clock.

============= ================================================================
engine        the Database object: transactions, retries, the circuit breaker
timeouts      client and server timeouts of a connection, by driver
error_classes which errors allow a retry, and which mean an outage
clock_offset  the offset between this machine's clock and the database's
============= ================================================================
"""
