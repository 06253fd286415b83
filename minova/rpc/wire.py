# SPDX-License-Identifier: Apache-2.0
"""How values and errors look on the wire.

Values are JSON, objects in their versioned form. An error travels as class
name, text and arguments and is built anew from ``minova.exception`` only:
whoever sends something else is answered by an OperationFailed that quotes it.
"""

from collections.abc import Mapping
import inspect
from typing import Any

from minova import exception
from minova.objects.base import Object

_OBJECT = 'minova_object.name'
_PLAIN = (str, int, float, bool, type(None))


def encode(value: Any, versions: Mapping[str, str] | None = None) -> Any:
    """Return ``value`` as JSON can carry it; objects in lists too.

    ``versions`` as for ``Object.to_wire``.
    """
    if isinstance(value, Object):
        return value.to_wire(versions)
    if isinstance(value, list | tuple):
        return [encode(item, versions) for item in value]
    return value


def decode(value: Any) -> Any:
    """Return what ``encode`` was given."""
    if isinstance(value, dict) and _OBJECT in value:
        return Object.from_wire(value)
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def encode_error(error: BaseException) -> dict[str, Any]:
    """Return an error's wire form."""
    if not isinstance(error, exception.MinovaException):
        error = exception.OperationFailed(
            cause=type(error).__name__, reason=str(error)
        )
    return {
        'class': error.travels_as or type(error).__name__,
        'message': error.message,
        'kwargs': {
            name: value if isinstance(value, _PLAIN) else str(value)
            for name, value in error.kwargs.items()
        },
    }


def decode_error(form: Mapping[str, Any]) -> exception.MinovaException:
    """Return the error that a wire form stands for."""
    name = str(form.get('class'))
    known = getattr(exception, name, None)
    if inspect.isclass(known) and issubclass(known, exception.MinovaException):
        error: exception.MinovaException = known(
            form.get('message'), **form.get('kwargs', {})
        )
        return error
    return exception.OperationFailed(
        cause=name, reason=str(form.get('message'))
    )
