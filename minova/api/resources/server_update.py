# SPDX-License-Identifier: Apache-2.0
"""Changes of a server without an operation.

Names, descriptions, metadata and tags need no action of a host, so they can
change during an operation. The notification of a change is written in the
same transaction.
"""

from collections.abc import Callable
import datetime
from typing import Final

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.engine.outbox_rows import OutboxRows
from minova.notifications import events
from minova.notifications import payload
from minova.objects.instance import Instance

#: New values of an instance, by field.
Changes = dict[str, object]
#: Returns the changes of an instance; raises to refuse. It may write what
#: belongs to the instance and is in other tables.
ChangeFunction = Callable[[Connection, Instance], Changes]

#: The fields whose changes are notified.
_NOTIFIED_FIELDS: Final = frozenset({'display_name', 'metadata'})


def update_instance(
    request: ApiRequest, uuid: str, change: ChangeFunction
) -> Instance:
    """Apply ``change`` to a server and return the instance.

    ``change`` runs with the row locked. InstanceNotFound, Forbidden.
    """

    def work(connection: Connection) -> Instance:
        instance = instances.get(connection, uuid, request.scope, lock=True)
        if instance is None:
            raise exception.InstanceNotFound(instance_id=uuid)
        request.require_owner(instance)
        _write(connection, request, instance, change(connection, instance))
        return instance

    return request.database.write(work)


def _write(
    connection: Connection,
    request: ApiRequest,
    instance: Instance,
    values: Changes,
) -> None:
    old_name = instance.display_name
    changed = {
        name: value
        for name, value in values.items()
        if getattr(instance, name) != value
    }
    if not changed:
        return
    now = clock.now()
    changed['updated_at'] = now
    for name, value in changed.items():
        setattr(instance, name, value)
    rows = OutboxRows(instance, request.backend.publisher_id, now)
    if _NOTIFIED_FIELDS & changed.keys() and _is_notified():
        rows.add(
            events.event_type('update'),
            _update_payload(instance, old_name, now),
            None,
            request.context.to_dict(),
        )
        instance.notification_seq = rows.number()
        changed['notification_seq'] = instance.notification_seq
    # The row is locked: no operation has taken the instance meanwhile.
    instances.update(
        connection,
        instance.uuid,
        changed,
        generation=instance.generation,
        task_id=instance.task_id,
    )
    rows.write(connection)


def _is_notified() -> bool:
    return bool(CONF.notifications.notify_on_state_change != 'none')


def _update_payload(
    instance: Instance, old_name: str, now: datetime.datetime
) -> payload.Payload:
    states = (instance.vm_state, instance.task_state)
    content = payload.update_payload(instance, states, now)
    if old_name != instance.display_name:
        content['old_display_name'] = old_name
    return content
