# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of a server: list, attach, detach.

A port has one address and belongs to one server. So a server gets another
fixed IP with another interface, and loses it with that interface.
"""

import ipaddress
from typing import Any
from typing import Final

import orjson

from minova import exception
from minova import network
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import requested_networks
from minova.api.schemas import interfaces as schemas
from minova.api.views import Document
from minova.api.views import servers as server_views
from minova.db.connections.engine import Connection
from minova.db.queries import networks
from minova.db.queries import ports
from minova.engine import begin
from minova.exception import serialization
from minova.network import NetworkRequest
from minova.network import Nic
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.objects.operation_params import InterfaceParams
from minova.quotas import checks
from minova.states import POWERED_ON

#: The first microversion that shows tags.
_SHOWS_TAG: Final = 70


# -- showing -----------------------------------------------------------------


def index(request: ApiRequest, server_id: str) -> Document:
    """List the interfaces of a server."""
    row = request.get_server(server_id)
    return {
        'interfaceAttachments': [_view(request, row, n) for n in _nics(row)]
    }


def show(request: ApiRequest, server_id: str, port_id: str) -> Document:
    """Show one interface."""
    row = request.get_server(server_id)
    nic = _require_nic(_nics(row), server_id, port_id)
    return {'interfaceAttachment': _view(request, row, nic)}


def _nics(row: server_views.ServerRow) -> list[Nic]:
    found: list[Nic] = orjson.loads(row.network_info)
    return found


def _view(
    request: ApiRequest, row: server_views.ServerRow, nic: Nic
) -> Document:
    subnet_id = network.get_subnet_id(nic['network_id'])
    found: Document = {
        'net_id': nic['network_id'],
        'port_id': nic['id'],
        'mac_addr': nic['mac'],
        'port_state': 'ACTIVE' if row.power_state in POWERED_ON else 'DOWN',
        'fixed_ips': [
            {'subnet_id': subnet_id, 'ip_address': one['address']}
            for one in nic['addresses']
        ],
    }
    if request.version >= _SHOWS_TAG:
        found['tag'] = nic.get('tag')
    return found


def _require_nic(nics: list[Nic], server_id: str, port_id: str) -> Nic:
    for nic in nics:
        if nic['id'] == port_id:
            return nic
    raise exception.PortNotFound(
        port_id=port_id[:64], where=f' on server {server_id}'
    )


# -- attaching ---------------------------------------------------------------


def create(request: ApiRequest, server_id: str) -> Document:
    """Attach an interface; the reply waits until the guest has it.

    When that takes longer than a request may, the operation continues.
    """
    requested = request.body['interfaceAttachment']
    begun = _begin_attachment(
        request, server_id, 'attach_interface', requested
    )
    nic = InterfaceParams.narrow(begun.operation.params).nic
    ended = request.run(begun)
    if ended is not None and ended.state != records.DONE:
        raise _attach_error(server_id, ended)
    return {
        'interfaceAttachment': _view(
            request, request.get_server(server_id), nic
        )
    }


def _attach_error(
    server_id: str, ended: records.Operation
) -> exception.InterfaceAttachFailed:
    reason = 'the operation was ended'
    if ended.error is not None:
        reason = str(serialization.decode(ended.error))
    return exception.InterfaceAttachFailed(
        instance_id=server_id, reason=reason
    )


def add_fixed_ip(request: ApiRequest, server_id: str) -> None:
    """Attach an interface in a network, as ``create`` does."""
    network_id = str(request.body['addFixedIp']['networkId'])
    request.run(
        _begin_attachment(
            request, server_id, 'add_fixed_ip', {'net_id': network_id}
        )
    )


def _begin_attachment(
    request: ApiRequest,
    server_id: str,
    kind: str,
    requested: dict[str, Any],
) -> begin.Begun:
    _require_consistent(requested)

    def prepare(connection: Connection, instance: Instance) -> InterfaceParams:
        _require_room(instance, requested.get('tag'))
        if requested.get('port_id') is not None:
            raise _port_error(connection, instance, requested['port_id'])
        nic = _allocate(connection, instance, requested)
        return InterfaceParams(nic=nic, is_new=True)

    return ports.retry_on_duplicate(
        lambda: request.begin(kind, server_id, prepare)
    )


def _require_consistent(requested: dict[str, Any]) -> None:
    if requested.get('net_id') and requested.get('port_id'):
        raise exception.InvalidInput(
            'Name either net_id or port_id, not both: a port is in one '
            'network.'
        )
    if requested.get('fixed_ips') and not requested.get('net_id'):
        raise exception.InvalidInput(
            'Name the net_id of the network in which the server gets the '
            'address of fixed_ips.'
        )


def _require_room(instance: Instance, tag: str | None) -> None:
    nics = instance.network_info
    if len(nics) >= requested_networks.MAX_NICS:
        raise exception.InvalidInput(
            f'A server has at most {requested_networks.MAX_NICS} interfaces; '
            'detach one first.'
        )
    if tag is not None and any(nic.get('tag') == tag for nic in nics):
        raise exception.InvalidInput(
            f'Another interface of the server has the tag {tag}.'
        )


def _port_error(
    connection: Connection, instance: Instance, port_id: str
) -> exception.MinovaException:
    """Return why a port cannot be attached: each belongs to a server."""
    port = ports.get(connection, port_id.lower())
    if port is None or port.project_id != instance.project_id:
        return exception.PortNotFound(port_id=port_id, where='')
    return exception.PortInUse(port_id=port_id, instance_id=port.instance_uuid)


def _allocate(
    connection: Connection, instance: Instance, requested: dict[str, Any]
) -> Nic:
    """Allocate the port of a new interface; return its NIC."""
    project = instance.project_id
    quota = checks.ServerQuota(connection, project, instance.user_id)
    service = network.load()
    wanted = _find_network(connection, project, requested)
    selected = service.select(connection, project, [wanted])
    service.count_that_fits(connection, project, quota.ports, selected, 1, 1)
    try:
        ((nic,),) = service.allocate(
            connection, project, selected, [instance.uuid]
        )
    except exception.AddressInUse as error:
        raise exception.FixedIpAlreadyInUse(**error.kwargs) from error
    return nic


def _find_network(
    connection: Connection, project_id: str, requested: dict[str, Any]
) -> NetworkRequest:
    """Return the requested network, or the only one of a project."""
    network_id = requested.get('net_id')
    ids = None if network_id is None else [network_id.lower()]
    found = networks.list_for_project(connection, project_id, ids, limit=2)
    if network_id is not None and not found:
        raise exception.NotFound(
            f'Network {network_id[:64]} could not be found.'
        )
    if not found:
        raise exception.InvalidInput(
            'No network was named, and the project can use none.'
        )
    if len(found) > 1:
        raise exception.InvalidInput(
            'Multiple possible networks found; name the net_id of one.'
        )
    address = None
    for fixed_ip in requested.get('fixed_ips', ()):
        address = str(ipaddress.ip_address(fixed_ip['ip_address']))
    return NetworkRequest(found[0].id, address, requested.get('tag'))


# -- detaching ---------------------------------------------------------------


def delete(request: ApiRequest, server_id: str, port_id: str) -> None:
    """Detach an interface; the reply waits until the guest has released it.

    Clients detach the interfaces of a server one after the other. When the
    guest takes longer than a request may, the operation continues.
    """

    def prepare(connection: Connection, instance: Instance) -> InterfaceParams:
        nic = _require_nic(instance.network_info, server_id, port_id)
        return InterfaceParams(nic=nic)

    request.run(request.begin('detach_interface', server_id, prepare))


def remove_fixed_ip(request: ApiRequest, server_id: str) -> None:
    """Detach the interface that has an address, as ``delete`` does."""
    address = ipaddress.ip_address(request.body['removeFixedIp']['address'])

    def prepare(connection: Connection, instance: Instance) -> InterfaceParams:
        for nic in instance.network_info:
            for one in nic['addresses']:
                if ipaddress.ip_address(one['address']) == address:
                    return InterfaceParams(nic=nic)
        raise exception.InvalidInput(
            f'Server {server_id} has no fixed IP address {address}.'
        )

    request.run(request.begin('remove_fixed_ip', server_id, prepare))


_RULE: Final = 'os_compute_api:os-attach-interfaces'
_ALL: Final = '/servers/{server_id}/os-interface'
_ONE: Final = f'{_ALL}/{{port_id}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list'),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.ATTACH),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 202),
)
