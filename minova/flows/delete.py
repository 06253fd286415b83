# SPDX-License-Identifier: Apache-2.0
"""Delete and force-delete: an instance goes, whatever else is going on.

= ==================== ========= =============================================
# step                 where     what
= ==================== ========= =============================================
1 terminate_instance   the host  removes guest and disks; with the host down
                                 the database goes first and 2 is owed
2 cleanup_stale_guest  any host  removes what is there of an instance that is
                                 not this host's: preempted moves, old sources
= ==================== ========= =============================================

Force-delete changes the database alone, at once, and owes 2 to every host.
Nobody waits for 2: the host does it when it can.

What was preempted may still be at work on the owner's host for a moment and
reach out to another one (a disk handed over, a guest that moves). So the
others put away what they have at once, and again when the owner's host has
removed the guest, which it does only after that work has ended.
"""

from minova import states
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import CleanupStaleGuestParams
from minova.objects.operation_params import DeleteParams


class CleanupStaleGuest(ComputeStep):
    """Remove what a host has of an instance that is not its own."""

    method = 'cleanup_stale_guest'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove guest and disks, unless the instance has come here.

        Then only, with the argument ``aside``, the disks of a way back that
        is closed.
        """
        instance = ctx.instance
        gone = instance.vm_state == states.DELETED
        if gone or instance.host != ctx.host:
            _destroy_guest(ctx)
        elif (
            ctx.args.get('retained_only')
            and instance.vm_state != states.RESIZED
        ):
            ctx.driver.discard_disks(instance.uuid)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Give back the room that what was removed took."""
        instance, host = uow.instance, str(uow.step.host)
        if instance.vm_state == states.DELETED or instance.host != host:
            uow.release(host)
        _enqueue_rechecks(uow)


class TerminateInstance(ComputeStep):
    """Remove the guest and its disks."""

    method = 'terminate_instance'
    retry_until_done = True
    can_finish_without_host = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell that it goes."""
        uow.emit_start('delete')
        uow.emit_start('shutdown')

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove everything."""
        _destroy_guest(ctx)
        return {}

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """It is gone."""
        uow.release(str(uow.step.host))
        _mark_deleted(uow)
        _enqueue_rechecks(uow)

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Delete it in the database; the host removes the guest later."""
        if uow.step.started_at is None:
            self.on_start(uow)
        _enqueue_cleanup(
            uow, str(uow.step.host), recheck_hosts=_hosts_to_recheck(uow)
        )
        _mark_deleted(uow)


def _destroy_guest(ctx: StepContext) -> None:
    uuid = ctx.instance.uuid
    ctx.driver.destroy(uuid)
    ctx.driver.remove_disks(uuid)
    ctx.driver.discard_disks(uuid)


def _mark_deleted(uow: UnitOfWork) -> None:
    uow.emit_end('shutdown')
    uow.release_ports()
    uow.update_instance(
        terminated_at=uow.now,
        deleted_at=uow.now,
        power_state=int(states.PowerState.NOSTATE),
        progress=None,
    )
    uow.delete_console_tokens()
    uow.finish()
    uow.emit_end('delete')


def _enqueue_cleanup(
    uow: UnitOfWork,
    host: str,
    recheck_hosts: list[str] | None = None,
    retained_only: bool = False,
) -> None:
    uow.enqueue(
        CleanupStaleGuest,
        host=host,
        detached=True,
        recheck_hosts=recheck_hosts or [],
        retained_only=retained_only,
    )


def _enqueue_rechecks(uow: UnitOfWork) -> None:
    """Have the hosts look again that the ended step names."""
    for host in uow.step.args['recheck_hosts']:
        _enqueue_cleanup(uow, host)


def _delete_in_database(uow: UnitOfWork) -> None:
    """Delete the instance without asking its host."""
    uow.emit_start('delete')
    uow.emit_start('shutdown')
    if uow.instance.host is not None:
        _enqueue_cleanup(
            uow, uow.instance.host, recheck_hosts=_hosts_to_recheck(uow)
        )
    _mark_deleted(uow)


def _other_hosts(uow: UnitOfWork) -> list[str]:
    """Return the other hosts that have something of the instance."""
    params = DeleteParams.narrow(uow.operation.params)
    return [host for host in params.other_hosts if host != uow.instance.host]


def _hosts_to_recheck(uow: UnitOfWork) -> list[str]:
    """Return the other hosts that preempted work may still reach."""
    params = DeleteParams.narrow(uow.operation.params)
    return [] if params.preempted is None else _other_hosts(uow)


class Delete(Flow):
    """Remove the guest, then the instance."""

    params_class = DeleteParams
    steps = (TerminateInstance, CleanupStaleGuest)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the host do it, or, with the host down, do without."""
        for host in _other_hosts(uow):
            _enqueue_cleanup(uow, host)
        params = DeleteParams.narrow(uow.operation.params)
        if uow.instance.host is None or params.host_down:
            _delete_in_database(uow)
        else:
            uow.enqueue(
                TerminateInstance,
                host=uow.instance.host,
                recheck_hosts=_hosts_to_recheck(uow),
            )


class ForceDelete(Flow):
    """Remove the instance; the guest goes when its host can."""

    params_class = DeleteParams
    steps = (CleanupStaleGuest,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """It is gone for the user at once."""
        for host in _other_hosts(uow):
            _enqueue_cleanup(uow, host)
        _delete_in_database(uow)


class CleanupStaleGuestFlow(Flow):
    """Remove a guest that a host has and should not have."""

    params_class = CleanupStaleGuestParams
    steps = (CleanupStaleGuest,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let the host remove it; of its own, with ``aside``, only that."""
        params = CleanupStaleGuestParams.narrow(uow.operation.params)
        _enqueue_cleanup(uow, params.host, retained_only=params.retained_only)
