# SPDX-License-Identifier: Apache-2.0
"""Services: liveness and state of computes and conductors.

A disabled compute gets no new instances. A compute whose hypervisor does not
answer shows as disabled until it answers; its reason begins with ``AUTO``. A
service that is forced down counts as down even if it runs. Before 2.53 a
service has a number as id, and the URL of a change names the action; since
then its id is a uuid.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas import services as schemas
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.queries import Param
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.api.views import times
from minova.db.connections.engine import Connection
from minova.db.queries import host_removal
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import service_liveness

#: The zone of services other than computes.
INTERNAL_ZONE: Final = 'internal'

_LIST: Final = queries.QuerySchema(
    {'host': Param(), 'binary': Param()}, strict_since=75
)

# -- view -------------------------------------------------------------------


def read_zones(connection: Connection) -> dict[str, str]:
    """Return the zone of each compute by its host."""
    return {
        row.host: row.availability_zone for row in hosts.list_hosts(connection)
    }


def _view(service: Service, zones: dict[str, str], version: int) -> Document:
    compute = service.binary == operations.COMPUTE_BINARY
    result: Document = {
        'id': service.uuid if version >= 53 else service.id,
        'binary': service.binary,
        'host': service.host,
        'zone': zones.get(service.host, INTERNAL_ZONE)
        if compute
        else INTERNAL_ZONE,
        'status': status(service),
        'state': 'up' if service_liveness.is_up(service) else 'down',
        'updated_at': times.strtime(service.last_seen_at),
        'disabled_reason': service_liveness.disabled_reason(service) or None,
    }
    if version >= 11:
        result['forced_down'] = service.forced_down
    return result


def status(service: Service) -> str:
    """Return whether a service may get instances."""
    return 'enabled' if service_liveness.is_enabled(service) else 'disabled'


# -- list --------------------------------------------------------------------


def index(request: ApiRequest) -> Document:
    """List services."""
    binary, host = request.query.get('binary'), request.query.get('host')
    found, known = request.database.read(
        lambda connection: (
            hosts.list_services(connection, binary, host),
            read_zones(connection),
        )
    )
    return {'services': [_view(one, known, request.version) for one in found]}


# -- change ------------------------------------------------------------------


def update_by_name(request: ApiRequest, service_id: str) -> Document:
    """Apply the action in the URL to the service in the body."""
    if service_id not in _LEGACY_ACTIONS:
        raise exception.NotFound('Unknown action')
    since, body = _LEGACY_ACTIONS[service_id]
    if request.version < since:
        raise exception.NotFound('Unknown action')
    body.validate(request.body, request.version)
    given = request.body
    values = _changes(service_id, given)

    def work(connection: Connection) -> None:
        found = hosts.list_services(connection, given['binary'], given['host'])
        if not found:
            raise exception.NotFound(
                f'Could not find binary {given["binary"]} on host '
                f'{given["host"]}.'
            )
        hosts.update_service(connection, found[0].id, values)

    request.database.write(work)
    result = {'host': given['host'], 'binary': given['binary']}
    if 'forced_down' in values:
        return {'service': result | {'forced_down': values['forced_down']}}
    result['status'] = 'disabled' if values['disabled'] else 'enabled'
    if 'disabled_reason' in given:
        result['disabled_reason'] = given['disabled_reason']
    return {'service': result}


_LEGACY_ACTIONS: Final[dict[str, tuple[int, BodySchema]]] = {
    'enable': (1, schemas.ENABLE),
    'disable': (1, schemas.ENABLE),
    'disable-log-reason': (1, schemas.DISABLE_LOG_REASON),
    'force-down': (11, schemas.FORCE_DOWN),
}


def _changes(action: str, given: Json) -> dict[str, object]:
    if action == 'force-down':
        return {'forced_down': types.to_bool(given['forced_down'])}
    return {
        'disabled': action != 'enable',
        'disabled_reason': given.get('disabled_reason'),
    }


def update(request: ApiRequest, service_id: str) -> Document:
    """Enable, disable or force down the service with this uuid."""
    given = request.body
    if 'disabled_reason' in given and given.get('status') != 'disabled':
        raise exception.InvalidInput(
            "Specifying disabled_reason when status is 'enabled' or missing "
            'is invalid.'
        )
    values: dict[str, object] = {}
    if 'status' in given:
        values['disabled'] = given['status'] == 'disabled'
        values['disabled_reason'] = given.get('disabled_reason')
    if 'forced_down' in given:
        values['forced_down'] = types.to_bool(given['forced_down'])

    def work(connection: Connection) -> Document:
        service = _find(connection, request, service_id)
        if service.binary != operations.COMPUTE_BINARY:
            raise exception.InvalidInput(
                f'Updating a {service.binary} service is not supported. Only '
                f'{operations.COMPUTE_BINARY} services can be updated.'
            )
        hosts.update_service(connection, service.id, values)
        after = _find(connection, request, service_id)
        return _view(after, read_zones(connection), request.version)

    return {'service': request.database.write(work)}


def delete(request: ApiRequest, service_id: str) -> None:
    """Delete a service that is down, and its host if it has no servers.

    A running compute would not register again, and one with servers,
    migrations or pending clean-up is still needed.
    """

    def work(connection: Connection) -> None:
        service = _find(connection, request, service_id)
        if service_liveness.is_up(service):
            raise exception.Conflict(
                f'{service.binary} on {service.host} is up. Stop it or force '
                'it down before you delete it.'
            )
        if service.binary == operations.COMPUTE_BINARY:
            _require_unused(connection, service.host)
        host_removal.remove(connection, service)

    request.database.write(work)


def _require_unused(connection: Connection, host: str) -> None:
    used = host_removal.count_usage(connection, host)
    if used.servers:
        raise exception.Conflict(
            'Unable to delete compute service that is hosting instances. '
            f'There are {used.servers} on {host}; migrate or delete them '
            'first.'
        )
    if used.migrations:
        raise exception.Conflict(
            'Unable to delete compute service that has in-progress '
            'migrations. Complete the migrations or delete the instances '
            'first.'
        )
    if used.steps:
        raise exception.Conflict(
            f'{host} has pending clean-up of guests; start its compute '
            'service first.'
        )


def _find(
    connection: Connection, request: ApiRequest, service_id: str
) -> Service:
    by_uuid = request.version >= 53
    for service in hosts.list_services(connection):
        number = service.uuid if by_uuid else str(service.id)
        if number == service_id:
            return service
    raise exception.ServiceNotFound(service_id=service_id[:64])


_RULE: Final = 'os_compute_api:os-services'
_ONE: Final = '/os-services/{service_id}'
ROUTES: Final = (
    Route('GET', '/os-services', index, f'{_RULE}:list', query=_LIST),
    Route(
        'PUT',
        _ONE,
        update_by_name,
        f'{_RULE}:update',
        body=BodySchema({1: {}}),  # the schema depends on the action
        until=52,
    ),
    Route(
        'PUT', _ONE, update, f'{_RULE}:update', body=schemas.UPDATE, since=53
    ),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204),
)
