# SPDX-License-Identifier: Apache-2.0
"""Column types that mean the same on SQLite, MariaDB and PostgreSQL.

``now()`` is the time of the database's clock, which all services share. The
aliases name what SQLAlchemy does not type by column.
"""

from collections.abc import Mapping
import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression
from sqlalchemy.sql import type_api
from sqlalchemy.sql.compiler import SQLCompiler

from minova.objects.base import Object

#: The columns of a row by name, read or to be written.
Values = Mapping[str, Any]
#: A SELECT with any columns.
Query = sa.Select[Any]
#: A column or expression of any type.
Column = sa.ColumnElement[Any]
#: The condition of a WHERE.
Condition = sa.ColumnElement[bool]

#: The bytes of a character in UTF-8, at most.
_MAX_UTF8_BYTES = 4


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """A time in microseconds: aware in Python, naive UTC in the database."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> type_api.TypeEngine[Any]:
        """Return the column's type; MariaDB drops microseconds by default."""
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Convert an aware time to naive UTC."""
        if value is None:
            return None
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Convert naive UTC to an aware time."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class ExactString(sa.types.TypeDecorator[str]):
    """A text that equals only itself: case and blanks at the end count.

    The collations of MariaDB and MySQL ignore at least one of these, so these
    databases store bytes.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int) -> None:
        """Take the maximum number of characters."""
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> type_api.TypeEngine[Any]:
        """Return the column's type."""
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(
                mysql.VARBINARY(self.length * _MAX_UTF8_BYTES)
            )
        return dialect.type_descriptor(sa.String(self.length))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Convert a text to what the column stores."""
        if value is not None and dialect.name in ('mysql', 'mariadb'):
            return value.encode()
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Convert a stored value to a text."""
        return value.decode() if isinstance(value, bytes) else value


class Json(sa.types.TypeDecorator[Any]):
    """A dict or list as JSON text; no query reads inside."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> type_api.TypeEngine[Any]:
        """Return the column's type; TEXT of MariaDB ends at 64 kB."""
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.MEDIUMTEXT())
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(
        self, value: object, dialect: Dialect
    ) -> str | None:
        """Serialize a value; None stays NULL."""
        if value is None:
            return None
        return orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Deserialize a value."""
        return None if value is None else orjson.loads(value)


class VersionedObject(Json):
    """A versioned object, or a list of them, in the wire form."""

    cache_ok = True

    def process_bind_param(
        self, value: object, dialect: Dialect
    ) -> str | None:
        """Write the wire form; None stays NULL."""
        wire: object = None
        if isinstance(value, list):
            wire = [item.to_wire() for item in value]
        elif value is not None:
            assert isinstance(value, Object), value
            wire = value.to_wire()
        return super().process_bind_param(wire, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read the wire form."""
        wire = super().process_result_value(value, dialect)
        if isinstance(wire, list):
            return [Object.from_wire(item) for item in wire]
        return None if wire is None else Object.from_wire(wire)


#: A 64-bit row number; SQLite autoincrements plain INTEGER columns only.
Serial = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


class now(expression.FunctionElement[datetime.datetime]):  # noqa: N801
    """The current time by the database's clock."""

    type = UtcDateTime()
    inherit_cache = True


@compiler.compiles(now, 'mysql')
@compiler.compiles(now, 'mariadb')
def _now_mysql(element: now, sql: SQLCompiler, **kw: object) -> str:
    return 'UTC_TIMESTAMP(6)'


@compiler.compiles(now, 'postgresql')
def _now_postgresql(element: now, sql: SQLCompiler, **kw: object) -> str:
    return "timezone('utc', clock_timestamp())"


@compiler.compiles(now, 'sqlite')
def _now_sqlite(element: now, sql: SQLCompiler, **kw: object) -> str:
    # ``connections.engine`` defines it, so that a simulation sets the time.
    return 'minova_now()'
