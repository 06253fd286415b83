# SPDX-License-Identifier: Apache-2.0
"""The errors of operations that had begun."""

from minova.exception.base import Failed


class OperationFailed(Failed):
    """A step failed with an error that is not one of Minova's."""

    msg_fmt = '%(cause)s: %(reason)s'


class DeadlineExceeded(Failed):
    """An operation has not ended before its deadline."""

    msg_fmt = 'The %(operation)s did not end before its deadline: %(reason)s'


class HostLost(Failed):
    """A host went down, and the operation does not wait for it."""

    msg_fmt = 'Host %(host)s went down during %(step)s. %(left)s'


class FenceFailed(Failed):
    """The program that fences a host did not fence it."""

    msg_fmt = (
        'Host %(host)s is not fenced, so its servers stay there: %(agent)s '
        '%(reason)s. Repair the fencing and evacuate again, or power the host '
        'off and force its service down.'
    )


class Preempted(Failed):
    """A delete, an evacuation or a reset preempted the operation."""

    msg_fmt = 'The %(operation)s was preempted by a %(by)s of the instance.'


class ResetToError(Failed):
    """An administrator has reset the state of an instance to error."""

    msg_fmt = 'An administrator reset the state to error%(preempted)s.'


class Abandoned(Failed):
    """An operator has abandoned the operation."""

    msg_fmt = (
        'The %(operation)s was abandoned by an operator%(reason)s. %(left)s'
    )


class Cancelled(Failed):
    """A user has requested the abort of the operation."""

    msg_fmt = 'The %(operation)s was aborted on request.'


class RebuildFailed(Failed):
    """A rebuild was rolled back or given up."""

    msg_fmt = 'The rebuild failed; the server %(left)s. %(reason)s'


class GuestFailed(Failed):
    """The hypervisor failed, or lost a guest."""

    msg_fmt = 'Instance %(instance_id)s: %(reason)s'


class InstancePasswordSetFailed(Failed):
    """The guest agent did not set the password, or did not say so."""

    status = 409
    msg_fmt = (
        'Failed to set admin password on %(instance_id)s because %(reason)s'
    )


class HypervisorUnavailable(GuestFailed):
    """The hypervisor could not be reached, so the call changed nothing."""


class DiskFailed(GuestFailed):
    """A disk is missing, or writing to it failed."""


class DiskMissing(DiskFailed):
    """The disks of a guest are not on its host."""


class DiskTransferInterrupted(DiskFailed):
    """The other host did not answer; it keeps the part that it has received.

    The step is retried until the deadline of the operation.
    """


class GuestMigrationFailed(GuestFailed):
    """The live migration failed; the guest runs on the source."""


class OutcomeUncertain(GuestFailed):
    """The outcome of a call to the hypervisor is not known.

    The step is retried; it must not be undone before the outcome is known.
    """

    msg_fmt = (
        'Instance %(instance_id)s: the outcome of the %(operation)s is not '
        'known: %(reason)s'
    )


class ConfigInvalid(Failed):
    """The configuration does not allow the process to start."""

    msg_fmt = 'Configuration error: %(reason)s'


class InterfaceAttachFailed(Failed):
    """An interface could not be attached; its port is released."""

    msg_fmt = (
        'Failed to attach an interface to server %(instance_id)s: %(reason)s'
    )
