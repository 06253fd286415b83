# SPDX-License-Identifier: Apache-2.0
"""Services: computes and conductors, whether they live, whether they may.

A disabled compute gets no more instances; one that is forced down is taken
for dead although it may live. Before 2.53 a service is known by its number
and changed under the name of what is done to it; from then on by its uuid.
"""

from typing import Any
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas import services as schemas
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.schemas.queries import Param
from minova.api.views import times
from minova.db.connections.engine import Connection
from minova.db.queries import host_removal
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import service_liveness

#: The zone of what is no compute.
INTERNAL_ZONE: Final = 'internal'

_LIST: Final = queries.QuerySchema(
    {'host': Param(), 'binary': Param()}, strict_since=75
)

# -- how one is shown --------------------------------------------------------


def read_zones(connection: Connection) -> dict[str, str]:
    """Return the zone of each compute by its host."""
    return {
        row.host: row.availability_zone for row in hosts.list_hosts(connection)
    }


def _view(service: Service, zones: dict[str, str], version: int) -> Any:
    compute = service.binary == operations.COMPUTE_BINARY
    result: dict[str, Any] = {
        'id': service.uuid if version >= 53 else service.id,
        'binary': service.binary,
        'host': service.host,
        'zone': zones.get(service.host, INTERNAL_ZONE)
        if compute
        else INTERNAL_ZONE,
        'status': status(service),
        'state': 'up' if service_liveness.is_up(service) else 'down',
        'updated_at': times.strtime(service.last_seen_at),
        'disabled_reason': service.disabled_reason,
    }
    if version >= 11:
        result['forced_down'] = service.forced_down
    return result


def status(service: Service) -> str:
    """Return whether a service may take instances."""
    return 'disabled' if service.disabled else 'enabled'


# -- list --------------------------------------------------------------------


def index(request: ApiRequest) -> Any:
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


def update_by_name(request: ApiRequest, service_id: str) -> Any:
    """Do to a service, named in the body, what the URL says."""
    if service_id not in _LEGACY_ACTIONS:
        raise exception.NotFound('Unknown action')
    since, body = _LEGACY_ACTIONS[service_id]
    if request.version < since:
        raise exception.NotFound('Unknown action')
    body.validate(request.body, request.version)
    given = request.body
    values = _values(service_id, given)

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


def _values(action: str, given: dict[str, Any]) -> dict[str, Any]:
    if action == 'force-down':
        return {'forced_down': types.to_bool(given['forced_down'])}
    return {
        'disabled': action != 'enable',
        'disabled_reason': given.get('disabled_reason'),
    }


def update(request: ApiRequest, service_id: str) -> Any:
    """Enable, disable or force down the service with this uuid."""
    given = request.body
    if 'disabled_reason' in given and given.get('status') != 'disabled':
        raise exception.InvalidInput(
            "Specifying disabled_reason when status is 'enabled' or missing "
            'is invalid.'
        )
    values: dict[str, Any] = {}
    if 'status' in given:
        values['disabled'] = given['status'] == 'disabled'
        values['disabled_reason'] = given.get('disabled_reason')
    if 'forced_down' in given:
        values['forced_down'] = types.to_bool(given['forced_down'])

    def work(connection: Connection) -> Any:
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
    """Forget a service that does not run, and its host if it has no servers.

    A compute that lives would not come back by itself, and one with servers
    or moves on it is needed.
    """

    def work(connection: Connection) -> None:
        service = _find(connection, request, service_id)
        if service_liveness.is_up(service):
            raise exception.Conflict(
                f'{service.binary} on {service.host} is up. Stop it, or force '
                'it down, before it is deleted.'
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
            f'{host} still owes the removal of guests. Start it once more, '
            'so that nothing of them is left there.'
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
        body=BodySchema({1: {}}),  # which schema depends on the name
        until=52,
    ),
    Route(
        'PUT', _ONE, update, f'{_RULE}:update', body=schemas.UPDATE, since=53
    ),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204),
)
