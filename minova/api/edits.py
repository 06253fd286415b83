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
from minova.api.ask import Ask
from minova.conf import CONF
from minova.db import instances
from minova.db import outbox
from minova.db.engine import Connection
from minova.notifications import events
from minova.notifications import payload
from minova.objects.instance import Instance
from minova.operations import telling

#: Returns the fields to be changed; may raise to refuse.
Change = Callable[[Instance], dict[str, Any]]

#: Only these are told.
_TOLD: Final = frozenset({'display_name', 'metadata'})


def change(ask: Ask, uuid: str, change: Change) -> Instance:
    """Change a server that the caller may change; return it.

    ``change`` is called with the row locked. InstanceNotFound, Forbidden.
    """

    def work(connection: Connection) -> Instance:
        instance = instances.get(connection, uuid, ask.scope, lock=True)
        if instance is None:
            raise exception.InstanceNotFound(instance_id=uuid)
        ask.require_own(instance)
        _write(connection, ask, instance, change(instance))
        return instance

    return ask.database.write(work)


def _write(
    connection: Connection,
    ask: Ask,
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
    if _TOLD & changed.keys() and _wanted():
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
        _tell(connection, ask, instance, old_name)


def _wanted() -> bool:
    return bool(CONF.notifications.notify_on_state_change != 'none')


def _tell(
    connection: Connection, ask: Ask, instance: Instance, old_name: str
) -> None:
    event_type = events.event_type('update')
    states = (instance.vm_state, instance.task_state)
    content = payload.of_update(instance, states, clock.now())
    if old_name != instance.display_name:
        content['old_display_name'] = old_name
    seq = instance.notification_seq
    notice = {
        'instance_uuid': instance.uuid,
        'operation_id': None,
        'seq': seq,
        'message_id': telling.message_id(instance.uuid, seq),
        'event_type': event_type,
        'publisher_id': ask.backend.publisher,
        'priority': events.priority(event_type),
        'payload': content,
        'context': ask.context.to_dict(),
        'created_at': clock.now(),
        'published_at': None,
    }
    outbox.insert(connection, [notice])
