# SPDX-License-Identifier: Apache-2.0
"""What other services have done for servers: os-server-external-events.

Each event has its own status in the reply. No operation waits for an event of
the network, volume or accelerator services, because Minova has its own
networks and no volumes and accelerators; such an event is accepted and has no
effect, as one that arrives when nothing waits for it. A power update begins
the operation that gives the server the power that its guest got elsewhere.
"""

from typing import Final

from oslo_log import log as logging

from minova import exception
from minova import states
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import external_events as schemas
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.engine import begin
from minova.objects.instance import Instance

LOG = logging.getLogger(__name__)

#: The events that say nothing without a tag.
_NEEDS_TAG: Final = ('volume-extended', 'power-update')
#: The operation of each tag of a power update, and the vm_state in which it
#: changes anything.
_POWER_UPDATES: Final = {
    'POWER_ON': ('start', states.STOPPED),
    'POWER_OFF': ('stop', states.ACTIVE),
}


def create(request: ApiRequest) -> Document:
    """Accept events; the reply is 207 if one of them fails."""
    events: list[Json] = request.body['events']
    uuids = {event['server_uuid'].lower() for event in events}
    found = request.database.read(
        lambda connection: _read_instances(connection, uuids)
    )
    replies = [
        _reply(event, found.get(event['server_uuid'].lower()))
        for event in events
    ]
    accepted = [reply for reply in replies if reply['code'] == 200]
    if not accepted:
        raise exception.NotFound(
            'No instances found for any event: each names a server that does '
            'not exist or has no host, or lacks its tag.'
        )
    for event in accepted:
        if event['name'] == 'power-update':
            _update_power(request, event)
    if len(accepted) < len(replies):
        request.status = 207
    return {'events': replies}


def _read_instances(
    connection: Connection, uuids: set[str]
) -> dict[str, Instance]:
    read = {uuid: instances.get(connection, uuid) for uuid in sorted(uuids)}
    return {uuid: one for uuid, one in read.items() if one is not None}


def _reply(event: Json, instance: Instance | None) -> Json:
    """Return an event with its code."""
    code = 200
    if instance is None:
        code = 404
    elif not _has_valid_tag(event):
        code = 400
    elif instance.host is None:
        code = 422
    status = 'completed' if code == 200 else 'failed'
    return event | {'status': status, 'code': code}


def _has_valid_tag(event: Json) -> bool:
    if event['name'] == 'power-update':
        return event.get('tag') in _POWER_UPDATES
    return event['name'] not in _NEEDS_TAG or bool(event.get('tag'))


def _update_power(request: ApiRequest, event: Json) -> None:
    """Begin the operation of a power update, unless it has no effect.

    A server with a task has an operation that sets its power itself; power
    synchronization corrects the rest.
    """
    kind, vm_state = _POWER_UPDATES[event['tag']]
    uuid = event['server_uuid']

    def require_effect(instance: Instance) -> None:
        if instance.vm_state != vm_state:
            raise exception.InstanceInvalidState(
                operation=kind,
                instance_id=uuid,
                attribute='vm_state',
                state=instance.vm_state,
                needed=f'it must be {vm_state}',
            )

    try:
        begun = begin.begin(
            request.database,
            request.context,
            kind,
            uuid,
            request.backend.publisher_id,
            authorize=require_effect,
        )
    except (exception.Conflict, exception.InstanceNotFound) as error:
        LOG.info(
            'Instance %s: power update %s has no effect: %s',
            uuid,
            event['tag'],
            error,
        )
        return
    request.wake(begun)


ROUTES: Final = (
    Route(
        'POST',
        '/os-server-external-events',
        create,
        'os_compute_api:os-server-external-events:create',
        body=schemas.CREATE,
    ),
)
