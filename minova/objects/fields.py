# SPDX-License-Identifier: Apache-2.0
"""The field types of the objects, short enough to read as a table."""

import datetime
from typing import Any

from oslo_versionedobjects import fields


def text(nullable: bool = False) -> Any:
    """Return a field for text."""
    return fields.StringField(nullable=nullable)


def integer(nullable: bool = False) -> Any:
    """Return a field for a whole number."""
    return fields.IntegerField(nullable=nullable)


def floating(nullable: bool = False) -> Any:
    """Return a field for a floating-point number."""
    return fields.FloatField(nullable=nullable)


def boolean() -> Any:
    """Return a field for true or false."""
    return fields.BooleanField()


class _UtcDateTime(fields.FieldType[datetime.datetime]):
    """A time with its microseconds, which the library's own field drops."""

    def coerce(self, obj: Any, attr: str, value: Any) -> datetime.datetime:
        if not isinstance(value, datetime.datetime) or value.tzinfo is None:
            raise ValueError(
                f'{attr} is {value!r}; it must be a datetime with a time zone'
            )
        return value

    def to_primitive(self, obj: Any, attr: str, value: Any) -> str:
        return str(value.isoformat())

    def from_primitive(
        self, obj: Any, attr: str, value: Any
    ) -> datetime.datetime:
        return datetime.datetime.fromisoformat(value)

    def get_schema(self) -> dict[str, Any]:
        return {'type': ['string'], 'format': 'date-time'}


def utc_datetime() -> Any:
    """Return a field for an aware UTC datetime or None."""
    return fields.Field(_UtcDateTime(), nullable=True)


def object_of(kind: str, nullable: bool = False) -> Any:
    """Return a field for another object."""
    return fields.ObjectField(kind, nullable=nullable)


def list_of(kind: str) -> Any:
    """Return a field for a list of objects."""
    return fields.ListOfObjectsField(kind)


class _Json(fields.FieldType[Any]):
    """Any JSON value, unchanged."""

    def coerce(self, obj: Any, attr: str, value: Any) -> Any:
        return value

    def to_primitive(self, obj: Any, attr: str, value: Any) -> Any:
        return value

    def from_primitive(self, obj: Any, attr: str, value: Any) -> Any:
        return value

    def get_schema(self) -> dict[str, Any]:
        return {}


def json(nullable: bool = False) -> Any:
    """Return a field for a dict or list of plain values."""
    return fields.Field(_Json(), nullable=nullable)
