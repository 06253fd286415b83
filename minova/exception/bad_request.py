# SPDX-License-Identifier: Apache-2.0
"""The errors with status 400: the request is wrong or cannot be met."""

from collections.abc import Mapping

from minova.exception.base import Refused


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


class InvalidAggregateAction(InvalidInput):
    """A host aggregate cannot be changed in this way."""

    msg_fmt = (
        'Cannot %(action)s aggregate %(aggregate_id)s. Reason: %(reason)s.'
    )


class ComputeServiceInUse(InvalidInput):
    """The host of an evacuation is up."""

    msg_fmt = (
        'Compute service of %(host)s is still in use. Its last heartbeat is '
        '%(age).0f s old, and it counts as down in %(left).0f s. Migrate the '
        'server instead, or power the host off and force its service down.'
    )


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


class ImageNUMATopologyRebuildConflict(InvalidInput):
    """The image requires other CPUs; clients match the text."""

    msg_fmt = (
        "An instance's NUMA topology cannot be changed as part of a rebuild. "
        'The image provided is invalid for this instance.'
    )


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
