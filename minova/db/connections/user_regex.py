# SPDX-License-Identifier: Apache-2.0
"""Regular expressions of users: none may occupy a service or a database.

SQLite has no regular expressions of its own; SQLAlchemy lends it those of
Python, which backtrack: a pattern of 20 characters can occupy the process for
hours. RE2 never backtracks, and releases the interpreter while it searches.

MariaDB backtracks too, and checks the time limit of a statement between rows
only, so each search has a limit of its own. PostgreSQL checks its time limit
during a search.
"""

import functools
import sqlite3
from typing import Any

import re2
import sqlalchemy as sa

#: The steps of one search in MariaDB from one position, an option of PCRE.
_MARIADB_LIMIT = '(*LIMIT_MATCH=50000)'
#: The warning of MariaDB for a search that exceeded them.
_REGEXP_ERROR = 1139

_options = re2.Options()
# An invalid pattern is an error of a user, not of the service.
_options.log_errors = False


@functools.lru_cache(64)
def compile_pattern(pattern: str) -> Any:
    """Return the compiled pattern; ValueError if it is invalid."""
    try:
        return re2.compile(pattern, _options)
    except re2.error as error:
        (text,) = error.args
        reason = text.decode() if isinstance(text, bytes) else str(text)
        raise ValueError(reason) from error
    except UnicodeEncodeError as error:
        raise ValueError('it is not valid Unicode') from error


def _is_found(pattern: str, text: str | None) -> bool | None:
    """Return whether a text contains a match; None for NULL."""
    if text is None:
        return None
    return compile_pattern(pattern).search(str(text)) is not None


def bound(connection: sa.Connection, pattern: str) -> str:
    """Return a pattern whose searches are bounded in this database."""
    return f'{_MARIADB_LIMIT}{pattern}' if _is_mariadb(connection) else pattern


def was_abandoned(connection: sa.Connection) -> bool:
    """Return whether the last statement abandoned a search at its limit.

    MariaDB reports such a row as one without a match.
    """
    if not _is_mariadb(connection):
        return False
    warnings = connection.exec_driver_sql('SHOW WARNINGS').all()
    return any(code == _REGEXP_ERROR for _, code, _ in warnings)


def _is_mariadb(connection: sa.Connection) -> bool:
    return bool(getattr(connection.dialect, 'is_mariadb', False))


def install(connection: sqlite3.Connection) -> None:
    """Replace the operator REGEXP of a connection."""
    connection.create_function('regexp', 2, _is_found, deterministic=True)
