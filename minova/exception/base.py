# SPDX-License-Identifier: Apache-2.0
"""The base classes of the errors."""

from typing import Any
from typing import ClassVar


class MinovaException(Exception):
    """An error with a text, made of ``msg_fmt`` and keyword arguments.

    ``kwargs`` has the arguments, which cross RPC instead of the text. A
    ``message`` replaces the text.
    """

    msg_fmt: ClassVar[str] = 'An unknown error occurred.'
    status: ClassVar[int] = 500
    #: The code of the fault of an instance whose operation failed with it, if
    #: it is not the status with which the API refuses a request.
    fault_status: ClassVar[int | None] = None
    #: The name of the base class as which it crosses RPC: the cause of an
    #: outage is a matter of the service that sees it. None: its own class.
    wire_class: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.message = message
        super().__init__(message)

    @property
    def fault_code(self) -> int:
        """The code in the fault of an instance and in an ``.error``."""
        return self.fault_status or self.status

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        return self.msg_fmt % self.kwargs


class Refused(MinovaException):
    """The request was refused, and nothing was changed."""

    status = 400


class Failed(MinovaException):
    """An operation began and did not succeed."""
