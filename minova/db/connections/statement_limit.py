# SPDX-License-Identifier: Apache-2.0
"""A time limit for a single statement, below that of the connection.

It is for statements whose cost depends on the text of a user, such as a
regular expression: the server must not work on one for as long as it may work
on a large query. SQLite has no such limit; see ``user_regex``.
"""

from typing import Any
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import event

Q = TypeVar('Q', bound=sa.Executable)

_OPTION = 'minova_seconds'


def limit(query: Q, seconds: float) -> Q:
    """Return the query, which the server ends after ``seconds``.

    ``error_classes.is_statement_timeout`` recognizes the error.
    """
    return query.execution_options(**{_OPTION: seconds})


def install(engine: sa.Engine, longest: float | None) -> None:
    """Enforce the limits of the statements of an engine.

    ``longest`` is the limit of every statement of its connections in seconds,
    which a single one never exceeds; None: there is none.
    """
    if engine.dialect.name == 'sqlite':
        return

    def apply(
        connection: sa.Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> tuple[str, Any]:
        seconds = context.execution_options.get(_OPTION) if context else None
        if seconds is None:
            return statement, parameters
        seconds = seconds if longest is None else min(seconds, longest)
        if engine.dialect.name == 'postgresql':
            # Until the end of the transaction, in milliseconds.
            cursor.execute(
                f'SET LOCAL statement_timeout = {round(seconds * 1000)}'
            )
        elif getattr(engine.dialect, 'is_mariadb', False):
            statement = (
                f'SET STATEMENT max_statement_time = {seconds:.3f} '
                f'FOR {statement}'
            )
        else:
            hint = f'/*+ MAX_EXECUTION_TIME({round(seconds * 1000)}) */'
            statement = statement.replace('SELECT', f'SELECT {hint}', 1)
        return statement, parameters

    event.listen(engine, 'before_cursor_execute', apply, retval=True)
