# SPDX-License-Identifier: Apache-2.0
"""What a conductor answers: the contract of ``rpc.conductor``, one by one."""

import functools
from typing import Any

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conductor import power
from minova.conductor.desk import Desk
from minova.conf import CONF
from minova.context import Context
from minova.db import consoles as console_rows
from minova.db import hosts
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.db.engine import Database
from minova.exception import written
from minova.notifications import events
from minova.notifications.relay import Relay
from minova.objects.host import GuestReport
from minova.objects.host import HostReport
from minova.objects.instance import Instance
from minova.objects.instance import InstanceState
from minova.objects.step import Answer
from minova.objects.step import Duty
from minova.objects.step import Ticket
from minova.objects.step import Wake
from minova.operations import baton
from minova.operations import begin
from minova.operations import consoles
from minova.operations import decide
from minova.rpc.compute import Computes
from minova.rpc.conductor import Conductor
from minova.rpc.wakes import Waker

LOG = logging.getLogger(__name__)

#: What ``migrate_server`` passes on to the operation that it begins.
_KINDS = {
    (True, False): 'live_migrate',
    (False, True): 'resize',
    (False, False): 'migrate',
}


class Manager(Conductor):
    """Answers in the name of any conductor; keeps nothing in memory."""

    def __init__(
        self,
        database: Database,
        desk: Desk,
        waker: Waker,
        relay: Relay,
        host: str,
        pool: clock.Pool,
        incarnation: str,
        computes: Computes,
    ) -> None:
        self._database = database
        self._desk = desk
        self._waker = waker
        self._relay = relay
        self._host = host
        self._pool = pool
        self._incarnation = incarnation
        self._computes = computes

    # -- asked by itself -----------------------------------------------------

    def ping(self, context: Context) -> str:
        """Answer with the own incarnation."""
        return self._incarnation

    # -- asked by the api ----------------------------------------------------

    def build_instances(self, context: Context, *, steps: list[str]) -> None:
        """Decide where instances go."""
        for step in steps:
            self.try_decide(context, step)

    def migrate_server(
        self,
        context: Context,
        *,
        instance: Instance | dict[str, Any],
        scheduler_hint: dict[str, Any],
        live: bool,
        flavor: dict[str, Any] | None,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        step: str | None = None,
    ) -> None:
        """Decide where a server moves to, and begin the move."""
        if step is None:
            begun = begin.begin(
                self._database,
                context,
                _KINDS[live, flavor is not None],
                _uuid_of(instance),
                events.publisher('conductor', self._host),
                lambda connection, found: {
                    'host': scheduler_hint.get('host'),
                    'flavor': flavor,
                    'block_migration': block_migration,
                    'disk_over_commit': disk_over_commit,
                },
            )
            step = begun.first_step
        self._decide(context, step)

    # -- decisions -----------------------------------------------------------

    def try_decide(self, context: Context, step: str) -> None:
        """Run a decision that nobody waits for; a refusal is recorded."""
        try:
            self._decide(context, step)
        except exception.Unavailable as error:
            LOG.warning('Step %s is decided later: %s', step, error)
        except exception.MinovaException as error:
            # The journal has told it, or another conductor was faster.
            LOG.debug('Step %s: %s', step, error)

    def _decide(self, context: Context, step: str) -> None:
        try:
            wakes = decide.decide(self._database, step, self._desk, self._host)
        finally:
            self._relay.wake()
        self.go_on(context, wakes)

    def go_on(self, context: Context, wakes: list[Wake]) -> None:
        """Run what conductors owe now; wake the hosts for the rest."""
        self._waker.wake(context, self._keep_own(context, wakes))

    def _keep_own(self, context: Context, wakes: list[Wake]) -> list[Wake]:
        """Run what conductors owe now; return what hosts owe."""
        for wake in wakes:
            if wake.topic == 'conductor':
                self._pool.submit(self.try_decide, context, wake.step)
        return [wake for wake in wakes if wake.topic != 'conductor']

    # -- asked by a proxy of consoles ----------------------------------------

    def check_console(self, context: Context, *, token: str) -> dict[str, Any]:
        """Look the token up, then ask the host of its instance."""
        found = consoles.redeem(self._database, token)
        return consoles.way_to(self._computes, context, found)

    def consoles_over(
        self, context: Context, *, instances: list[str]
    ) -> list[str]:
        """Return those that are deleted."""
        living = self._database.read(
            lambda connection: console_rows.living(connection, instances)
        )
        return [uuid for uuid in instances if uuid not in living]

    # -- asked by a compute at work on a step --------------------------------

    def begin_step(
        self, context: Context, *, step: str, host: str, incarnation: str
    ) -> Ticket:
        """Let a compute take a step."""
        ticket = self._database.write(
            lambda connection: baton.take(connection, step, host, incarnation)
        )
        self._relay.wake()
        return ticket

    def save(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        milestone: str,
        facts: dict[str, Any],
    ) -> dict[str, str]:
        """Note that a step has passed a milestone."""
        nested = self._database.write(
            lambda connection: baton.save(
                connection, step, incarnation, milestone, facts
            )
        )
        self._relay.wake()
        return nested

    def finish_step(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        result: dict[str, Any],
    ) -> Answer:
        """End a step well."""
        wakes = self._database.write(
            lambda connection: baton.finish(
                connection, step, incarnation, result
            )
        )
        self._relay.wake()
        return Answer(wakes=self._keep_own(context, wakes))

    def fail_step(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        error: dict[str, Any],
        facts: dict[str, Any],
    ) -> Answer:
        """End a step badly."""
        reason = written.decode(error)
        wakes = self._database.write(
            lambda connection: baton.fail(
                connection, step, incarnation, reason, facts
            )
        )
        self._relay.wake()
        return Answer(wakes=self._keep_own(context, wakes))

    def report_progress(
        self, context: Context, *, migration: int, figures: dict[str, int]
    ) -> None:
        """Note how far a migration is."""
        total = figures.get('memory_total', 0)
        left = figures.get('memory_remaining', 0)
        progress = round(100 * (total - left) / total) if total else 0
        self._database.write(
            lambda connection: moves.note_progress(
                connection, migration, figures, progress
            )
        )

    # -- asked by a compute about its host -----------------------------------

    def register_host(
        self, context: Context, *, report: HostReport
    ) -> list[Duty]:
        """Note that a compute has started."""

        def work(connection: Any) -> list[Duty]:
            hosts.register_service(
                connection,
                operations.COMPUTE,
                report.host,
                report.incarnation,
                report.version,
            )
            hosts.report(connection, report)
            return _duties(connection, report.host)

        LOG.info('Compute %s started.', report.host)
        return self._database.write(work)

    def beat(
        self, context: Context, *, host: str, incarnation: str
    ) -> list[Duty]:
        """Note that a compute lives."""

        def work(connection: Any) -> list[Duty]:
            if not hosts.beat(
                connection, operations.COMPUTE, host, incarnation
            ):
                raise _replaced(connection, host)
            return _duties(connection, host)

        return self._database.write(work)

    def instances_on_host(
        self, context: Context, *, host: str
    ) -> list[InstanceState]:
        """Return what power reconciliation needs."""
        return self._database.read(
            lambda connection: instances.states_on_host(connection, host)
        )

    def report_power(
        self, context: Context, *, host: str, guests: list[GuestReport]
    ) -> None:
        """Correct what differs between a hypervisor and the database."""
        for guest in guests:
            work = functools.partial(power.correct, host=host, guest=guest)
            self.go_on(context, self._database.write(work))
        self._relay.wake()


def _uuid_of(instance: Instance | dict[str, Any]) -> str:
    if isinstance(instance, dict):
        return str(instance['uuid'])
    return instance.uuid


def _replaced(connection: Any, host: str) -> exception.Stale:
    """Return what is said to a start of a compute that is not the newest."""
    down = CONF.conductor.service_down_time
    found = hosts.services(connection, operations.COMPUTE, host)
    silent = any(service.silent > down for service in found)
    kind = exception.Superseded if silent else exception.Stale
    return kind(what=f'Host {host}', holder='this start')


def _duties(connection: Any, host: str) -> list[Duty]:
    now = clock.now()
    return [
        Duty(
            step=step.id,
            method=step.method,
            instance_uuid=step.instance_uuid,
        )
        for step in operations.owed_by_host(connection, host)
        if step.not_before is None or step.not_before <= now
    ]
