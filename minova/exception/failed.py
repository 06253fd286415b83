# SPDX-License-Identifier: Apache-2.0
"""What was begun and did not succeed."""

from minova.exception.base import Failed


class OperationFailed(Failed):
    """A step ended with an error of another program; this carries its text."""

    msg_fmt = '%(cause)s: %(reason)s'


class DeadlineExceeded(Failed):
    """An operation did not end in its time."""

    msg_fmt = 'The %(operation)s did not end in its time: %(reason)s'


class HostLost(Failed):
    """A host went away and cannot be waited for."""

    msg_fmt = 'Host %(host)s went away while it ran %(step)s. %(left)s'


class Preempted(Failed):
    """An operation was ended by one that needs nobody's leave."""

    msg_fmt = 'The %(operation)s was ended by a %(by)s of the instance.'


class Abandoned(Failed):
    """An operator did not want to wait for its end any more."""

    msg_fmt = (
        'The %(operation)s was abandoned by an operator%(reason)s. %(left)s'
    )


class Cancelled(Failed):
    """Somebody asked for it to stop."""

    msg_fmt = 'The %(operation)s was aborted on request.'


class GuestFailed(Failed):
    """The hypervisor refused something or lost a guest."""

    msg_fmt = 'Instance %(instance_id)s: %(reason)s'


class DiskFailed(GuestFailed):
    """A disk is missing or could not be written."""


class DiskMissing(DiskFailed):
    """Disks that a guest had are nowhere on its host."""


class DiskTransferInterrupted(DiskFailed):
    """The other host did not answer; what has arrived there is kept.

    The step is tried again, until the operation's deadline.
    """


class GuestMigrationFailed(GuestFailed):
    """The hypervisor did not move the guest; it goes on at the source."""


class OutcomeUncertain(GuestFailed):
    """The hypervisor does not say what came of what it was asked to do.

    The step is tried again: nothing may be taken back before it is known.
    """

    msg_fmt = (
        'Instance %(instance_id)s: it is not known what came of the '
        '%(operation)s: %(reason)s'
    )


class ConfigInvalid(Failed):
    """The configuration keeps a process from starting."""

    msg_fmt = 'Configuration error: %(reason)s'
