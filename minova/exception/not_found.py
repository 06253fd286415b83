# SPDX-License-Identifier: Apache-2.0
"""The errors with status 404 and 410."""

from minova.exception.base import Refused


class NotFound(Refused):
    """There is no such resource."""

    msg_fmt = 'Resource could not be found.'
    status = 404


class Gone(Refused):
    """The Compute API has removed the resource."""

    msg_fmt = (
        'The Compute API no longer has this resource. Use a newer client.'
    )
    status = 410


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


class AggregateNotFound(NotFound):
    """There is no such host aggregate."""

    msg_fmt = 'Aggregate %(aggregate_id)s could not be found.'


class ServerGroupNotFound(NotFound):
    """There is no such server group in the project."""

    msg_fmt = 'Instance group %(group_id)s could not be found.'


class HostNotFound(NotFound):
    """No compute service has ever registered with this host name."""

    msg_fmt = 'Compute host %(host)s could not be found.'


class ServiceNotFound(NotFound):
    """No such service."""

    msg_fmt = 'Service %(service_id)s could not be found.'


class PortNotFound(NotFound):
    """The server has no such port, or the project none."""

    msg_fmt = 'Port %(port_id)s could not be found%(where)s.'


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


class OperationNotFound(NotFound):
    """There is no operation with that id or request id."""

    msg_fmt = 'Operation %(name)s could not be found.'
