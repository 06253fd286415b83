# SPDX-License-Identifier: Apache-2.0
"""The errors with status 406, 409 and 413."""

from minova.exception.base import Refused


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


class InstanceAgentNotEnabled(Conflict):
    """The image or the flavor of the guest has no guest agent."""

    msg_fmt = (
        'Guest agent is not enabled for the instance: its image has '
        'hw_qemu_guest_agent=no. Use an image with the agent.'
    )


class OperationNotSupportedForVTPM(Conflict):
    """The operation would lose the state of the server's TPM."""

    msg_fmt = (
        "Operation '%(operation)s' not supported for vTPM-enabled instance "
        '(%(instance_id)s): the keys in its TPM would be lost. Stop, resize '
        'or migrate the server instead.'
    )


class PasswordNotDelivered(Conflict):
    """The host did not get the new password; the guest has the old one."""

    msg_fmt = (
        'Failed to set admin password on %(instance_id)s because the password '
        'did not reach %(host)s; the guest has the old one. Set it again.'
    )


class UnshelveInstanceInvalidState(Conflict):
    """Only an offloaded server can be unshelved at another place."""

    msg_fmt = (
        'Specifying an availability zone or a host is not possible for '
        'instance %(instance_id)s, which is %(state)s and still on its host. '
        'Leave them out, or have an administrator offload it before.'
    )


class UnshelveHostNotInAZ(Conflict):
    """The requested host is not in the zone of the server."""

    msg_fmt = (
        'Host %(host)s is not in the availability zone '
        '%(availability_zone)s. Name a host of that zone, or request another '
        'zone, or null for any.'
    )


class ZonePinRefused(Conflict):
    """A server can only be pinned to the zone where it is."""

    msg_fmt = (
        'Server %(instance_id)s cannot be pinned to the availability zone '
        '%(zone)s: it is pinned to %(pinned)s and is in %(current)s. End its '
        'pin with null; then pin it to the zone in which it is.'
    )


class ShelvedImageMissing(Conflict):
    """The image of a shelved server was deleted."""

    msg_fmt = (
        'Instance %(instance_id)s cannot be unshelved: its image '
        '%(image_id)s does not exist. Restore the image or delete the server.'
    )


class HostDown(Conflict):
    """The compute of a host that the operation needs is down."""

    msg_fmt = (
        "Cannot '%(operation)s' instance %(instance_id)s while the compute "
        'service of its host is down. Repeat the request when the host is '
        'back.'
    )


class HostNotFenced(Conflict):
    """A host is down, but its guests may still run."""

    msg_fmt = (
        'Host %(host)s sends no heartbeats, but its guests may still run and '
        'write to their disks. Power it off, force its service down '
        '(openstack compute service set --down %(host)s nova-compute), and '
        'evacuate again.'
    )


class DiskNotShared(Conflict):
    """An evacuation needs the lock of a shared disk, and has a local one."""

    msg_fmt = (
        'Host %(host)s sends no heartbeats, and may still run instance '
        '%(instance_id)s: host %(dest)s does not share its disk, whose lock '
        'would prove that it does not. Power %(host)s off, force its service '
        'down (openstack compute service set --down %(host)s nova-compute), '
        'and evacuate again.'
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


class AggregateNameExists(Conflict):
    """Another host aggregate has the name."""

    msg_fmt = 'Aggregate %(name)s already exists.'


class AggregateHostExists(Conflict):
    """The host is in the aggregate already."""

    msg_fmt = 'Aggregate %(aggregate_id)s already has host %(host)s.'


class AggregateHostRefused(Conflict):
    """The aggregate can neither get nor lose the host now."""

    msg_fmt = (
        'Cannot %(action)s host %(host)s in aggregate %(aggregate_id)s. '
        'Reason: %(reason)s.'
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


class FixedIpAlreadyInUse(Conflict):
    """Another port has the address that an attachment names."""

    msg_fmt = (
        'Fixed IP address %(address)s is already in use in network '
        '%(network)s; choose another one, or name none.'
    )


class PortInUse(Conflict):
    """The port belongs to a server already."""

    msg_fmt = (
        'Port %(port_id)s is still in use by server %(instance_id)s; name '
        'a network instead, which gives the server a port of its own.'
    )
