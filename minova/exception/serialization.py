# SPDX-License-Identifier: Apache-2.0
"""Errors as JSON: how they cross RPC, and stand in operations and steps.

An error is written as class name, text and arguments, and is built anew from
``minova.exception`` only: what is something else there becomes an
OperationFailed that quotes it.
"""

from collections.abc import Mapping
import inspect
from typing import Any

from minova import exception

_PLAIN = (str, int, float, bool, type(None))


def encode(error: BaseException) -> dict[str, Any]:
    """Return an error's written form."""
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
    """Return the error that a written form stands for."""
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
