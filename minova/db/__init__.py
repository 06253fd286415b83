# SPDX-License-Identifier: Apache-2.0
"""The database: tables, migrations and every query that is asked of it.

Used by the api, the conductor and minova-manage; a compute never loads it.
Nothing here decides: rules stand in ``states.py``, what happens in a
transaction in ``operations/``.
"""
