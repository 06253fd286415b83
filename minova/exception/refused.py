# SPDX-License-Identifier: Apache-2.0
"""What is turned down before anything was changed, by HTTP status."""

from typing import Any

from minova.exception.base import Refused

# -- 400 --------------------------------------------------------------------


class InvalidInput(Refused):
    """The request cannot be meant as it stands."""

    msg_fmt = 'Invalid input received: %(reason)s'


class NoValidHost(Refused):
    """No host can take the instance."""

    msg_fmt = 'No valid host was found. %(reason)s'


class MigrationPreCheckError(Refused):
    """A check before a migration failed; the guest was not touched."""

    msg_fmt = 'Migration pre-check error: %(reason)s'


class UnknownDestination(MigrationPreCheckError):
    """The wanted destination is no compute host."""

    msg_fmt = 'Compute host %(host)s could not be found.'


class UnableToMigrateToSelf(MigrationPreCheckError):
    """The wanted destination is where the instance already is."""

    msg_fmt = (
        'Unable to migrate instance (%(instance_id)s) to current host '
        '(%(host)s). Name another one, or none.'
    )


class InvalidCPUInfo(MigrationPreCheckError):
    """The destination's CPU lacks what the guest was given."""

    msg_fmt = 'Unacceptable CPU info: %(reason)s'


class InvalidHypervisorType(MigrationPreCheckError):
    """Source and destination run different kinds of hypervisor."""

    msg_fmt = (
        'The supplied hypervisor type is invalid: the source runs '
        '%(source)s, the destination %(destination)s.'
    )


class DestinationHypervisorTooOld(MigrationPreCheckError):
    """A guest cannot move to an older hypervisor."""

    msg_fmt = (
        'The instance requires a newer hypervisor version than has been '
        'provided: the source runs %(source)s, the destination '
        '%(destination)s.'
    )


class InvalidSharedStorage(MigrationPreCheckError):
    """Block migration was asked for, and both hosts share the disk."""

    msg_fmt = '%(path)s is on shared storage: %(reason)s'


class InvalidLocalStorage(MigrationPreCheckError):
    """Shared storage was asked for, and the hosts do not share it."""

    msg_fmt = '%(path)s is not on shared storage: %(reason)s'


class ComputeServiceUnavailable(MigrationPreCheckError):
    """A host that is needed does not answer."""

    msg_fmt = 'Compute service of %(host)s is unavailable at this time.'


class NetworkNotFound(InvalidInput):
    """A server was to be attached to what is no network of its project's."""

    msg_fmt = 'Network %(network_id)s could not be found.'


class AddressNotUsable(InvalidInput):
    """No guest may have this address in this network."""

    msg_fmt = (
        'Fixed IP address %(address)s cannot be used in network %(network)s: '
        '%(reason)s.'
    )


class AddressInUse(InvalidInput):
    """The address is another one's."""

    msg_fmt = (
        'Fixed IP address %(address)s of network %(network)s is already in '
        'use.'
    )


class NoMoreAddresses(InvalidInput):
    """All addresses that a network gives out are given out."""

    msg_fmt = 'Network %(network)s has not enough free addresses.'


class FlavorDiskTooSmall(InvalidInput):
    """The image or the current disk does not fit the flavor."""

    msg_fmt = "Flavor's disk is too small for requested image. %(reason)s"


class FlavorMemoryTooSmall(InvalidInput):
    """The image asks for more memory than the flavor has."""

    msg_fmt = "Flavor's memory is too small for requested image. %(reason)s"


class ImageNotActive(InvalidInput):
    """The image cannot be booted yet."""

    msg_fmt = 'Image %(image_id)s is not active.'


class CannotResizeToSameFlavor(InvalidInput):
    """A resize that would change nothing."""

    msg_fmt = (
        'The server has the flavor %(flavor)s already; name the one that it '
        'is to be resized to.'
    )


class CannotResizeDisk(InvalidInput):
    """A disk is never made smaller."""

    msg_fmt = (
        'Server disk was unable to be resized because: %(reason)s Resize to a '
        'flavor with a root disk of at least %(root_gb)s GB.'
    )


class ConsoleTypeUnavailable(InvalidInput):
    """A guest has no screen of the kind that is asked for."""

    msg_fmt = 'There is no %(console_type)s console here: %(reason)s'


# -- 401, 403 ---------------------------------------------------------------


class Unauthorized(Refused):
    """Nobody known is asking."""

    msg_fmt = 'The request you have made requires authentication.'
    status = 401


class Forbidden(Refused):
    """Policy says no."""

    msg_fmt = "Policy doesn't allow %(action)s to be performed."
    status = 403


class QuotaExceeded(Forbidden):
    """The project has used what it may."""

    msg_fmt = (
        'Quota exceeded for %(overs)s: Requested %(requested)s, but already '
        'used %(used)s of %(allowed)s %(overs)s'
    )


class KeyPairLimitExceeded(Forbidden):
    """The user has as many key pairs as a user may have."""

    msg_fmt = 'Quota exceeded, too many key pairs: a user may have %(limit)s.'


# -- 404 --------------------------------------------------------------------


class NotFound(Refused):
    """There is no such thing."""

    msg_fmt = 'Resource could not be found.'
    status = 404


class InstanceNotFound(NotFound):
    """No such instance, or not the asker's."""

    msg_fmt = 'Instance %(instance_id)s could not be found.'


class KeyPairNotFound(NotFound):
    """The user has no such key pair."""

    msg_fmt = 'Keypair %(name)s not found for user %(user_id)s'


class FlavorNotFound(NotFound):
    """No such flavor."""

    msg_fmt = 'Flavor %(flavor_id)s could not be found.'


class ImageNotFound(NotFound):
    """No such image."""

    msg_fmt = 'Image %(image_id)s could not be found.'


class HostNotFound(NotFound):
    """No compute service has ever reported from there."""

    msg_fmt = 'Compute host %(host)s could not be found.'


class ServiceNotFound(NotFound):
    """No such service."""

    msg_fmt = 'Service %(service_id)s could not be found.'


class MigrationNotFound(NotFound):
    """No such migration of that instance."""

    msg_fmt = (
        'Migration %(migration_id)s not found for instance %(instance_id)s.'
    )


class ConsoleTokenNotFound(NotFound):
    """No such token, or none that still counts; which, nobody is told."""

    msg_fmt = (
        'The token is not valid: it is unknown, has expired, or its instance '
        'is gone. Ask for a new console.'
    )


class InstanceActionNotFound(NotFound):
    """No operation with that request id."""

    msg_fmt = (
        'Action for request_id %(request_id)s on instance %(instance_id)s '
        'not found'
    )


# -- 406, 409, 413, 501, 503 ------------------------------------------------


class OperationNotFound(NotFound):
    """No operation with that id, none begun by a request with that id."""

    msg_fmt = 'Operation %(name)s could not be found.'


class NotAcceptable(Refused):
    """The microversion lies outside of what is spoken here."""

    msg_fmt = (
        'Version %(requested)s is not supported by the API. Minimum is '
        '%(minimum)s and maximum is %(maximum)s.'
    )
    status = 406


class Conflict(Refused):
    """The state of things forbids it now."""

    msg_fmt = 'Conflict: %(reason)s'
    status = 409


class InstanceInvalidState(Conflict):
    """The state table does not let this operation begin."""

    msg_fmt = (
        "Cannot '%(operation)s' instance %(instance_id)s while it is in "
        '%(attribute)s %(state)s; %(needed)s'
    )

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        # The release before does not say what is needed.
        needed = {'needed': 'it must be in another state'}
        super().__init__(message, **needed | kwargs)


class KeyPairExists(Conflict):
    """The user has a key pair of that name."""

    msg_fmt = "Key pair '%(name)s' already exists."


class InstanceNotReady(Conflict):
    """What is asked of the guest needs one that is there, or runs."""

    msg_fmt = 'Instance %(instance_id)s is not ready: %(reason)s'


class NetworkAmbiguous(Conflict):
    """A server is to be on the one network, and there are several."""

    msg_fmt = (
        'There are several networks that the server may be attached to; name '
        'the ones it shall have, with their UUIDs.'
    )


class FlavorExists(Conflict):
    """The flavor's id is taken."""

    msg_fmt = 'Flavor with ID %(flavor_id)s already exists.'


class FlavorNameExists(Conflict):
    """The flavor's name is taken."""

    msg_fmt = 'Flavor with name %(name)s already exists.'


class Stale(Conflict):
    """The one who writes no longer owns what he writes to.

    Raised to a worker whose step was taken over, preempted or ended: it
    changes nothing any more and puts away what it was doing.
    """

    msg_fmt = (
        '%(what)s is no longer held by %(holder)s: another operation or a '
        'newer start of the service has taken over.'
    )


class Superseded(Stale):
    """Another start of a compute has registered, and is not heard of.

    A message of a process that is gone may come late: whoever is told this
    and lives may register anew.
    """


class TooLarge(Refused):
    """The body is larger than the api reads."""

    msg_fmt = 'The request body is larger than %(limit)s bytes.'
    status = 413


class NotSupported(Refused):
    """The hypervisor that is asked does not do this at all."""

    msg_fmt = '%(reason)s'
    status = 501


class Unavailable(Refused):
    """Something that must answer does not; nothing was begun."""

    msg_fmt = '%(what)s is unavailable at this time: %(reason)s'
    status = 503
    wire_class = 'Unavailable'


class NoConsumer(Unavailable):
    """The broker has no queue, or no consumer, for a message."""


class RpcTimeout(Unavailable):
    """A message was sent, and not answered in its time."""


class UnsupportedVersion(Unavailable):
    """The other side does not know what is asked for, or is taken not to."""

    status = 501


class CommitUncertain(Unavailable):
    """The database did not confirm a commit: it is done wholly or not."""
