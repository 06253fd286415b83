# SPDX-License-Identifier: Apache-2.0
"""The errors with status 501 and 503: it cannot be done here or now."""

from typing import ClassVar

from minova.exception.base import Refused


class NotSupported(Refused):
    """The hypervisor does not support the request."""

    msg_fmt = '%(reason)s'
    status = 501


class Unavailable(Refused):
    """A required service does not answer; nothing has begun."""

    msg_fmt = '%(what)s is unavailable at this time: %(reason)s'
    status = 503
    wire_class: ClassVar[str | None] = 'Unavailable'


class NoConsumer(Unavailable):
    """The broker has no queue, or no consumer, for the message."""


class RpcTimeout(Unavailable):
    """The answer to a message did not arrive in time."""


class UnsupportedVersion(Unavailable):
    """The peer does not know the method, or is pinned not to."""

    status = 501


class MessageRefused(Unavailable):
    """A service did not accept a message: its proof is missing or not valid.

    The sender repeats it with a new proof, as after any Unavailable, until an
    operator has enrolled the host.
    """

    msg_fmt = '%(what)s refused the message: %(reason)s'
    # The sender acts on it.
    wire_class = None


class CommitUncertain(Unavailable):
    """The database did not confirm a commit: it may have happened."""
