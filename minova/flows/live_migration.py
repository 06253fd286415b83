# SPDX-License-Identifier: Apache-2.0
"""Live migration of a running guest to another host.

= ====================================== ========= ========================
# step                                   where     undone by
= ====================================== ========= ========================
1 migrate_server                         conductor release of the claim
2 live_migration                         source    nothing to undo
3 pre_live_migration (called by 2)       dest      rollback_live_migration\
                                                   _at_destination
4 post_live_migration_at_destination     dest      cannot be undone
  (called by 2)
= ====================================== ========= ========================

The task state is ``migrating`` until 4 ends. The source owns the instance
until the hypervisor reports success and step 2 passes the checkpoint
GuestMigrated; from then on the destination owns it. An error before the
checkpoint leaves the guest running on the source; after the checkpoint the
steps are retried until the destination has the guest.

The operations that abort and force a live migration run concurrently with
it: see ``abort`` and ``force_complete``.
"""

from oslo_log import log as logging

from minova import exception
from minova import migration_states
from minova import states
from minova.conf import CONF
from minova.flows import migration_monitor
from minova.flows import power_actions
from minova.flows import retries
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import LiveMigrationTarget
from minova.flows.base import Prechecked
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.checkpoints import Checkpoint
from minova.objects.checkpoints import GuestMigrated
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import OperationParams
from minova.objects.step_args import LiveMigrateArgs
from minova.objects.step_args import NoArgs
from minova.objects.step_args import SelectHostArgs
from minova.objects.step_results import GuestState
from minova.objects.step_results import HostFenced
from minova.objects.step_results import HostSelected
from minova.objects.step_results import LiveMigrationPrepared
from minova.objects.step_results import NoResult
from minova.objects.step_results import StepResult
from minova.states import PowerState

LOG = logging.getLogger(__name__)

#: Seconds to wait for a destination that does not answer: longer than the
#: restart of a compute service, a broker or a database takes.
_DESTINATION_TIMEOUT = 300.0

# -- on a conductor ----------------------------------------------------------


class MigrateServer(ConductorStep[SelectHostArgs, StepResult]):
    """Find a destination that can receive the guest."""

    method = 'migrate_server'
    event_method = 'live_migrate_instance'
    needs_precheck = True

    def precheck(
        self,
        scheduler: Scheduler,
        step: records.Step,
        params: OperationParams,
        instance: Instance,
    ) -> LiveMigrationTarget:
        """Let hosts and the source check the migration, before any claim."""
        excluded = SelectHostArgs.narrow(step.args).excluded_hosts
        return scheduler.select_live_migration_host(
            instance,
            LiveMigrateParams.narrow(params),
            {**excluded, str(instance.host): 'it has the server'},
        )

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: SelectHostArgs,
        prechecked: Prechecked,
    ) -> StepResult:
        """Claim the destination and enqueue the migration on the source."""
        assert prechecked is not None
        assert not isinstance(prechecked, HostFenced)
        instance, dest = uow.instance, prechecked.host
        if not uow.claim(
            dest.host, instance.flavor, uow.operation.id, is_running=True
        ):
            # The next selection has the new usage, which filters the host.
            uow.enqueue(MigrateServer, args)
            return NoResult()
        uow.begin_migration(
            migration_states.LIVE_MIGRATION,
            dest_host=dest.host,
            dest_node=dest.hypervisor_hostname,
            dest_ip=dest.address,
            new_flavor=instance.flavor,
        )
        uow.enqueue(
            LiveMigration,
            LiveMigrateArgs(migrate_data=prechecked.migrate_data),
            host=instance.host,
        )
        return HostSelected(host=dest.host)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Release the claim."""
        if isinstance(step.result, HostSelected):
            uow.release(step.result.host, consumer=uow.operation.id)


# -- on the destination ------------------------------------------------------


class RollbackLiveMigrationAtDestination(
    ComputeStep[LiveMigrateArgs, NoResult]
):
    """Remove the preparations, and a guest that did not arrive."""

    method = 'rollback_live_migration_at_destination'
    retry_until_done = True
    deferrable = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the clean-up."""
        _emit_start(uow, 'live_migration.rollback.dest')

    def run(self, ctx: StepContext, args: LiveMigrateArgs) -> NoResult:
        """Clean up."""
        ctx.driver.rollback_live_migration_at_destination(
            ctx.instance.uuid, args.migrate_data
        )
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Emit the end of the clean-up."""
        _emit_end(uow, 'live_migration.rollback.dest')


class PreLiveMigration(ComputeStep[LiveMigrateArgs, LiveMigrationPrepared]):
    """Prepare the destination for the guest."""

    method = 'pre_live_migration'
    reply_timeout = 60
    undo = RollbackLiveMigrationAtDestination

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the preparation."""
        _emit_start(uow, 'live_migration.pre')

    def run(
        self, ctx: StepContext, args: LiveMigrateArgs
    ) -> LiveMigrationPrepared:
        """Prepare."""
        spec = ctx.spec(fetch_kernel=True)
        block_migration = args.migrate_data.block_migration
        image = _fetch_image(ctx) if block_migration else None
        return LiveMigrationPrepared(
            migrate_data=ctx.driver.pre_live_migration(
                spec, args.migrate_data, image
            )
        )

    def on_success(
        self, uow: UnitOfWork, result: LiveMigrationPrepared
    ) -> None:
        """Pass the migration to running."""
        uow.advance_migration(migration_states.RUNNING)
        _emit_end(uow, 'live_migration.pre')

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Emit the failure of the preparation."""
        uow.emit_error('live_migration.pre', error)


class PostLiveMigrationAtDestination(ComputeStep[NoArgs, GuestState]):
    """Make the destination's definition of the guest persistent."""

    method = 'post_live_migration_at_destination'
    reply_timeout = 60
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the takeover."""
        _emit_start(uow, 'live_migration.post.dest')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestState:
        """Define the guest as this host configures its guests."""
        ctx.driver.define(ctx.spec())
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: GuestState) -> None:
        """Release the instance; the source still has to clean up."""
        uow.update_instance(progress=None, power_state=result.power_state)
        uow.finish()
        uow.advance_migration(migration_states.COMPLETED)
        _emit_end(uow, 'live_migration.post.dest')


# -- on the source -----------------------------------------------------------


class LiveMigration(ComputeStep[LiveMigrateArgs, NoResult]):
    """Migrate the guest, monitor it, and clean up."""

    method = 'live_migration'
    point_of_no_return = GuestMigrated
    nested_steps = (PreLiveMigration, PostLiveMigrationAtDestination)

    def on_start(self, uow: UnitOfWork) -> None:
        """Enqueue the preparation of the destination, as a nested step."""
        uow.enqueue(
            PreLiveMigration,
            LiveMigrateArgs.narrow(uow.step.args),
            host=uow.migration.dest_host,
            nested=True,
        )
        uow.advance_migration(migration_states.PREPARING)

    def run(self, ctx: StepContext, args: LiveMigrateArgs) -> NoResult:
        """Start or resume the migration; after success let the dest finish."""
        dest = str(ctx.migration.dest_host)
        if ctx.find_checkpoint(GuestMigrated) is None:
            _migrate_or_unpause(ctx, dest, args.migrate_data)
            ctx.save_checkpoint(GuestMigrated())
        ctx.call_step(PostLiveMigrationAtDestination, host=dest)
        ctx.driver.destroy(ctx.instance.uuid)
        if args.migrate_data.block_migration:
            ctx.driver.remove_disks(ctx.instance.uuid)
        return NoResult()

    def on_checkpoint(self, uow: UnitOfWork, checkpoint: Checkpoint) -> None:
        """Make the destination the owner of the instance."""
        migration, instance = uow.migration, uow.instance
        _emit_start(uow, 'live_migration._post')
        uow.set_host(migration.dest_host, migration.dest_node)
        uow.transfer_claim(
            migration.source_host, instance.uuid, to=uow.operation.id
        )
        uow.transfer_claim(
            str(migration.dest_host), uow.operation.id, to=instance.uuid
        )
        uow.enqueue(
            PostLiveMigrationAtDestination,
            NoArgs(),
            host=migration.dest_host,
            nested=True,
        )

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claim on the source."""
        uow.release(uow.migration.source_host, consumer=uow.operation.id)
        _emit_end(uow, 'live_migration._post')

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """End the record; before the checkpoint, begin the rollback."""
        uow.update_instance(progress=None)
        if self.has_passed_point_of_no_return(uow.step):
            uow.end_migration(migration_states.ERROR)
            return
        if isinstance(error, exception.Cancelled):
            uow.advance_migration(migration_states.CANCELLED)
        elif _find_failed_preparation(uow) is None:
            uow.advance_migration(migration_states.ERROR)
        _emit_start(uow, 'live_migration._rollback')


def _find_failed_preparation(uow: UnitOfWork) -> records.Step | None:
    """Return the step of the newest destination, which could not prepare.

    None when the migration has started, when it is to be aborted, or when
    the user has requested the host: then no other host is tried.
    """
    params = LiveMigrateParams.narrow(uow.operation.params)
    steps = uow.steps()
    selections = [s for s in steps if s.method == MigrateServer.method]
    sources = [s for s in steps if s.method == LiveMigration.method]
    preparations = [s for s in steps if s.method == PreLiveMigration.method]
    is_settled = (
        params.host is not None
        or params.abort_requested is not None
        or uow.now > uow.operation.deadline
        or any(step.error is not None for step in selections)
        or len(preparations) < len(sources)
    )
    if is_settled or not preparations or preparations[-1].result is not None:
        return None
    return preparations[-1]


def _emit_start(uow: UnitOfWork, event: str) -> None:
    uow.emit_start(event, fixed_ips=payload.fixed_ips(uow.instance))


def _emit_end(uow: UnitOfWork, event: str) -> None:
    uow.emit_end(event, fixed_ips=payload.fixed_ips(uow.instance))


def _migrate_or_unpause(
    ctx: StepContext, dest: str, migrate_data: LiveMigrateData
) -> None:
    """Migrate the guest; unpause a guest that stays on this host."""
    try:
        _migrate(ctx, dest, migrate_data)
    except (exception.Stale, exception.OutcomeUncertain):
        raise
    except exception.MinovaException:
        _unpause_if_needed(ctx)
        raise


def _unpause_if_needed(ctx: StepContext) -> None:
    """Unpause a guest that a forced completion has paused here."""
    should_run = ctx.instance.vm_state == states.ACTIVE
    if should_run and migration_monitor.may_be_forced(ctx):
        guest = migration_monitor.query(ctx, ctx.driver.guest)
        if guest is not None and guest.power is PowerState.PAUSED:
            migration_monitor.query(ctx, ctx.driver.unpause)


def _migrate(
    ctx: StepContext, dest: str, migrate_data: LiveMigrateData
) -> None:
    """Migrate the guest and return when it runs on ``dest``.

    Raises Cancelled or GuestMigrationFailed; the guest then runs here.
    """
    # An abort may have been requested while this service was down.
    params = LiveMigrateParams.narrow(ctx.params)
    aborted = params.abort_requested is not None
    if not (ctx.is_resumed and _is_in_progress(ctx, dest)):
        if aborted:
            raise exception.Cancelled(operation='live migration')
        prepared = ctx.call_step(
            PreLiveMigration, host=dest, timeout=_DESTINATION_TIMEOUT
        )
        ctx.check_cancelled()
        if ctx.is_resumed:
            # A guest that is paused at the start arrives paused.
            _unpause_if_needed(ctx)
        agreed = migrate_data.with_preparation(prepared.migrate_data)
        _start_migration(ctx, dest, agreed)
    elif aborted:
        migration_monitor.query(ctx, ctx.driver.abort_migration)
    migration_monitor.monitor(ctx, dest, migrate_data)


def _fetch_image(ctx: StepContext) -> str | None:
    """Return the path of the guest's image on the destination, or None.

    Without the image the block migration copies whole disks, and not only the
    differences from the image.
    """
    try:
        return ctx.fetch_image()
    except exception.MinovaException as error:
        LOG.warning(
            'Guest %s: image unavailable, block migration copies whole '
            'disks: %s',
            ctx.instance.uuid,
            error,
        )
        return None


def _is_in_progress(ctx: StepContext, dest: str) -> bool:
    """Tell whether an earlier attempt has started the migration.

    Raises GuestMigrationFailed when the guest runs on neither host.
    """
    # The status first: a guest that is still on after it was not the end of
    # a migration between the two queries.
    status = migration_monitor.query(ctx, ctx.driver.migration_status)
    if migration_monitor.is_on(ctx):
        return status.state == 'running'
    migration_monitor.require_arrived(ctx, dest)
    return True


def _start_migration(
    ctx: StepContext, dest: str, migrate_data: LiveMigrateData
) -> None:
    """Start the migration; it may have started in spite of an error."""
    try:
        ctx.driver.start_live_migration(
            ctx.instance.uuid, ctx.peer(), migrate_data
        )
    except exception.GuestFailed:
        if not _is_in_progress(ctx, dest):
            raise


class LiveMigrate(Flow):
    """Migrate the guest while it runs."""

    params_class = LiveMigrateParams
    has_migration = True
    # As the API reference has it: 400, not 409.
    host_down_class = exception.ComputeServiceUnavailable
    steps = (
        MigrateServer,
        LiveMigration,
        PreLiveMigration,
        PostLiveMigrationAtDestination,
        RollbackLiveMigrationAtDestination,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the selection of a destination."""
        uow.enqueue(MigrateServer, SelectHostArgs(excluded_hosts={}))

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try the next host; fail when none is left.

        The guest has kept running on the source.
        """
        failed = _find_failed_preparation(uow)
        if failed is not None and not isinstance(error, exception.Cancelled):
            selection = retries.select_after(uow, failed, error)
            limit = CONF.scheduler.max_live_migration_candidates
            if len(selection.excluded_hosts) < limit:
                _emit_end(uow, 'live_migration._rollback')
                uow.restart()
                uow.enqueue(MigrateServer, selection)
                return
            error = exception.NoValidHost.of_hosts(selection.excluded_hosts)
        # The source ends the record only of a migration that it has begun.
        uow.end_migration(migration_states.ERROR)
        uow.fail(error, end_event='live_migration._rollback')
