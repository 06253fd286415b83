# SPDX-License-Identifier: Apache-2.0
"""The field types of the objects, made from the annotations of a class."""

import datetime
import inspect
import types
from typing import Any
from typing import get_args
from typing import get_origin
from typing import TypeGuard

from oslo_versionedobjects import base
from oslo_versionedobjects import fields


class _UtcDateTime(fields.FieldType[datetime.datetime]):
    """A time with its microseconds, which the library's own field drops."""

    def coerce(
        self, obj: object, attr: str, value: object
    ) -> datetime.datetime:
        if not isinstance(value, datetime.datetime) or value.tzinfo is None:
            raise ValueError(
                f'{attr} is {value!r}; it must be a datetime with a time zone'
            )
        return value

    def to_primitive(
        self, obj: object, attr: str, value: datetime.datetime
    ) -> str:
        return value.isoformat()

    def from_primitive(
        self, obj: object, attr: str, value: object
    ) -> datetime.datetime:
        return datetime.datetime.fromisoformat(str(value))

    def get_schema(self) -> dict[str, object]:
        return {'type': ['string'], 'format': 'date-time'}


class _Json(fields.FieldType[object]):
    """A JSON value, unchanged."""

    def coerce(self, obj: object, attr: str, value: object) -> object:
        return value

    def to_primitive(self, obj: object, attr: str, value: object) -> object:
        return value

    def from_primitive(self, obj: object, attr: str, value: object) -> object:
        return value

    def get_schema(self) -> dict[str, object]:
        return {}


_SCALARS: dict[type, type[fields.FieldType[Any]]] = {
    str: fields.String,
    int: fields.Integer,
    float: fields.Float,
    bool: fields.Boolean,
    datetime.datetime: _UtcDateTime,
}


def from_annotations(cls: type) -> dict[str, fields.Field[Any]]:
    """Return the fields that the class itself annotates.

    ``X | None`` is nullable. An object or a list of objects is encoded in its
    versioned form, also when it is of a subclass; another dict or list must
    hold plain JSON values. Raises TypeError for other annotations.
    """
    hints = inspect.get_annotations(cls, eval_str=True)
    return {name: _field(hint) for name, hint in hints.items()}


def names_of_objects(known: dict[str, fields.Field[Any]]) -> tuple[str, ...]:
    """Return the names of the fields whose value is an object."""
    return tuple(
        name
        for name, field in known.items()
        if isinstance(field, fields.ObjectField)
    )


def _field(hint: object) -> fields.Field[Any]:
    options = get_args(hint) if isinstance(hint, types.UnionType) else [hint]
    nullable = types.NoneType in options
    (kind,) = (option for option in options if option is not types.NoneType)
    container, items = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return fields.Field(_SCALARS[kind](), nullable=nullable)
    if container is None and _is_object(kind):
        return fields.ObjectField(
            kind.__name__, subclasses=True, nullable=nullable
        )
    if container is list and _is_object(items[0]):
        return fields.ListOfObjectsField(items[0].__name__, subclasses=True)
    if container in (dict, list):
        return fields.Field(_Json(), nullable=nullable)
    raise TypeError(f'no field type for {hint}')


def _is_object(kind: object) -> TypeGuard[type[base.VersionedObject]]:
    return inspect.isclass(kind) and issubclass(kind, base.VersionedObject)
