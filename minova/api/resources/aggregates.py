# SPDX-License-Identifier: Apache-2.0
"""Host aggregates, and the availability zones that they give to their hosts.

A host is in one zone: the ``availability_zone`` of an aggregate, else that of
its configuration. Every change holds the lock of all aggregates, so that the
checks stay true until the commit.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Final

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import aggregates as schemas
from minova.api.schemas import bodies
from minova.api.schemas import types
from minova.api.schemas.bodies import BodySchema
from minova.api.views import Document
from minova.api.views import times
from minova.db.connections.engine import Connection
from minova.db.queries import aggregates
from minova.db.queries import hosts
from minova.db.queries.aggregates import Aggregate
from minova.engine import outbox_rows
from minova.notifications import events
from minova.notifications.payload import Payload

Metadata = Mapping[str, str | None]
#: Changes an aggregate, which is locked; returns its notifications by name.
Change = Callable[[Connection, Aggregate], dict[str, Payload]]

_RULE: Final = 'os_compute_api:os-aggregates'
_ZONE: Final = aggregates.ZONE
_UUID_SINCE: Final = 41

# -- read --------------------------------------------------------------------


def index(request: ApiRequest) -> Document:
    """List the aggregates."""
    found = request.database.read(aggregates.list_all)
    return {'aggregates': [_view(one, request.version) for one in found]}


def show(request: ApiRequest, aggregate_id: str) -> Document:
    """Show an aggregate."""
    found = request.database.read(
        lambda connection: _get(connection, aggregate_id)
    )
    return {'aggregate': _view(found, request.version)}


def _get(connection: Connection, aggregate_id: str) -> Aggregate:
    found = None
    if aggregate_id.isascii() and aggregate_id.isdecimal():
        number = int(aggregate_id[:11])
        if number <= types.MAX_INT:
            found = aggregates.get(connection, number)
    if found is None:
        raise exception.AggregateNotFound(aggregate_id=aggregate_id[:64])
    return found


def _view(aggregate: Aggregate, version: int) -> Document:
    result: Document = {
        'id': aggregate.id,
        'name': aggregate.name,
        'availability_zone': aggregate.zone,
        'hosts': list(aggregate.hosts),
        'metadata': aggregate.metadata,
        'created_at': times.strtime(aggregate.created_at),
        'updated_at': times.strtime(aggregate.updated_at),
        'deleted': False,
        'deleted_at': None,
    }
    if version >= _UUID_SINCE:
        result['uuid'] = aggregate.uuid
    return result


# -- create, update, delete --------------------------------------------------


def create(request: ApiRequest) -> Document:
    """Create an aggregate without hosts; the reply has neither list."""
    given = request.body['aggregate']
    name, zone = given['name'], given.get(_ZONE)
    values = {
        'uuid': clock.uuid4(),
        'name': name,
        'metadata': {} if zone is None else {_ZONE: zone},
        'notification_seq': 0,
        'created_at': clock.now(),
    }

    def work(connection: Connection) -> Aggregate:
        aggregates.lock(connection)
        _require_free(connection, name)
        number = aggregates.insert(connection, values)
        made = _get(connection, str(number))
        started: Payload = {'name': name, 'meta_data': dict(made.metadata)}
        _notify(
            connection,
            request,
            made,
            name,
            {'create': {**started, 'aggregate_id': number}},
            started,
        )
        return made

    found = _view(request.database.write(work), request.version)
    del found['hosts'], found['metadata']
    return {'aggregate': found}


def _require_free(connection: Connection, name: str) -> None:
    if aggregates.has_name(connection, name):
        raise exception.AggregateNameExists(name=name)


def update(request: ApiRequest, aggregate_id: str) -> Document:
    """Change the name or the zone of an aggregate."""
    given = request.body['aggregate']

    def change(
        connection: Connection, aggregate: Aggregate
    ) -> dict[str, Payload]:
        notices: dict[str, Payload] = {}
        name = given.get('name', aggregate.name)
        if name != aggregate.name:
            _require_free(connection, name)
            aggregates.update(
                connection,
                aggregate.id,
                {'name': name, 'updated_at': clock.now()},
            )
            notices['updateprop'] = {'name': name}
        if _ZONE in given:
            zone = {_ZONE: given[_ZONE]}
            _set_metadata(connection, aggregate, zone, 'update')
            notices['updatemetadata'] = {'meta_data': zone}
        return notices

    return _change(request, aggregate_id, change)


def delete(request: ApiRequest, aggregate_id: str) -> None:
    """Delete an aggregate, which must be empty."""

    def change(
        connection: Connection, aggregate: Aggregate
    ) -> dict[str, Payload]:
        if aggregate.hosts:
            raise exception.InvalidAggregateAction(
                action='delete',
                aggregate_id=aggregate.id,
                reason='Host aggregate is not empty; remove its hosts first',
            )
        return {'delete': {}}

    def work(connection: Connection) -> None:
        aggregate = _lock(connection, aggregate_id)
        notices = change(connection, aggregate)
        _notify(connection, request, aggregate, str(aggregate.id), notices)
        aggregates.delete(connection, aggregate.id)

    request.database.write(work)


# -- actions -----------------------------------------------------------------


def act(request: ApiRequest, aggregate_id: str) -> Document:
    """Perform the action that the body names."""
    name = bodies.get_action_name(request.body, ACTIONS)
    action = ACTIONS[name]
    request.require(action.rule)
    request.validate_body(action.body)
    return action.handler(request, aggregate_id)


def _add_host(request: ApiRequest, aggregate_id: str) -> Document:
    """Add a host; refused if this puts it or a server into another zone."""
    host = request.body['add_host']['host']

    def change(
        connection: Connection, aggregate: Aggregate
    ) -> dict[str, Payload]:
        row = _get_host(connection, host)
        if host in aggregate.hosts:
            raise exception.AggregateHostExists(
                aggregate_id=aggregate.id, host=host
            )
        zone = aggregate.zone
        if zone is not None:
            other = aggregates.find_other_zone(connection, aggregate, {host})
            if other is not None and other[1] != zone:
                raise _refuse_host(
                    'add',
                    aggregate,
                    host,
                    'One or more hosts already in availability zone(s) '
                    f'{[other[1]]}',
                )
            _require_zone_unbound(connection, 'add', aggregate, row, zone)
        aggregates.add_host(connection, aggregate.id, host)
        aggregates.apply_zones(connection, [host])
        return {'addhost': {'host_name': host}}

    return _change(request, aggregate_id, change)


def _remove_host(request: ApiRequest, aggregate_id: str) -> Document:
    """Remove a host; refused if its servers have requested the zone."""
    host = request.body['remove_host']['host']

    def change(
        connection: Connection, aggregate: Aggregate
    ) -> dict[str, Payload]:
        if host not in aggregate.hosts:
            raise exception.NotFound(
                f'Cannot remove host {host} in aggregate {aggregate.id}'
            )
        row = _get_host(connection, host)
        other = aggregates.find_other_zone(connection, aggregate, {host})
        if aggregate.zone is not None and other is None:
            _require_zone_unbound(
                connection, 'remove', aggregate, row, row.configured_zone
            )
        aggregates.remove_host(connection, aggregate.id, host)
        aggregates.apply_zones(connection, [host])
        return {'removehost': {'host_name': host}}

    return _change(request, aggregate_id, change)


def _set_all_metadata(request: ApiRequest, aggregate_id: str) -> Document:
    """Add, change and remove items; null removes an item."""
    given = request.body['set_metadata']['metadata']

    def change(
        connection: Connection, aggregate: Aggregate
    ) -> dict[str, Payload]:
        _set_metadata(connection, aggregate, given, 'add metadata to')
        return {'updatemetadata': {'meta_data': given}}

    return _change(request, aggregate_id, change)


@dataclasses.dataclass(frozen=True)
class _Action:
    rule: str
    handler: Callable[[ApiRequest, str], Document]
    body: BodySchema


ACTIONS: Final = {
    'add_host': _Action(f'{_RULE}:add_host', _add_host, schemas.ADD_HOST),
    'remove_host': _Action(
        f'{_RULE}:remove_host', _remove_host, schemas.REMOVE_HOST
    ),
    'set_metadata': _Action(
        f'{_RULE}:set_metadata', _set_all_metadata, schemas.SET_METADATA
    ),
}

# -- checks and writes -------------------------------------------------------


def _get_host(connection: Connection, host: str) -> hosts.Host:
    found = hosts.list_hosts(connection, host)
    if not found:
        raise exception.HostNotFound(host=host)
    return found[0]


def _require_zone_unbound(
    connection: Connection,
    action: str,
    aggregate: Aggregate,
    row: hosts.Host,
    zone: str,
) -> None:
    """Raise when a server has requested the zone that its host would leave."""
    if zone == row.availability_zone:
        return
    uuid = aggregates.find_bound_instance(
        connection, row.host, row.availability_zone
    )
    if uuid is not None:
        raise _refuse_host(
            action,
            aggregate,
            row.host,
            f'server {uuid} on it was created in availability zone '
            f'{row.availability_zone}, which the host would leave; migrate '
            'the server first',
        )


def _refuse_host(
    action: str, aggregate: Aggregate, host: str, reason: str
) -> exception.AggregateHostRefused:
    return exception.AggregateHostRefused(
        action=action, host=host, aggregate_id=aggregate.id, reason=reason
    )


def _set_metadata(
    connection: Connection,
    aggregate: Aggregate,
    given: Metadata,
    action: str,
) -> None:
    """Write metadata; refused when it moves hosts that have servers."""
    metadata = {
        key: value
        for key, value in {**aggregate.metadata, **given}.items()
        if value is not None
    }
    if metadata.get(_ZONE) != aggregate.zone:
        _require_zone_changeable(
            connection, aggregate, metadata.get(_ZONE), action
        )
    aggregates.update(
        connection,
        aggregate.id,
        {'metadata': metadata, 'updated_at': clock.now()},
    )
    aggregates.apply_zones(connection, aggregate.hosts)


def _require_zone_changeable(
    connection: Connection,
    aggregate: Aggregate,
    zone: str | None,
    action: str,
) -> None:
    reason = None
    other = aggregates.find_other_zone(connection, aggregate, aggregate.hosts)
    if zone is not None and other is not None and other[1] != zone:
        reason = (
            f'One or more hosts already in availability zone(s) {[other[1]]}'
        )
    busy = aggregates.list_hosts_with_instances(connection, aggregate.hosts)
    if busy:
        reason = (
            'One or more hosts contain instances in this zone: '
            f'{", ".join(busy)}; migrate or delete them first'
        )
    if reason is not None:
        raise exception.InvalidAggregateAction(
            action=action, aggregate_id=aggregate.id, reason=reason
        )


def _lock(connection: Connection, aggregate_id: str) -> Aggregate:
    aggregates.lock(connection)
    return _get(connection, aggregate_id)


def _change(
    request: ApiRequest, aggregate_id: str, change: Change
) -> Document:
    """Apply a change with its notifications; return the new aggregate."""

    def work(connection: Connection) -> Aggregate:
        aggregate = _lock(connection, aggregate_id)
        notices = change(connection, aggregate)
        _notify(connection, request, aggregate, str(aggregate.id), notices)
        return _get(connection, aggregate_id)

    return {'aggregate': _view(request.database.write(work), request.version)}


def _notify(
    connection: Connection,
    request: ApiRequest,
    aggregate: Aggregate,
    subject: str,
    notices: Mapping[str, Payload],
    started: Payload | None = None,
) -> None:
    """Write the start and the end of each notification, as Nova sends them.

    ``started`` is the payload of a start that differs from that of the end.
    """
    own: Payload = {'aggregate_id': aggregate.id}
    rows = [
        (events.aggregate_event_type(name, phase), content)
        for name, payload in notices.items()
        for phase, content in (
            (events.START, own | payload if started is None else started),
            (events.END, own | payload),
        )
    ]
    newest = outbox_rows.write_notices(
        connection,
        aggregate,
        events.publisher_id('aggregate', subject),
        request.context.to_dict(),
        rows,
    )
    aggregates.update(connection, aggregate.id, {'notification_seq': newest})


_ALL: Final = '/os-aggregates'
_ONE: Final = f'{_ALL}/{{aggregate_id}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index'),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.CREATE),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('PUT', _ONE, update, f'{_RULE}:update', body=schemas.UPDATE),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete'),
    Route('POST', f'{_ONE}/action', act, None, body=bodies.ANY),
)
