# SPDX-License-Identifier: Apache-2.0
"""The offload of servers that were shelved some time ago."""

import datetime

from minova import clock
from minova import states
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.engine import begin
from minova.notifications import events
from minova.objects.operation_params import NoParams
from minova.objects.step import Wakeup


def offload_shelved(database: Database, host: str) -> list[Wakeup]:
    """Begin the offloads that are due; return the wake-ups to send.

    ``host`` is the conductor that emits their first notifications.
    """
    interval = CONF.conductor.shelved_offload_time
    if interval < 0:
        return []
    before = clock.now() - datetime.timedelta(seconds=interval)
    due = database.read(
        lambda connection: instances.list_shelved(connection, before)
    )
    wakeups: list[Wakeup] = []
    for uuid in due:
        wakeups += _offload(database, uuid, host)
    return wakeups


def _offload(database: Database, uuid: str, host: str) -> list[Wakeup]:
    def work(connection: Connection) -> list[Wakeup]:
        instance = instances.get(connection, uuid, lock=True)
        if (
            instance is None
            or instance.vm_state != states.SHELVED
            or instance.task_id is not None
        ):
            # It was unshelved or deleted since the list was read.
            return []
        return begin.begin_locked(
            connection,
            get_admin_context(),
            'shelve_offload',
            instance,
            events.publisher_id('conductor', host),
            NoParams(),
        ).wakeups

    return database.write(work)
