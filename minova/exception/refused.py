# SPDX-License-Identifier: Apache-2.0
"""The errors that changed nothing, ordered by HTTP status."""

from collections.abc import Mapping
from typing import ClassVar

from minova.exception.base import Refused

# -- 400 --------------------------------------------------------------------


class InvalidInput(Refused):
    """The request is malformed."""

    msg_fmt = 'Invalid input received: %(reason)s'


class NoValidHost(Refused):
    """No host can take the instance."""

    fault_status = 500
    msg_fmt = 'No valid host was found. %(reason)s'

    @classmethod
    def of_hosts(cls, reasons: Mapping[str, str]) -> 'NoValidHost':
        """Return the error with the reason of each host.

        The API shows the hosts to administrators only.
        """
        hosts = '; '.join(f'{host}: {reasons[host]}' for host in reasons)
        return cls(reason=f'There are not enough hosts available: {hosts}')


class MigrationPreCheckError(Refused):
    """A check before a migration failed; the guest was not touched."""

    msg_fmt = 'Migration pre-check error: %(reason)s'


class UnknownDestination(MigrationPreCheckError):
    """The requested destination is not a compute host."""

    msg_fmt = 'Compute host %(host)s could not be found.'


class UnableToMigrateToSelf(MigrationPreCheckError):
    """The requested destination is the host of the instance."""

    msg_fmt = (
        'Unable to migrate instance (%(instance_id)s) to current host '
        '(%(host)s). Request another host, or none.'
    )


class InvalidCPUInfo(MigrationPreCheckError):
    """The CPU of the destination lacks features of the guest's CPU."""

    msg_fmt = 'Unacceptable CPU info: %(reason)s'


class InvalidHypervisorType(MigrationPreCheckError):
    """Source and destination have different types of hypervisor."""

    msg_fmt = (
        'The supplied hypervisor type is invalid: the source runs '
        '%(source)s, the destination %(destination)s.'
    )


class DestinationHypervisorTooOld(MigrationPreCheckError):
    """The hypervisor of the destination is older than the source's."""

    msg_fmt = (
        'The instance requires a newer hypervisor version than has been '
        'provided: the source runs %(source)s, the destination '
        '%(destination)s.'
    )


class InvalidSharedStorage(MigrationPreCheckError):
    """Block migration was requested, but both hosts share the disk."""

    msg_fmt = '%(path)s is on shared storage: %(reason)s'


class InvalidLocalStorage(MigrationPreCheckError):
    """Shared storage was requested, but the hosts do not share any."""

    msg_fmt = '%(path)s is not on shared storage: %(reason)s'


class ComputeServiceUnavailable(MigrationPreCheckError):
    """The compute service of a host is down."""

    msg_fmt = 'Compute service of %(host)s is unavailable at this time.'


class NetworkNotFound(InvalidInput):
    """The project has no such network."""

    msg_fmt = 'Network %(network_id)s could not be found.'


class AddressNotUsable(InvalidInput):
    """No guest can have this address in this network."""

    msg_fmt = (
        'Fixed IP address %(address)s cannot be used in network %(network)s: '
        '%(reason)s.'
    )


class AddressInUse(InvalidInput):
    """Another port has the address."""

    msg_fmt = (
        'Fixed IP address %(address)s is already in use in network '
        '%(network)s.'
    )


class NoMoreAddresses(InvalidInput):
    """The network has no free addresses left."""

    msg_fmt = (
        'No fixed IP addresses available for network: %(network)s. Choose '
        'another network, or delete ports.'
    )


class FlavorDiskTooSmall(InvalidInput):
    """The disk of the flavor is smaller than the image needs."""

    msg_fmt = "Flavor's disk is too small for requested image. %(reason)s"


class FlavorDiskBelowMinimum(FlavorDiskTooSmall):
    """The disk of the flavor is smaller than the ``min_disk`` of the image."""

    msg_fmt = (
        "Flavor's disk is smaller than the minimum size specified in image "
        'metadata. %(reason)s'
    )


class FlavorMemoryTooSmall(InvalidInput):
    """The memory of the flavor is smaller than the image needs."""

    msg_fmt = "Flavor's memory is too small for requested image. %(reason)s"


class ImageNotActive(InvalidInput):
    """The image has no data yet."""

    msg_fmt = 'Image %(image_id)s is not active.'


class CannotResizeToSameFlavor(InvalidInput):
    """A resize to the flavor that the server has; clients match the text."""

    msg_fmt = 'When resizing, instances must change flavor!'


class CannotResizeDisk(InvalidInput):
    """The new flavor has a smaller disk; disks only grow."""

    msg_fmt = (
        'Server disk was unable to be resized because: the %(disk)s disk '
        'cannot be made smaller. Resize to a flavor with at least %(size)s GB '
        'of %(disk)s disk; flavor %(flavor)s has %(new_size)s GB.'
    )


class ConsoleTypeUnavailable(InvalidInput):
    """The guest has no console of the type; clients match the text.

    ``reason`` is for the log.
    """

    msg_fmt = 'Unavailable console type %(console_type)s.'


# -- 401, 403 ---------------------------------------------------------------


class Unauthorized(Refused):
    """The request has no valid token."""

    msg_fmt = 'The request you have made requires authentication.'
    status = 401


class Forbidden(Refused):
    """The policy does not allow the action."""

    msg_fmt = "Policy doesn't allow %(action)s to be performed."
    status = 403


class BootFromVolumeRequired(Forbidden):
    """Policy allows flavors without a root disk for volumes only."""

    msg_fmt = (
        'Only volume-backed servers are allowed for flavors with zero disk.'
    )


class QuotaExceeded(Forbidden):
    """The request exceeds the quota of the project."""

    msg_fmt = (
        'Quota exceeded for %(overs)s: Requested %(requested)s, but already '
        'used %(used)s of %(allowed)s %(overs)s'
    )


class PortLimitExceeded(QuotaExceeded):
    """The request exceeds the project's limit of ports."""

    msg_fmt = (
        'Maximum number of ports exceeded: Requested %(requested)s, but '
        'already used %(used)s of %(allowed)s ports. Delete servers, or have '
        'the operator raise the quota of ports.'
    )


class NetworkShareExceeded(QuotaExceeded):
    """The request exceeds the share of a project in a shared network."""

    msg_fmt = (
        'Quota exceeded for addresses of network %(network)s: Requested '
        '%(requested)s, but already used %(used)s of the %(allowed)s that one '
        'project may have in this shared network. Choose another network, or '
        'have the operator create a network for the project.'
    )


class KeyPairLimitExceeded(Forbidden):
    """The user has reached the limit of key pairs."""

    msg_fmt = 'Quota exceeded, too many key pairs. A user may have %(limit)s.'


# -- 404 --------------------------------------------------------------------


class NotFound(Refused):
    """There is no such resource."""

    msg_fmt = 'Resource could not be found.'
    status = 404


class InstanceNotFound(NotFound):
    """No such instance in the project of the request."""

    msg_fmt = 'Instance %(instance_id)s could not be found.'


class KeyPairNotFound(NotFound):
    """The user has no such key pair."""

    msg_fmt = 'Keypair %(name)s not found for user %(user_id)s'


class FlavorNotFound(NotFound):
    """No such flavor."""

    msg_fmt = 'Flavor %(flavor_id)s could not be found.'


class FlavorAccessNotFound(NotFound):
    """The project is not in the access list of the flavor."""

    msg_fmt = (
        'Flavor access not found for %(flavor_id)s / %(project_id)s '
        'combination.'
    )


class ImageNotFound(NotFound):
    """No such image."""

    msg_fmt = 'Image %(image_id)s could not be found.'


class HostNotFound(NotFound):
    """No compute service has ever registered with this host name."""

    msg_fmt = 'Compute host %(host)s could not be found.'


class ServiceNotFound(NotFound):
    """No such service."""

    msg_fmt = 'Service %(service_id)s could not be found.'


class MigrationNotFound(NotFound):
    """The instance has no such migration."""

    msg_fmt = (
        'Migration %(migration_id)s not found for instance %(instance_id)s.'
    )


class ConsoleTokenNotFound(NotFound):
    """The token is unknown or expired; the text does not say which."""

    msg_fmt = (
        'The token is not valid: it is unknown, has expired, or its instance '
        'was deleted. Request a new console.'
    )


class InstanceActionNotFound(NotFound):
    """The instance has no operation of that request id."""

    msg_fmt = (
        'Action for request_id %(request_id)s on instance %(instance_id)s '
        'not found'
    )


# -- 406, 409, 413, 501, 503 ------------------------------------------------


class OperationNotFound(NotFound):
    """There is no operation with that id or request id."""

    msg_fmt = 'Operation %(name)s could not be found.'


class NotAcceptable(Refused):
    """The requested microversion is outside the supported range."""

    msg_fmt = (
        'Version %(requested)s is not supported by the API. Minimum is '
        '%(minimum)s and maximum is %(maximum)s.'
    )
    status = 406


class Conflict(Refused):
    """The current state does not allow the request."""

    msg_fmt = 'Conflict: %(reason)s'
    status = 409


class InstanceInvalidState(Conflict):
    """The state table does not allow the operation to begin."""

    msg_fmt = (
        "Cannot '%(operation)s' instance %(instance_id)s while it is in "
        '%(attribute)s %(state)s; %(needed)s'
    )


class InstanceIsLocked(Conflict):
    """The instance is locked; only administrators may act on it."""

    msg_fmt = 'Instance %(instance_id)s is locked'


class HostDown(Conflict):
    """The compute of a host that the operation needs is down."""

    msg_fmt = (
        "Cannot '%(operation)s' instance %(instance_id)s while the compute "
        'service of its host is down. Repeat the request when the host is '
        'back.'
    )


class KeyPairExists(Conflict):
    """The user already has a key pair of that name."""

    msg_fmt = "Key pair '%(name)s' already exists."


class InstanceNotReady(Conflict):
    """The request needs a guest that exists, or that runs."""

    msg_fmt = 'Instance %(instance_id)s is not ready: %(reason)s'


class NetworkAmbiguous(Conflict):
    """The request names no network, and there are several."""

    msg_fmt = (
        'Multiple possible networks found, use a Network ID to be more '
        'specific.'
    )


class FlavorExists(Conflict):
    """Another flavor has the id."""

    msg_fmt = 'Flavor with ID %(flavor_id)s already exists.'


class FlavorNameExists(Conflict):
    """Another flavor has the name."""

    msg_fmt = 'Flavor with name %(name)s already exists.'


class FlavorAccessExists(Conflict):
    """The project is in the access list of the flavor already."""

    msg_fmt = (
        'Flavor access already exists for flavor %(flavor_id)s and project '
        '%(project_id)s combination.'
    )


class Stale(Conflict):
    """The writer no longer holds the step or the instance.

    A worker gets it when its step was taken over, preempted or ended. It then
    changes nothing and stops.
    """

    msg_fmt = (
        '%(what)s is no longer held by %(holder)s: another operation or a '
        'newer incarnation of the service has taken over.'
    )


class Superseded(Stale):
    """Another incarnation of the compute has registered and is silent.

    Its registration may be a late message of a dead process. The compute that
    gets this error may register again.
    """


class TooLarge(Refused):
    """The request body exceeds the limit."""

    msg_fmt = 'The request body is larger than %(limit)s bytes.'
    status = 413


class ImageStorageFull(Refused):
    """The disk of the embedded image service is full."""

    msg_fmt = (
        'Image storage media is full: %(reason)s. Delete images, or have the '
        'operator enlarge the disk of the image store; then repeat the upload.'
    )
    status = 413


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
