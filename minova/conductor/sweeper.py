# SPDX-License-Identifier: Apache-2.0
"""The sweeper: periodic recovery of open steps and overdue operations.

One conductor sweeps at a time, the holder of a lease. The sweeper acts on the
database alone, so any conductor can.
"""

import datetime

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import flows
from minova import migration_states
from minova.conductor import reclaim
from minova.conductor import shelved
from minova.conductor.host_liveness import HostLiveness
from minova.conductor.manager import ConductorManager
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import console_tokens
from minova.db.queries import hosts
from minova.db.queries import leases
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import migration_records
from minova.engine import recovery
from minova.engine import recovery_rules
from minova.engine.step_records import wakeup_for
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.migration import Migration
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.periodic import PeriodicTask
from minova.rpc.wakeups import Waker

LOG = logging.getLogger(__name__)

_LEASE = 'sweeper'


class Sweeper:
    """A periodic task over all open steps."""

    def __init__(
        self,
        database: Database,
        manager: ConductorManager,
        waker: Waker,
        liveness: HostLiveness,
        holder: str,
        host: str,
    ) -> None:
        self._database = database
        self._manager = manager
        self._waker = waker
        self._liveness = liveness
        self._holder = holder
        self._host = host
        self._loop = PeriodicTask(
            'sweeper', self._run_round, lambda: CONF.conductor.sweep_interval
        )

    def start(self) -> None:
        """Start the periodic task."""
        self._loop.start()

    def stop(self) -> None:
        """Stop sweeping and release the lease."""
        self._loop.stop()
        leases.release(self._database, _LEASE, self._holder)

    def _run_round(self) -> None:
        # The lease outlasts a round: no other conductor sweeps meanwhile.
        span = CONF.conductor.sweep_interval + CONF.conductor.lease_time
        if leases.acquire(self._database, _LEASE, self._holder, span):
            self.sweep()

    def sweep(self) -> None:
        """Check all open steps once."""
        self._recover_steps()
        self._recover_overdue()
        if CONF.conductor.resize_confirm_window > 0:
            self._confirm_old_resizes()
        self._manager.dispatch_wakeups(
            get_admin_context(),
            [
                *reclaim.reclaim_soft_deleted(self._database, self._host),
                *shelved.offload_shelved(self._database, self._host),
            ],
        )
        self._delete_expired_tokens()

    # -- steps ---------------------------------------------------------------

    def _recover_steps(self) -> None:
        down = self._database.read(self._find_down_hosts)
        sick = self._database.read(_find_sick_hosts)
        steps = self._database.read(operations.list_open_steps)
        waiting = self._database.read(operations.list_waiting_ids)
        for step in steps:
            if step.topic == 'conductor':
                self._run_if_old(step)
            elif step.host in down:
                self._handle_host_down(step, down[str(step.host)])
            elif (
                step.host in sick and step.method in flows.METHODS_WITHOUT_HOST
            ):
                self._handle_hypervisor_failure(step, sick[str(step.host)])
            elif step.operation_id in waiting and (
                step.state == records.RUNNING
            ):
                self._handle_host_return(step)
            else:
                self._wake_if_old(step)

    def _handle_host_return(self, step: records.Step) -> None:
        self._database.write(
            lambda connection: recovery.handle_host_return(
                connection, step.id, self._host
            )
        )

    def _run_if_old(self, step: records.Step) -> None:
        if _is_old(step) and _is_due(step):
            LOG.info(
                'Operation %s instance=%s: step %s is still pending; the '
                'sweeper runs it',
                step.operation_id,
                step.instance_uuid,
                step.method,
            )
            self._manager.run_soon(get_admin_context(), step.method, step.id)

    def _wake_if_old(self, step: records.Step) -> None:
        due = _is_due(step)
        pending = step.state == records.PENDING and not step.nested
        if pending and due and _is_old(step):
            self._waker.wake(get_admin_context(), [wakeup_for(step)])

    def _handle_host_down(self, step: records.Step, why: str) -> None:
        wakeups = self._database.write(
            lambda connection: recovery.handle_host_down(
                connection, step.id, why, self._host
            )
        )
        self._manager.dispatch_wakeups(get_admin_context(), wakeups)

    def _handle_hypervisor_failure(self, step: records.Step, why: str) -> None:
        wakeups = self._database.write(
            lambda connection: recovery.handle_hypervisor_failure(
                connection, step.id, why, self._host
            )
        )
        self._manager.dispatch_wakeups(get_admin_context(), wakeups)

    # -- deadlines -----------------------------------------------------------

    def _recover_overdue(self) -> None:
        now = clock.now()
        for step, is_running in self._database.read(
            lambda connection: self._find_overdue_steps(connection, now)
        ):
            self._handle_deadline(step.id, is_running)

    def _handle_deadline(self, step_id: str, is_running: bool) -> None:
        wakeups = self._database.write(
            lambda connection: recovery.handle_deadline(
                connection, step_id, is_running, self._host
            )
        )
        self._manager.dispatch_wakeups(get_admin_context(), wakeups)

    def _find_down_hosts(self, connection: Connection) -> dict[str, str]:
        """Return the hosts whose compute is down, each with the reason."""
        return {
            service.host: why
            for service in hosts.list_services(
                connection, operations.COMPUTE_BINARY
            )
            if (why := self._liveness.down_reason(service)) is not None
        }

    def _find_overdue_steps(
        self, connection: Connection, moment: datetime.datetime
    ) -> list[tuple[records.Step, bool]]:
        """Return the open steps of operations past their deadline.

        Each comes with whether the current incarnation of its service runs
        it. A step whose host is down is left out: it waits for the host.
        """
        down = self._find_down_hosts(connection)
        incarnations = {
            service.host: service.incarnation
            for service in hosts.list_services(
                connection, operations.COMPUTE_BINARY
            )
        }
        late = {o.id for o in operations.list_overdue(connection, moment)}
        return [
            (
                step,
                recovery_rules.is_running(
                    step, incarnations.get(str(step.host))
                ),
            )
            for step in operations.list_open_steps(connection)
            if step.operation_id in late and step.host not in down
        ]

    # -- automatic confirmation ----------------------------------------------

    def _confirm_old_resizes(self) -> None:
        window = CONF.conductor.resize_confirm_window
        moment = clock.now() - datetime.timedelta(seconds=window)
        waiting = self._database.read(
            lambda connection: migrations.list_unconfirmed(connection, moment)
        )
        for migration in waiting:
            self._confirm(migration)

    def _confirm(self, migration: Migration) -> None:
        context = get_admin_context()
        try:
            begun = begin.begin(
                self._database,
                context,
                'confirm_resize',
                migration.instance_uuid,
                events.publisher_id('conductor', self._host),
                lambda connection, instance: UnconfirmedResizeParams(
                    migration_id=migration.id
                ),
            )
        except exception.InstanceInvalidState as error:
            LOG.warning(
                'Migration %s of instance %s cannot be confirmed: %s',
                migration.id,
                migration.instance_uuid,
                error,
            )
            self._database.write(
                lambda connection: migration_records.advance(
                    connection, migration, migration_states.ERROR, clock.now()
                )
            )
            return
        except exception.NotFound:
            LOG.debug(
                'Migration %s: instance %s is deleted',
                migration.id,
                migration.instance_uuid,
            )
            return
        self._manager.dispatch_wakeups(context, begun.wakeups)

    # -- consoles ------------------------------------------------------------

    def _delete_expired_tokens(self) -> None:
        """Delete the console tokens that have expired."""
        now = clock.now()
        # Most rounds find none; a read does not block other writers.
        if self._database.read(lambda c: console_tokens.has_expired(c, now)):
            self._database.write(
                lambda c: console_tokens.delete_expired(c, now)
            )


def _find_sick_hosts(connection: Connection) -> dict[str, str]:
    """Return the hosts whose hypervisor cannot be used, with the reason."""
    return {
        service.host: service.hypervisor_error
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY
        )
        if service.hypervisor_error is not None
    }


def _is_old(step: records.Step) -> bool:
    age = clock.now() - step.created_at
    return bool(age.total_seconds() >= CONF.conductor.sweep_interval / 2)


def _is_due(step: records.Step) -> bool:
    return step.not_before is None or step.not_before <= clock.now()
