# SPDX-License-Identifier: Apache-2.0
"""Delete and force-delete: the instance goes, whatever else it is doing.

= ==================== ========= =============================================
# step                 where     what
= ==================== ========= =============================================
1 terminate_instance   the host  removes guest and disks; while the host is
                                 down the database goes first and 2 is pending
2 cleanup_stale_guest  any host  removes everything of an instance that is not
                                 this host's: of preempted migrations, of the
                                 source of a resize
= ==================== ========= =============================================

Force-delete changes only the database, at once, and enqueues 2 on every host.
The operation does not wait for 2, which runs as soon as its host is up.

Where the database goes first, ``delete.end`` precedes ``shutdown.start`` and
``shutdown.end``: the host emits these when it removes the guest, in 2.

The preempted operation may still run on the owner's host for a moment and
send a disk or the guest to another host. Hence the other hosts clean up twice:
at once, and again when the owner's host has removed the guest, which it does
only after the preempted step has ended.
"""

from typing import Final

from minova import states
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import CleanupStaleGuestParams
from minova.objects.operation_params import DeleteParams
from minova.objects.step_args import CleanupStaleGuestArgs
from minova.objects.step_args import RecheckArgs
from minova.objects.step_results import NoResult

#: The span of the removal of the guest.
_SHUTDOWN: Final = 'shutdown'


class CleanupStaleGuest(ComputeStep[CleanupStaleGuestArgs, NoResult]):
    """Remove everything of an instance that another host owns."""

    method = 'cleanup_stale_guest'
    retry_until_done = True
    deferrable = True
    urgent = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of a shutdown that no other step has begun."""
        args = CleanupStaleGuestArgs.narrow(uow.step.args)
        if args.shuts_down and _SHUTDOWN not in uow.open_events():
            uow.emit_start(_SHUTDOWN)

    def run(self, ctx: StepContext, args: CleanupStaleGuestArgs) -> NoResult:
        """Remove guest and disks, unless this host owns the instance now.

        The owner, with ``retained_only``, removes the retained disks of a
        resize that can no longer be reverted, and those of a rebuild.
        """
        instance = ctx.instance
        deleted = instance.vm_state == states.DELETED
        if deleted or instance.host != ctx.host:
            destroy_guest(ctx)
        elif args.retained_only and instance.vm_state != states.RESIZED:
            ctx.driver.discard_disks(instance.uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the claims of the removed guest."""
        instance, host = uow.instance, str(uow.step.host)
        if instance.vm_state == states.DELETED or instance.host != host:
            uow.release(host)
        if CleanupStaleGuestArgs.narrow(uow.step.args).shuts_down:
            uow.emit_end(_SHUTDOWN)
        _enqueue_rechecks(uow)


class TerminateInstance(ComputeStep[RecheckArgs, NoResult]):
    """Remove the guest and its disks."""

    method = 'terminate_instance'
    retry_until_done = True
    urgent = True
    can_finish_without_host = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start of the delete."""
        uow.emit_start('delete')
        uow.emit_start(_SHUTDOWN)

    def run(self, ctx: StepContext, args: RecheckArgs) -> NoResult:
        """Remove guest, disks and retained disks."""
        destroy_guest(ctx)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Mark the instance as deleted."""
        uow.release(str(uow.step.host))
        uow.emit_end(_SHUTDOWN)
        _mark_deleted(uow)
        _enqueue_rechecks(uow)

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Delete the instance in the database; the host cleans up later."""
        if uow.step.started_at is None:
            uow.emit_start('delete')
        _enqueue_shutdown(uow, str(uow.step.host))
        _mark_deleted(uow)


def destroy_guest(ctx: StepContext) -> None:
    """Remove guest, disks and retained disks."""
    uuid = ctx.instance.uuid
    ctx.driver.destroy(uuid)
    ctx.driver.remove_disks(uuid)
    ctx.driver.discard_disks(uuid)


def _mark_deleted(uow: UnitOfWork) -> None:
    uow.release_ports()
    uow.leave_server_group()
    uow.update_instance(
        terminated_at=uow.now,
        deleted_at=uow.now,
        power_state=int(states.PowerState.NOSTATE),
        progress=None,
    )
    uow.delete_console_tokens()
    uow.finish()
    uow.emit_end('delete')


def enqueue_cleanup(
    uow: UnitOfWork,
    host: str,
    recheck_hosts: list[str] | None = None,
    retained_only: bool = False,
    shuts_down: bool = False,
) -> None:
    """Enqueue the removal of everything of an instance from a host."""
    uow.enqueue(
        CleanupStaleGuest,
        CleanupStaleGuestArgs(
            recheck_hosts=recheck_hosts or [],
            retained_only=retained_only,
            shuts_down=shuts_down,
        ),
        host=host,
        detached=True,
    )


def enqueue_discard(uow: UnitOfWork) -> None:
    """Enqueue the removal of retained disks from the instance's host."""
    enqueue_cleanup(uow, str(uow.instance.host), retained_only=True)


def _enqueue_shutdown(uow: UnitOfWork, host: str) -> None:
    """Enqueue the removal of the guest from the host of the instance."""
    enqueue_cleanup(
        uow, host, recheck_hosts=_hosts_to_recheck(uow), shuts_down=True
    )


def _enqueue_rechecks(uow: UnitOfWork) -> None:
    """Enqueue another clean-up on the hosts that the ended step names."""
    for host in RecheckArgs.narrow(uow.step.args).recheck_hosts:
        enqueue_cleanup(uow, host)


def _delete_in_database(uow: UnitOfWork) -> None:
    """Delete the instance without its host."""
    uow.emit_start('delete')
    if uow.instance.host is not None:
        _enqueue_shutdown(uow, uow.instance.host)
    _mark_deleted(uow)


def _other_hosts(uow: UnitOfWork) -> list[str]:
    """Return the other hosts that may have parts of the instance."""
    params = DeleteParams.narrow(uow.operation.params)
    return [host for host in params.other_hosts if host != uow.instance.host]


def _hosts_to_recheck(uow: UnitOfWork) -> list[str]:
    """Return the other hosts that a preempted step may still reach."""
    params = DeleteParams.narrow(uow.operation.params)
    return [] if params.preempted is None else _other_hosts(uow)


class Delete(Flow):
    """Remove the guest, then the instance."""

    params_class = DeleteParams
    steps = (TerminateInstance, CleanupStaleGuest)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the removal on the host, or finish without a host down."""
        for host in _other_hosts(uow):
            enqueue_cleanup(uow, host)
        params = DeleteParams.narrow(uow.operation.params)
        if uow.instance.host is None or params.host_down:
            _delete_in_database(uow)
        else:
            uow.enqueue(
                TerminateInstance,
                RecheckArgs(recheck_hosts=_hosts_to_recheck(uow)),
                host=uow.instance.host,
            )


class ForceDelete(Flow):
    """Remove the instance; its host removes the guest when it can."""

    params_class = DeleteParams
    steps = (CleanupStaleGuest,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Delete the instance for its user at once."""
        for host in _other_hosts(uow):
            enqueue_cleanup(uow, host)
        _delete_in_database(uow)


class CleanupStaleGuestFlow(Flow):
    """Remove a stale guest, or stale disks, from a host."""

    params_class = CleanupStaleGuestParams
    steps = (CleanupStaleGuest,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the clean-up."""
        params = CleanupStaleGuestParams.narrow(uow.operation.params)
        enqueue_cleanup(uow, params.host, retained_only=params.retained_only)
