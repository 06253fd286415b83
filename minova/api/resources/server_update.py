# SPDX-License-Identifier: Apache-2.0
"""What is changed of a server without an operation.

Names, descriptions, metadata and tags are only said of a server: no
host has to do anything, and they may change while an operation goes on. What
consumers are told of it is written in the same transaction.
"""

from collections.abc import Callable
from typing import Any
from typing import Final

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import outbox
from minova.engine import notice_buffer
from minova.notifications import events
from minova.notifications import payload
from minova.objects.instance import Instance

#: Returns the fields to be changed; may raise to refuse.
ChangeFunction = Callable[[Instance], dict[str, Any]]

#: Only these are told.
_NOTIFIED_FIELDS: Final = frozenset({'display_name', 'metadata'})


def update_instance(
    request: ApiRequest, uuid: str, change: ChangeFunction
) -> Instance:
    """Change a server that the caller may change; return it.

    ``change`` is called with the row locked. InstanceNotFound, Forbidden.
    """

    def work(connection: Connection) -> Instance:
        instance = instances.get(connection, uuid, request.scope, lock=True)
        if instance is None:
            raise exception.InstanceNotFound(instance_id=uuid)
        request.require_owner(instance)
        _write(connection, request, instance, change(instance))
        return instance

    return request.database.write(work)


def _write(
    connection: Connection,
    request: ApiRequest,
    instance: Instance,
    values: dict[str, Any],
) -> None:
    old_name = instance.display_name
    changed = {
        name: value
        for name, value in values.items()
        if getattr(instance, name) != value
    }
    if not changed:
        return
    changed['updated_at'] = clock.now()
    if _NOTIFIED_FIELDS & changed.keys() and _is_notified():
        changed['notification_seq'] = instance.notification_seq + 1
    for name, value in changed.items():
        setattr(instance, name, value)
    # The row is locked, so nobody has taken the instance over meanwhile.
    instances.update(
        connection,
        instance.uuid,
        changed,
        generation=instance.generation,
        task_id=instance.task_id,
    )
    if 'notification_seq' in changed:
        _emit_update(connection, request, instance, old_name)


def _is_notified() -> bool:
    return bool(CONF.notifications.notify_on_state_change != 'none')


def _emit_update(
    connection: Connection,
    request: ApiRequest,
    instance: Instance,
    old_name: str,
) -> None:
    event_type = events.event_type('update')
    states = (instance.vm_state, instance.task_state)
    content = payload.update_payload(instance, states, clock.now())
    if old_name != instance.display_name:
        content['old_display_name'] = old_name
    seq = instance.notification_seq
    notice = {
        'instance_uuid': instance.uuid,
        'operation_id': None,
        'seq': seq,
        'message_id': notice_buffer.message_id(instance.uuid, seq),
        'event_type': event_type,
        'publisher_id': request.backend.publisher_id,
        'priority': events.priority(event_type),
        'payload': content,
        'context': request.context.to_dict(),
        'created_at': clock.now(),
        'published_at': None,
    }
    outbox.insert(connection, [notice])
