# SPDX-License-Identifier: Apache-2.0
"""Reset of a state: an administrator ends an operation that is stuck.

======================= ====================== ================================
what it has preempted   step                   what the step settles
======================= ====================== ================================
nothing                 none                   nothing
work on one host        settle_guest           the power state, in the
                                               background; the disks of a
                                               rebuild, the rescue disk
live migration          settle_at_source       ends the job; the guest stays
                                               where it is
..                      settle_at_destination  defines a guest that has arrived
resize, revert, until   settle_at_source       the retained disks are those of
the disks are sent                             the guest again
resize, revert, later   settle_at_destination  takes the disks, or removes what
                                               an undo has begun to remove
evacuation              settle_at_destination  keeps a guest that runs, else
                                               the server is the old host's
all with another host   remove_leftovers       the copy that is not kept
======================= ====================== ================================

The transaction that begins the reset preempts the owner and changes the
vm_state. With two copies of a guest, or of its disks, the reset owns the
instance until a host has said which one is the good one: no other operation
starts a second guest meanwhile. A host that is down delays that, but not the
change of the state. The other copy is removed last.

A step on a host runs after the end of the preempted step there.
"""

import enum

from oslo_log import log as logging

from minova import exception
from minova import migration_states
from minova import states
from minova.flows import delete
from minova.flows import evacuate
from minova.flows import migration_monitor
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import ResetStateParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import RemoveLeftoversArgs
from minova.objects.step_results import GuestSettled
from minova.objects.step_results import NoResult
from minova.states import PowerState

LOG = logging.getLogger(__name__)

#: Seconds between two polls of a migration that is aborted.
_POLL_INTERVAL = 0.2


class Mode(enum.StrEnum):
    """What the preempted operation has left."""

    #: Nothing, or nothing that has a host.
    NOTHING = 'nothing'
    #: An interrupted step on the host of the instance.
    HOST = 'host'
    #: Old and new disks on the host of the instance.
    REBUILD = 'rebuild'
    #: A rescue disk, from which the guest may run.
    RESCUE = 'rescue'
    #: A finished resize without an owner: the destination has the guest.
    CONFIRM = 'confirm'
    #: A live migration, in any phase.
    LIVE = 'live'
    #: The disks are on the source.
    SOURCE = 'source'
    #: The destination has all disks.
    FORWARD = 'forward'
    #: The destination had all disks and may have begun to remove them.
    LOOK = 'look'
    #: The destination rebuilds a guest whose old host is down.
    EVACUATION = 'evacuation'


def _params(uow: UnitOfWork) -> ResetStateParams:
    return ResetStateParams.narrow(uow.operation.params)


def _settled(ctx: StepContext, is_new: bool) -> GuestSettled:
    power_state = power_actions.read_power_state(ctx).power_state
    return GuestSettled(power_state=power_state, is_new=is_new)


def _start_if_wanted(ctx: StepContext) -> None:
    """Start a guest that ran before, if its instance becomes active.

    It is not created: disks that are missing stay missing. A guest that does
    not start stays off, and power synchronization stops its instance.
    """
    params = ResetStateParams.narrow(ctx.params)
    if not params.was_active or ctx.instance.vm_state != states.ACTIVE:
        return
    uuid = ctx.instance.uuid
    if power_actions.is_on(ctx) or not ctx.driver.has_disks(uuid):
        return
    try:
        power_actions.define_and_start(ctx, ctx.spec())
    except exception.HypervisorUnavailable:
        raise
    except exception.GuestFailed as error:
        LOG.warning('Guest %s does not start after a reset: %s', uuid, error)


# -- one host ----------------------------------------------------------------


class SettleGuest(ComputeStep[NoArgs, GuestSettled]):
    """Settle what an interrupted step has left of the guest."""

    method = 'settle_guest'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext, args: NoArgs) -> GuestSettled:
        """Keep the new disks of a rebuild only if the guest runs from them.

        The old disks are retained until then, so they are complete. They are
        removed after the end of this step, which may run twice.
        """
        params, uuid = ResetStateParams.narrow(ctx.params), ctx.instance.uuid
        if ctx.instance.host != ctx.host:
            return _settled(ctx, is_new=True)
        is_new = params.mode != Mode.REBUILD or not params.before
        if not is_new and ctx.driver.has_retained_disks(uuid):
            is_new = power_actions.is_on(ctx)
            if not is_new:
                ctx.driver.restore_disks(uuid)
        if not is_new:
            for name, value in params.before.items():
                setattr(ctx.instance, name, value)
        if params.mode == Mode.RESCUE:
            self._end_rescue(ctx)
        else:
            _start_if_wanted(ctx)
        return _settled(ctx, is_new)

    def _end_rescue(self, ctx: StepContext) -> None:
        """Start the guest from its own disk; remove the rescue disk."""
        uuid = ctx.instance.uuid
        guest = ctx.driver.guest(uuid)
        if guest is not None and not ctx.is_current_generation(
            guest.generation
        ):
            ctx.driver.power_off(uuid)
            ctx.driver.define(ctx.spec())
        _start_if_wanted(ctx)
        ctx.driver.remove_rescue_disk(uuid)

    def on_success(self, uow: UnitOfWork, result: GuestSettled) -> None:
        """Write the power state, unless another operation has begun."""
        if uow.operation.owns_instance:
            params = _params(uow)
            if not result.is_new:
                uow.update_instance(**params.before)
            uow.update_instance(power_state=result.power_state)
            uow.finish(old_vm_state=params.target_state)
            if result.is_new and params.before:
                delete.enqueue_discard(uow)
        elif (
            uow.instance.task_id is None
            and uow.instance.host == uow.step.host
            and uow.instance.vm_state != states.DELETED
        ):
            uow.update_instance(power_state=result.power_state)


# -- two hosts ---------------------------------------------------------------


def _enqueue_first(uow: UnitOfWork, mode: Mode) -> None:
    """Enqueue the step on the host that may have the good copy."""
    host, migration = uow.instance.host, uow.find_migration()
    if mode in (Mode.REBUILD, Mode.RESCUE) or migration is None:
        uow.enqueue(SettleGuest, NoArgs(), host=host)
    elif mode is Mode.SOURCE or (
        mode is Mode.LIVE and host == migration.source_host
    ):
        uow.enqueue(SettleAtSource, NoArgs(), host=host)
    else:
        uow.enqueue(SettleAtDestination, NoArgs(), host=host)


def _keep(uow: UnitOfWork, at_dest: bool) -> str | None:
    """Give the instance the host, and the claim, of the good copy.

    Returns the consumer of the other claim, None without one.
    """
    params, migration, uuid = _params(uow), uow.migration, uow.instance.uuid
    source, dest = migration.source_host, str(migration.dest_host)
    kept, other = (dest, source) if at_dest else (source, dest)
    if uow.instance.host != kept:
        node = migration.dest_node if at_dest else migration.source_node
        uow.set_host(kept, node)
    if at_dest == params.claims_dest or params.consumer is None:
        return params.consumer
    uow.transfer_claim(other, uuid, to=uow.operation.id)
    uow.transfer_claim(kept, params.consumer, to=uuid)
    return uow.operation.id


def _finish(uow: UnitOfWork, result: GuestSettled) -> None:
    uow.update_instance(power_state=result.power_state)
    uow.finish(old_vm_state=_params(uow).target_state)


def _enqueue_removal(
    uow: UnitOfWork, host: str | None, consumer: str | None
) -> None:
    """Enqueue the removal of the other copy, and of its claim."""
    if host is not None:
        uow.enqueue(
            RemoveLeftovers,
            RemoveLeftoversArgs(consumer=consumer),
            host=host,
            detached=True,
        )


class SettleAtSource(ComputeStep[NoArgs, GuestSettled]):
    """Find out whether the source has the guest; restore its disks."""

    method = 'settle_at_source'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Return the old flavor, which defines a restored guest."""
        if _params(uow).mode != Mode.LIVE:
            uow.update_instance(flavor=uow.migration.old_flavor)

    def run(self, ctx: StepContext, args: NoArgs) -> GuestSettled:
        """Abort a live migration, or restore the disks of a resize."""
        if ResetStateParams.narrow(ctx.params).mode == Mode.LIVE:
            return self._end_live_migration(ctx)
        uuid = ctx.instance.uuid
        if ctx.driver.has_retained_disks(uuid):
            if power_actions.is_on(ctx):
                # The guest of the other size on the same host.
                ctx.driver.power_off(uuid)
            ctx.driver.restore_disks(uuid)
            ctx.driver.define(ctx.spec())
        _start_if_wanted(ctx)
        return _settled(ctx, is_new=False)

    def _end_live_migration(self, ctx: StepContext) -> GuestSettled:
        """End the job; say whether the guest has arrived nevertheless."""
        uuid = ctx.instance.uuid
        query = migration_monitor.query
        while query(ctx, ctx.driver.migration_status).state == 'running':
            if ctx.seconds_left() <= 0:
                raise exception.OutcomeUncertain(
                    instance_id=uuid,
                    operation='live migration',
                    reason='the hypervisor does not end its job',
                )
            query(ctx, ctx.driver.abort_migration)
            ctx.wait(_POLL_INTERVAL)
        if migration_monitor.is_on(ctx):
            guest = query(ctx, ctx.driver.guest)
            was_active = ResetStateParams.narrow(ctx.params).was_active
            if (
                guest is not None
                and was_active
                and (guest.power is PowerState.PAUSED)
            ):
                # A forced completion has paused it.
                query(ctx, ctx.driver.unpause)
            return _settled(ctx, is_new=False)
        power_state = ctx.get_power_state(str(ctx.migration.dest_host))
        if power_state is None:
            return _settled(ctx, is_new=False)
        return GuestSettled(power_state=power_state, is_new=True)

    def on_success(self, uow: UnitOfWork, result: GuestSettled) -> None:
        """Settle here, or continue on the destination."""
        consumer = _keep(uow, result.is_new)
        dest = uow.migration.dest_host
        if result.is_new:
            uow.enqueue(SettleAtDestination, NoArgs(), host=dest)
            return
        _finish(uow, result)
        if uow.migration.is_same_host:
            uow.release(str(dest), consumer=consumer)
        else:
            _enqueue_removal(uow, dest, consumer)


class SettleAtDestination(ComputeStep[NoArgs, GuestSettled]):
    """Take the guest over, or remove an incomplete copy."""

    method = 'settle_at_destination'
    retry_until_done = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Set the new flavor, which defines the guest here."""
        if _params(uow).mode == Mode.FORWARD:
            uow.update_instance(flavor=uow.migration.new_flavor)

    def run(self, ctx: StepContext, args: NoArgs) -> GuestSettled:
        """Keep a guest that runs; else complete it, or remove the copy."""
        params, uuid = ResetStateParams.narrow(ctx.params), ctx.instance.uuid
        if params.mode == Mode.LIVE:
            ctx.driver.define(ctx.spec())
        elif not power_actions.is_on(ctx):
            if params.mode != Mode.FORWARD:
                self._remove(ctx)
                return _settled(ctx, is_new=False)
            ctx.driver.commit_received_disks(uuid)
            ctx.driver.grow_disks(ctx.spec())
            ctx.driver.define(ctx.spec())
            _start_if_wanted(ctx)
        return _settled(ctx, is_new=True)

    def _remove(self, ctx: StepContext) -> None:
        """Remove guest and disks; shared disks go back to the source."""
        uuid = ctx.instance.uuid
        ctx.driver.destroy(uuid)
        if ResetStateParams.narrow(ctx.params).keeps_disks:
            ctx.driver.set_disk_owner(uuid, ctx.migration.source_host)
        else:
            ctx.driver.remove_disks(uuid)

    def on_success(self, uow: UnitOfWork, result: GuestSettled) -> None:
        """Settle here, or return the instance to the source."""
        mode, migration = Mode(_params(uow).mode), uow.migration
        consumer = _keep(uow, result.is_new)
        if result.is_new:
            _finish(uow, result)
            if mode is Mode.EVACUATION:
                uow.enqueue(
                    evacuate.DestroyEvacuatedInstance,
                    NoArgs(),
                    host=migration.source_host,
                    detached=True,
                )
            else:
                _enqueue_removal(uow, migration.source_host, consumer)
            return
        uow.release(str(migration.dest_host), consumer=consumer)
        if mode is Mode.EVACUATION:
            _finish(uow, result)
        else:
            uow.enqueue(SettleAtSource, NoArgs(), host=migration.source_host)


class RemoveLeftovers(ComputeStep[RemoveLeftoversArgs, NoResult]):
    """Remove the copy of the guest that the instance does not use."""

    method = 'remove_leftovers'
    retry_until_done = True
    deferrable = True
    urgent = True

    def run(self, ctx: StepContext, args: RemoveLeftoversArgs) -> NoResult:
        """Remove guest and disks, or the retained disks on the own host."""
        params, uuid = ResetStateParams.narrow(ctx.params), ctx.instance.uuid
        migration, data = ctx.migration, params.migrate_data
        is_here = ctx.instance.host == ctx.host and (
            ctx.instance.vm_state != states.DELETED
        )
        if is_here:
            if migration.is_same_host:
                ctx.driver.discard_disks(uuid)
        elif data is None:
            delete.destroy_guest(ctx)
        elif ctx.host == migration.dest_host:
            ctx.driver.rollback_live_migration_at_destination(uuid, data)
        else:
            ctx.driver.destroy(uuid)
            if data.block_migration:
                ctx.driver.remove_disks(uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claim of the removed copy."""
        consumer = RemoveLeftoversArgs.narrow(uow.step.args).consumer
        if consumer is not None:
            uow.release(str(uow.step.host), consumer=consumer)


# -- the flow ----------------------------------------------------------------


class ResetState(Flow):
    """End the owner of the instance; make the instance active or error."""

    params_class = ResetStateParams
    has_migration = True
    steps = (
        SettleGuest,
        SettleAtSource,
        SettleAtDestination,
        RemoveLeftovers,
        delete.CleanupStaleGuest,
        evacuate.DestroyEvacuatedInstance,
    )

    def on_begin(self, uow: UnitOfWork) -> None:
        """Change the state; enqueue what the hosts must settle."""
        params, instance = _params(uow), uow.instance
        mode = Mode(params.mode)
        uow.update_instance(progress=None, deleted_at=None)
        uow.set_vm_state(params.target_state)
        if params.target_state == states.ERROR:
            ended = params.preempted
            uow.record_fault(
                exception.ResetToError(
                    preempted=f' and ended operation {ended}' if ended else ''
                )
            )
        if mode in (Mode.NOTHING, Mode.HOST, Mode.CONFIRM):
            uow.finish(old_vm_state=params.target_state)
            if mode is Mode.HOST:
                uow.enqueue(
                    SettleGuest, NoArgs(), host=instance.host, detached=True
                )
        else:
            _enqueue_first(uow, mode)
        for host in _other_hosts(uow):
            delete.enqueue_cleanup(uow, host)
        if mode is Mode.CONFIRM:
            source = uow.migration.source_host
            _enqueue_removal(uow, source, params.consumer)


def _other_hosts(uow: UnitOfWork) -> list[str]:
    """Return the hosts of earlier attempts, whose copies have no use.

    An evacuation may have passed a host that still has the newest disks.
    """
    params, known = _params(uow), {uow.instance.host}
    migration = uow.find_migration()
    if migration is not None:
        if migration.kind == migration_states.EVACUATION:
            return []
        known |= {migration.source_host, migration.dest_host}
    return [host for host in params.other_hosts if host not in known]
