# SPDX-License-Identifier: Apache-2.0
"""What every error is: a text, a status, one of two kinds."""

from typing import Any
from typing import ClassVar


class MinovaException(Exception):
    """An error with a text made from ``msg_fmt`` and keyword arguments.

    The arguments are kept in ``kwargs``: they, not the text, travel.
    """

    msg_fmt: ClassVar[str] = 'An unknown error occurred.'
    status: ClassVar[int] = 500
    #: The class as which it crosses RPC, if that is not its own: a service of
    #: the release before does not know a class that was added since.
    wire_class: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        return self.msg_fmt % self.kwargs


class Refused(MinovaException):
    """The request was turned down before anything was changed."""

    status = 400


class Failed(MinovaException):
    """Something was begun and did not succeed."""
