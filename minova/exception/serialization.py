# SPDX-License-Identifier: Apache-2.0
"""Errors as JSON: in RPC answers, in operations and in steps.

The JSON form has the name of the class, the text and the arguments. Only the
classes of ``minova.exception`` are rebuilt from it: any other error becomes an
OperationFailed that quotes its text.
"""

from collections.abc import Mapping
import inspect
from typing import Any

from minova import exception

_PLAIN = (str, int, float, bool, type(None))


def encode(error: BaseException) -> dict[str, Any]:
    """Return the JSON form of an error."""
    if not isinstance(error, exception.MinovaException):
        error = exception.OperationFailed(
            cause=type(error).__name__, reason=str(error)
        )
    return {
        'class': error.wire_class or type(error).__name__,
        'message': error.message,
        'kwargs': {
            name: value if isinstance(value, _PLAIN) else str(value)
            for name, value in error.kwargs.items()
        },
    }


def decode(form: Mapping[str, Any]) -> exception.MinovaException:
    """Return the error of a JSON form."""
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
