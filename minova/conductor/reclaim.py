# SPDX-License-Identifier: Apache-2.0
"""Reclaim: the delete of servers that were soft-deleted some time ago.

The row of a server says when it was soft-deleted, so no interruption loses a
reclaim, and the delete begins in a transaction that checks the row again.
"""

import datetime

from oslo_log import log as logging

from minova import clock
from minova import states
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.engine import begin
from minova.notifications import events
from minova.objects.instance import Instance
from minova.objects.step import Wakeup

LOG = logging.getLogger(__name__)


def reclaim_soft_deleted(database: Database, host: str) -> list[Wakeup]:
    """Begin the deletes that are due; return the wake-ups to send.

    ``host`` is the conductor that emits their first notifications.
    """
    interval = CONF.conductor.reclaim_instance_interval
    if interval <= 0:
        return []
    before = clock.now() - datetime.timedelta(seconds=interval)
    due = database.read(
        lambda connection: instances.list_soft_deleted(connection, before)
    )
    wakeups: list[Wakeup] = []
    for uuid in due:
        wakeups += _reclaim(database, uuid, before, host)
    return wakeups


def _reclaim(
    database: Database, uuid: str, before: datetime.datetime, host: str
) -> list[Wakeup]:
    def work(connection: Connection) -> list[Wakeup]:
        instance = instances.get(connection, uuid, lock=True)
        if instance is None or not _is_due(instance, before):
            return []
        LOG.info(
            'Instance %s: soft-deleted at %s; begins delete',
            uuid,
            instance.deleted_at,
        )
        return begin.begin_locked(
            connection,
            get_admin_context(),
            'delete',
            instance,
            events.publisher_id('conductor', host),
            begin.delete_params(connection, instance),
        ).wakeups

    return database.write(work)


def _is_due(instance: Instance, before: datetime.datetime) -> bool:
    """Tell whether it was neither restored nor deleted since it was listed."""
    return (
        instance.vm_state == states.SOFT_DELETE
        and instance.task_id is None
        and instance.deleted_at is not None
        and instance.deleted_at <= before
    )
