# SPDX-License-Identifier: Apache-2.0
"""The methods of the RPC interface ``rpc.conductor``."""

import functools

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import flows
from minova.conductor import power_sync
from minova.conductor.scheduler import Scheduler
from minova.context import Context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import aggregates
from minova.db.queries import console_tokens as console_rows
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import conductor_steps
from minova.engine import console_tokens
from minova.engine import evacuation
from minova.engine import host_enrollment
from minova.engine import service_liveness
from minova.engine import step_lifecycle
from minova.engine.sender_keys import SenderKeys
from minova.exception import serialization
from minova.notifications import events
from minova.notifications.relay import Relay
from minova.objects.checkpoints import Checkpoint
from minova.objects.flavor import Flavor
from minova.objects.host import GuestReport
from minova.objects.host import HostReport
from minova.objects.instance import Instance
from minova.objects.instance import InstanceState
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import MigrateParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import ResizeParams
from minova.objects.step import DueStep
from minova.objects.step import StepAck
from minova.objects.step import StepAssignment
from minova.objects.step import Wakeup
from minova.objects.step_results import StepResult
from minova.rpc import bus as buses
from minova.rpc import contract
from minova.rpc.compute import ComputeClients
from minova.rpc.conductor import Conductor
from minova.rpc.wakeups import Waker

LOG = logging.getLogger(__name__)


class ConductorManager(Conductor):
    """The endpoint of a conductor; it keeps no state in memory."""

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        waker: Waker,
        relay: Relay,
        host: str,
        pool: clock.Pool,
        program_pool: clock.Pool,
        incarnation: str,
        computes: ComputeClients,
        keys: SenderKeys,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._waker = waker
        self._relay = relay
        self._host = host
        self._pool = pool
        self._program_pool = program_pool
        #: The steps in the pool of programs.
        self._program_steps: set[str] = set()
        self._incarnation = incarnation
        self._computes = computes
        self._keys = keys

    def handle_step(
        self, context: Context, method: contract.Method, step: str
    ) -> None:
        """Run a pending step for its wake-up."""
        self.run_soon(context, method.name, step)

    def ping(self, context: Context) -> str:
        """Return the own incarnation."""
        return self._incarnation

    # -- the API -------------------------------------------------------------

    def migrate_server(
        self,
        context: Context,
        *,
        instance: Instance | buses.Json,
        scheduler_hint: dict[str, str | None],
        live: bool,
        flavor: buses.Json | None,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        step: str | None = None,
    ) -> None:
        """Select the destination of a migration, and begin it if needed."""
        if step is None:
            host = scheduler_hint.get('host')
            kind = 'migrate'
            params: OperationParams = MigrateParams(host=host)
            if live:
                kind = 'live_migrate'
                params = LiveMigrateParams(
                    host=host,
                    block_migration=block_migration,
                    disk_over_commit=disk_over_commit,
                )
            elif flavor is not None:
                kind = 'resize'
                params = ResizeParams(host=host, flavor=Flavor(**flavor))
            begun = begin.begin(
                self._database,
                context,
                kind,
                _uuid_of(instance),
                events.publisher_id('conductor', self._host),
                lambda connection, found: params,
            )
            step = begun.first_step
        self._run_conductor_step(context, step)

    # -- conductor steps -----------------------------------------------------

    def run_soon(self, context: Context, method: str, step: str) -> None:
        """Run a conductor step now, or beside the caller if it is slow."""
        if method not in flows.PROGRAM_METHODS:
            self.try_conductor_step(context, step)
        elif step not in self._program_steps:
            self._program_steps.add(step)
            self._program_pool.submit(self._run_program_step, context, step)

    def _run_program_step(self, context: Context, step: str) -> None:
        try:
            self.try_conductor_step(context, step)
        finally:
            self._program_steps.discard(step)

    def try_conductor_step(self, context: Context, step: str) -> None:
        """Run a conductor step; the step records its failure."""
        try:
            self._run_conductor_step(context, step)
        except exception.Unavailable as error:
            LOG.warning('Step %s: the sweeper retries it: %s', step, error)
        except exception.MinovaException as error:
            # The step has logged it, or another conductor was faster.
            LOG.debug('Step %s: %s', step, error)

    def _run_conductor_step(self, context: Context, step: str) -> None:
        try:
            wakeups = conductor_steps.run(
                self._database, step, self._scheduler, self._host
            )
        finally:
            self._relay.wake()
        self.dispatch_wakeups(context, wakeups)

    def dispatch_wakeups(
        self, context: Context, wakeups: list[Wakeup]
    ) -> None:
        """Run the conductor steps here and wake the hosts of the others."""
        self._waker.wake(context, self._run_own_wakeups(context, wakeups))

    def _run_own_wakeups(
        self, context: Context, wakeups: list[Wakeup]
    ) -> list[Wakeup]:
        """Run the conductor steps here; return the wake-ups for hosts."""
        for wakeup in wakeups:
            if wakeup.topic == 'conductor':
                self._pool.submit(
                    self.run_soon, context, wakeup.method, wakeup.step
                )
        return [wakeup for wakeup in wakeups if wakeup.topic != 'conductor']

    # -- for the console proxy -----------------------------------------------

    def check_console(
        self, context: Context, *, token: str
    ) -> dict[str, str | int | None]:
        """Validate a token and ask the host for the console's address."""
        found = console_tokens.validate(self._database, token)
        console_tokens.require_relayed(found)
        return console_tokens.get_connect_info(self._computes, context, found)

    def closed_consoles(
        self, context: Context, *, instances: list[str]
    ) -> list[str]:
        """Return those of ``instances`` that are deleted."""
        living = self._database.read(
            lambda connection: console_rows.filter_existing(
                connection, instances
            )
        )
        return [uuid for uuid in instances if uuid not in living]

    # -- for a compute that runs a step --------------------------------------

    def start_step(
        self, context: Context, *, step: str, host: str, incarnation: str
    ) -> StepAssignment:
        """Start a step on a compute."""
        assignment = self._database.write(
            lambda connection: step_lifecycle.start(
                connection, step, host, incarnation
            )
        )
        self._relay.wake()
        return assignment

    def save_checkpoint(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        checkpoint: Checkpoint,
    ) -> dict[str, str]:
        """Record that a step has passed a checkpoint."""
        nested = self._database.write(
            lambda connection: step_lifecycle.save_checkpoint(
                connection, step, host, incarnation, checkpoint
            )
        )
        self._relay.wake()
        return nested

    def finish_step(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        result: StepResult,
    ) -> StepAck:
        """Record that a step is done."""
        wakeups = self._database.write(
            lambda connection: step_lifecycle.finish(
                connection, step, host, incarnation, result
            )
        )
        self._relay.wake()
        return StepAck(wakeups=self._run_own_wakeups(context, wakeups))

    def fail_step(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        error: buses.Json,
        power_state: int | None,
        guest_untouched: bool,
    ) -> StepAck:
        """Record that a step has failed."""
        reason = serialization.decode(error)
        wakeups = self._database.write(
            lambda connection: step_lifecycle.fail(
                connection,
                step,
                host,
                incarnation,
                reason,
                power_state,
                guest_untouched,
            )
        )
        self._relay.wake()
        return StepAck(wakeups=self._run_own_wakeups(context, wakeups))

    def report_progress(
        self,
        context: Context,
        *,
        host: str,
        migration: int,
        byte_counts: dict[str, int],
    ) -> None:
        """Record the progress of a migration."""
        total = byte_counts.get('memory_total', 0)
        left = byte_counts.get('memory_remaining', 0)
        progress = round(100 * (total - left) / total) if total else 0
        self._database.write(
            lambda connection: migrations.update_progress(
                connection, migration, host, byte_counts, progress
            )
        )

    def report_step_progress(
        self, context: Context, *, host: str, step: str, percent: int
    ) -> None:
        """Record the progress of a step, as that of the instance."""
        self._database.write(
            lambda connection: operations.update_progress(
                connection, step, host, min(max(percent, 0), 100)
            )
        )

    # -- for a compute, about keys -------------------------------------------

    def enroll_host(
        self,
        context: Context,
        *,
        host: str,
        public_key: str,
        token: str | None,
    ) -> dict[str, str | float]:
        """Accept or confirm the key of a host."""
        now = self._database.write(
            lambda connection: host_enrollment.enroll(
                connection, host, public_key, token
            )
        )
        self._keys.forget(host)
        return {
            'control_plane_key': self._keys.control_plane_key(),
            'time': now.timestamp(),
        }

    def get_host_key(self, context: Context, *, host: str, peer: str) -> str:
        """Return the key of another host."""
        return self._keys.host_key(peer)

    # -- for a compute, about its host ---------------------------------------

    def evacuated_instances(
        self, context: Context, *, host: str
    ) -> dict[str, bool]:
        """Return the instances whose old guests a host must destroy."""
        return self._database.read(
            lambda connection: evacuation.list_stale_guests(connection, host)
        )

    def register_host(
        self, context: Context, *, report: HostReport
    ) -> list[DueStep]:
        """Register an incarnation of a compute; return its open steps."""

        def work(connection: Connection) -> list[DueStep]:
            hosts.register_service(
                connection,
                operations.COMPUTE_BINARY,
                report.host,
                report.incarnation,
                report.version,
            )
            aggregates.lock(connection)
            hosts.save_host_report(connection, report)
            aggregates.apply_zones(connection, [report.host])
            return _due_steps(connection, report.host)

        LOG.info('Compute %s has registered.', report.host)
        return self._database.write(work)

    def heartbeat(
        self,
        context: Context,
        *,
        host: str,
        incarnation: str,
        hypervisor_error: str | None,
    ) -> list[DueStep]:
        """Record a heartbeat; return the steps that are due."""

        def work(connection: Connection) -> list[DueStep]:
            if not hosts.record_heartbeat(
                connection,
                operations.COMPUTE_BINARY,
                host,
                incarnation,
                hypervisor_error,
            ):
                raise _replaced_error(connection, host)
            return _due_steps(connection, host)

        return self._database.write(work)

    def instances_on_host(
        self, context: Context, *, host: str
    ) -> list[InstanceState]:
        """Return the states of the instances on a host."""
        return self._database.read(
            lambda connection: instances.list_states_on_host(connection, host)
        )

    def report_power_states(
        self, context: Context, *, host: str, guests: list[GuestReport]
    ) -> None:
        """Act on differences between a hypervisor and the database."""
        for guest in guests:
            work = functools.partial(
                power_sync.reconcile_guest, host=host, guest=guest
            )
            self.dispatch_wakeups(context, self._database.write(work))
        self._relay.wake()


def _uuid_of(instance: Instance | buses.Json) -> str:
    if isinstance(instance, dict):
        return str(instance['uuid'])
    return instance.uuid


def _replaced_error(connection: Connection, host: str) -> exception.Stale:
    """Return the error for an incarnation that is not the newest."""
    found = hosts.list_services(connection, operations.COMPUTE_BINARY, host)
    silent = any(
        service_liveness.is_silent(service.heartbeat_age)
        or service.incarnation == hosts.REVOKED
        for service in found
    )
    kind = exception.Superseded if silent else exception.Stale
    return kind(what=f'Host {host}', holder='this start')


def _due_steps(connection: Connection, host: str) -> list[DueStep]:
    now = clock.now()
    return [
        DueStep(
            step=step.id,
            method=step.method,
            instance_uuid=step.instance_uuid,
        )
        for step in operations.list_open_steps_on_host(connection, host)
        if step.not_before is None or step.not_before <= now
    ]
