# SPDX-License-Identifier: Apache-2.0
"""Live migration: a guest changes host while it runs.

= ====================================== ========= ========================
# step                                   where     taken back by
= ====================================== ========= ========================
1 migrate_server                         conductor releasing the room
2 live_migration                         source    nothing to take back
3 pre_live_migration (called by 2)       dest      rollback_live_migration\
                                                   _at_destination
4 post_live_migration_at_destination     dest      no way back
  (called by 2)
= ====================================== ========= ========================

The task state is ``migrating`` until 4 ends. The database names the source as
the owner until the hypervisor reports success and the destination from then
on: the checkpoint ``migrated`` of step 2. Before it, every failure leaves the
guest running at the source; after it, every failure is worked off until the
destination has it.

To abort it and to force it are operations of their own that run beside:
``abort`` and ``force_complete``.
"""

from oslo_log import log as logging

from minova import exception
from minova import migration_states
from minova import states
from minova.flows import migration_monitor
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import OperationParams
from minova.states import PowerState

LOG = logging.getLogger(__name__)

#: Seconds for which a destination that does not answer is waited for: longer
#: than it takes to start a compute, a broker or a database again.
_DESTINATION_TIMEOUT = 300.0

# -- in a conductor ----------------------------------------------------------


class MigrateServer(ConductorStep):
    """Find a destination that can receive the guest."""

    method = 'migrate_server'
    needs_precheck = True

    def precheck(
        self,
        scheduler: Scheduler,
        step: records.Step,
        params: OperationParams,
        instance: Instance,
    ) -> JsonDict:
        """Ask hosts, and the source, before anything is claimed."""
        return scheduler.select_live_migration_host(
            instance,
            LiveMigrateParams.narrow(params),
            (str(instance.host),),
        )

    def run(
        self, uow: UnitOfWork, scheduler: Scheduler, prechecked: JsonDict
    ) -> JsonDict:
        """Claim room at the destination and let the source begin."""
        instance = uow.instance
        dest = prechecked['host']
        if not uow.claim(dest, instance.flavor, uow.operation.id):
            raise exception.NoValidHost(
                reason=f'Host {dest} passed the checks, but another instance '
                'took its room meanwhile.'
            )
        uow.begin_migration(
            migration_states.LIVE_MIGRATION,
            dest_host=dest,
            dest_node=prechecked['node'],
            dest_ip=prechecked['address'],
            new_flavor=instance.flavor,
        )
        uow.enqueue(
            LiveMigration,
            host=instance.host,
            migrate_data=prechecked['migrate_data'],
        )
        return {'host': dest}

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Give the room back."""
        if step.result:
            uow.release(step.result['host'], consumer=uow.operation.id)


# -- on the destination ------------------------------------------------------


class RollbackLiveMigrationAtDestination(ComputeStep):
    """Remove what was made ready, and a guest that did not arrive."""

    method = 'rollback_live_migration_at_destination'
    retry_until_done = True
    deferrable = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the destination cleans up."""
        uow.emit_start('live_migration.rollback.dest', **_fixed_ips(uow))

    def run(self, ctx: StepContext) -> JsonDict:
        """Clean up."""
        ctx.driver.rollback_live_migration_at_destination(
            ctx.instance.uuid, migration_monitor.read_migrate_data(ctx)
        )
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Tell that nothing is left."""
        uow.emit_end('live_migration.rollback.dest', **_fixed_ips(uow))


class PreLiveMigration(ComputeStep):
    """Make ready what the guest will need."""

    method = 'pre_live_migration'
    reply_timeout = 60
    undo = RollbackLiveMigrationAtDestination

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the destination prepares."""
        uow.emit_start('live_migration.pre', **_fixed_ips(uow))

    def run(self, ctx: StepContext) -> JsonDict:
        """Prepare."""
        migrate_data = migration_monitor.read_migrate_data(ctx)
        spec = ctx.spec(fetch_kernel=True)
        image = _fetch_image(ctx) if migrate_data.block_migration else None
        prepared = ctx.driver.pre_live_migration(spec, migrate_data, image)
        return {'migrate_data': prepared.to_wire()}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The guest may come."""
        uow.advance_migration(migration_states.RUNNING)
        uow.emit_end('live_migration.pre', **_fixed_ips(uow))

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Tell that it cannot come."""
        uow.emit_error('live_migration.pre', error)


class PostLiveMigrationAtDestination(ComputeStep):
    """Make the guest that arrived this host's own."""

    method = 'post_live_migration_at_destination'
    reply_timeout = 60
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that the destination takes over."""
        uow.emit_start('live_migration.post.dest', **_fixed_ips(uow))

    def run(self, ctx: StepContext) -> JsonDict:
        """Make its definition last, under this host's own word."""
        ctx.driver.define(ctx.spec())
        return power_actions.read_power_state(ctx)

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The instance is let go of; the source still cleans up."""
        uow.update_instance(progress=None, **result)
        uow.finish()
        uow.advance_migration(migration_states.COMPLETED)
        uow.emit_end('live_migration.post.dest', **_fixed_ips(uow))


# -- on the source -----------------------------------------------------------


class LiveMigration(ComputeStep):
    """Move the guest, watch it go, hand over, clean up."""

    method = 'live_migration'
    point_of_no_return = 'migrated'
    nested_steps = (PreLiveMigration, PostLiveMigrationAtDestination)

    def on_start(self, uow: UnitOfWork) -> None:
        """Let the destination prepare, when it is called."""
        move = uow.migration
        uow.enqueue(
            PreLiveMigration,
            host=move.dest_host,
            nested=True,
            migrate_data=uow.step.args['migrate_data'],
        )
        uow.advance_migration(migration_states.PREPARING)

    def run(self, ctx: StepContext) -> JsonDict:
        """Begin or find again the move; after success hand over."""
        dest = str(ctx.migration.dest_host)
        if 'migrated' not in ctx.checkpoints:
            _migrate_or_resume(ctx, dest)
            ctx.save_checkpoint('migrated')
        ctx.call_step(PostLiveMigrationAtDestination, host=dest)
        ctx.driver.destroy(ctx.instance.uuid)
        if migration_monitor.read_migrate_data(ctx).block_migration:
            ctx.driver.remove_disks(ctx.instance.uuid)
        return {}

    def on_checkpoint(
        self, uow: UnitOfWork, checkpoint: str, facts: JsonDict
    ) -> None:
        """The guest has moved, and with it the instance."""
        move, instance = uow.migration, uow.instance
        uow.emit_start('live_migration._post', **_fixed_ips(uow))
        uow.update_instance(host=move.dest_host, node=move.dest_node)
        uow.transfer_claim(
            move.source_host, instance.uuid, to=uow.operation.id
        )
        uow.transfer_claim(
            str(move.dest_host), uow.operation.id, to=instance.uuid
        )
        uow.enqueue(
            PostLiveMigrationAtDestination, host=move.dest_host, nested=True
        )

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Nothing of it is left at the source."""
        source = uow.migration.source_host
        uow.release(source, consumer=uow.operation.id)
        uow.emit_end('live_migration._post', **_fixed_ips(uow))

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """End the record; before the guest has moved, begin the rollback."""
        uow.update_instance(progress=None)
        if self.point_of_no_return in uow.step.checkpoints:
            uow.end_migration(migration_states.ERROR)
            return
        cancelled = isinstance(error, exception.Cancelled)
        uow.advance_migration(
            migration_states.CANCELLED if cancelled else migration_states.ERROR
        )
        uow.emit_start('live_migration._rollback', **_fixed_ips(uow))


def _fixed_ips(uow: UnitOfWork) -> JsonDict:
    return {'fixed_ips': payload.fixed_ips(uow.instance)}


def _migrate_or_resume(ctx: StepContext, dest: str) -> None:
    """Move the guest; one that stays runs on, also when it was forced."""
    try:
        _migrate(ctx, dest)
    except (exception.Stale, exception.OutcomeUncertain):
        raise
    except exception.MinovaException:
        _unpause_if_needed(ctx)
        raise


def _unpause_if_needed(ctx: StepContext) -> None:
    """Let a guest go on that was paused to be moved, and was not moved."""
    wanted_on = ctx.instance.vm_state == states.ACTIVE
    if wanted_on and migration_monitor.may_be_forced(ctx):
        guest = migration_monitor.query(ctx, ctx.driver.guest)
        if guest is not None and guest.power is PowerState.PAUSED:
            migration_monitor.query(ctx, ctx.driver.unpause)


def _migrate(ctx: StepContext, dest: str) -> None:
    """Move the guest and return when it runs at ``dest``.

    Raises Cancelled or GuestMigrationFailed; the guest then runs here.
    """
    # Somebody may have asked for its end while nobody watched.
    params = LiveMigrateParams.narrow(ctx.params)
    cancelled = params.abort_requested is not None
    if not (ctx.is_resumed and _is_in_progress(ctx, dest)):
        if cancelled:
            raise exception.Cancelled(operation='live migration')
        prepared = ctx.call_step(
            PreLiveMigration, host=dest, timeout=_DESTINATION_TIMEOUT
        )
        ctx.check_cancelled()
        if ctx.is_resumed:
            # One that is paused when it begins to move arrives paused.
            _unpause_if_needed(ctx)
        _start_migration(
            ctx, dest, LiveMigrateData.from_wire(prepared['migrate_data'])
        )
    elif cancelled:
        migration_monitor.query(ctx, ctx.driver.abort_migration)
    migration_monitor.monitor(ctx, dest)


def _fetch_image(ctx: StepContext) -> str | None:
    """Return the guest's image at the destination, None without it.

    Everything is copied then, and not only what differs from the image.
    """
    try:
        return ctx.fetch_image()
    except exception.MinovaException as error:
        LOG.warning(
            'The disk of %s is copied as a whole: its image is not to be '
            'had: %s',
            ctx.instance.uuid,
            error,
        )
        return None


def _is_in_progress(ctx: StepContext, dest: str) -> bool:
    """Tell whether the guest moves, or has moved, as it was told before."""
    # In this order: a guest that is still on afterwards did not end a move
    # between the two.
    moves = (
        migration_monitor.query(ctx, ctx.driver.migration_status).state
        == 'running'
    )
    if migration_monitor.is_on(ctx):
        return moves
    migration_monitor.require_arrived(ctx, dest)
    return True


def _start_migration(
    ctx: StepContext, dest: str, migrate_data: LiveMigrateData
) -> None:
    """Begin the move; an error may hide that it has begun."""
    try:
        ctx.driver.start_live_migration(
            ctx.instance.uuid, ctx.peer(), migrate_data
        )
    except exception.GuestFailed:
        if not _is_in_progress(ctx, dest):
            raise


class LiveMigrate(Flow):
    """Move the guest without stopping it."""

    params_class = LiveMigrateParams
    has_migration = True
    steps = (
        MigrateServer,
        LiveMigration,
        PreLiveMigration,
        PostLiveMigrationAtDestination,
        RollbackLiveMigrationAtDestination,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let a conductor find a destination."""
        uow.enqueue(MigrateServer)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """The guest never stopped at the source."""
        # The record of a migration that the source did not end itself.
        uow.end_migration(migration_states.ERROR)
        uow.fail(error, end_event='live_migration._rollback')
