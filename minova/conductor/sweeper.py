# SPDX-License-Identifier: Apache-2.0
"""The sweeper: finds what nobody works on and sees to it.

One conductor at a time does it, the holder of the lease. It acts on what
stands in the database, so it does not matter which one.
"""

import datetime

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conductor.hearing import Hearing
from minova.conductor.manager import Manager
from minova.conf import CONF
from minova.context import internal
from minova.db import consoles
from minova.db import hosts
from minova.db import leases
from minova.db import moves
from minova.db import operations
from minova.db.engine import Connection
from minova.db.engine import Database
from minova.loop import Loop
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.migration import Migration
from minova.operations import begin
from minova.operations import overdue
from minova.operations.book import wake_for
from minova.rpc.wakes import Waker

LOG = logging.getLogger(__name__)

_LEASE = 'sweeper'


class Sweeper:
    """Looks periodically at everything that is open."""

    def __init__(
        self,
        database: Database,
        manager: Manager,
        waker: Waker,
        hearing: Hearing,
        holder: str,
        host: str,
    ) -> None:
        self._database = database
        self._manager = manager
        self._waker = waker
        self._hearing = hearing
        self._holder = holder
        self._host = host
        self._loop = Loop(
            'sweeper', self._work, lambda: CONF.conductor.sweep_interval
        )

    def start(self) -> None:
        """Begin to sweep."""
        self._loop.start()

    def stop(self) -> None:
        """Sweep no more, and let another one do it."""
        self._loop.stop()
        leases.give_back(self._database, _LEASE, self._holder)

    def _work(self) -> None:
        # Held for longer than a round takes, so that nobody sweeps beside.
        span = CONF.conductor.sweep_interval + CONF.conductor.lease_time
        if leases.take(self._database, _LEASE, self._holder, span):
            self.sweep()

    def sweep(self) -> None:
        """See once to all that is open."""
        self._see_to_steps()
        self._see_to_deadlines()
        if CONF.conductor.resize_confirm_window > 0:
            self._confirm_resizes()
        self._drop_tokens()

    # -- steps ---------------------------------------------------------------

    def _see_to_steps(self) -> None:
        down = self._database.read(self._hosts_down)
        steps = self._database.read(operations.open_steps)
        waiting = self._database.read(operations.waiting)
        for step in steps:
            if step.topic == 'conductor':
                self._decide_if_old(step)
            elif step.host in down:
                self._do_without_host(step, down[str(step.host)])
            elif step.operation_id in waiting and (
                step.state == records.RUNNING
            ):
                self._note_return(step)
            else:
                self._wake_if_old(step)

    def _note_return(self, step: records.Step) -> None:
        self._database.write(
            lambda connection: overdue.host_is_back(
                connection, step.id, self._host
            )
        )

    def _decide_if_old(self, step: records.Step) -> None:
        if _is_old(step):
            self._manager.try_decide(internal(), step.id)

    def _wake_if_old(self, step: records.Step) -> None:
        now = clock.now()
        due = step.not_before is None or step.not_before <= now
        owed = step.state == records.OWED and not step.nested
        if owed and due and _is_old(step):
            self._waker.wake(internal(), [wake_for(step)])

    def _do_without_host(self, step: records.Step, why: str) -> None:
        wakes = self._database.write(
            lambda connection: overdue.host_is_down(
                connection, step.id, why, self._host
            )
        )
        self._manager.go_on(internal(), wakes)

    # -- deadlines -----------------------------------------------------------

    def _see_to_deadlines(self) -> None:
        now = clock.now()
        for step, busy in self._database.read(
            lambda connection: self._late_steps(connection, now)
        ):
            self._see_to_late(step.id, busy)

    def _see_to_late(self, step_id: str, busy: bool) -> None:
        wakes = self._database.write(
            lambda connection: overdue.is_late(
                connection, step_id, busy, self._host
            )
        )
        self._manager.go_on(internal(), wakes)

    def _hosts_down(self, connection: Connection) -> dict[str, str]:
        """Return the hosts whose compute is taken to be down, and why."""
        return {
            service.host: why
            for service in hosts.services(connection, operations.COMPUTE)
            if (why := self._hearing.down(service)) is not None
        }

    def _late_steps(
        self, connection: Connection, moment: datetime.datetime
    ) -> list[tuple[records.Step, bool]]:
        """Return what is open of operations past their deadline.

        Each with whether the service that should do it has it at work. What a
        host that is down owes is not listed: that waits for the host.
        """
        down = self._hosts_down(connection)
        starts = {
            service.host: service.incarnation
            for service in hosts.services(connection, operations.COMPUTE)
        }
        late = {o.id for o in operations.overdue(connection, moment)}
        return [
            (
                step,
                step.state == records.RUNNING
                and step.incarnation == starts.get(str(step.host)),
            )
            for step in operations.open_steps(connection)
            if step.operation_id in late and step.host not in down
        ]

    # -- automatic confirmation ----------------------------------------------

    def _confirm_resizes(self) -> None:
        window = CONF.conductor.resize_confirm_window
        moment = clock.now() - datetime.timedelta(seconds=window)
        waiting = self._database.read(
            lambda connection: moves.finished_before(connection, moment)
        )
        for move in waiting:
            self._confirm(move)

    def _confirm(self, move: Migration) -> None:
        context = internal()
        try:
            begun = begin.begin(
                self._database,
                context,
                'confirm_resize',
                move.instance_uuid,
                events.publisher('conductor', self._host),
                lambda connection, instance: {'migration': move.id},
            )
        except exception.InstanceInvalidState as error:
            LOG.warning('Resize %s cannot be confirmed: %s', move.id, error)
            self._database.write(
                lambda connection: moves.update(
                    connection,
                    move.id,
                    {'status': 'error', 'updated_at': clock.now()},
                )
            )
            return
        except exception.NotFound:
            LOG.info('Resize %s: its instance is gone.', move.id)
            return
        self._manager.go_on(context, begun.wakes)

    # -- consoles ------------------------------------------------------------

    def _drop_tokens(self) -> None:
        """Remove the tokens of consoles that have expired."""
        now = clock.now()
        # A look first: most rounds find none, and a look holds up nobody.
        if self._database.read(lambda c: consoles.any_expired(c, now)):
            self._database.write(lambda c: consoles.remove_expired(c, now))


def _is_old(step: records.Step) -> bool:
    age = clock.now() - step.created_at
    return bool(age.total_seconds() >= CONF.conductor.sweep_interval / 2)
