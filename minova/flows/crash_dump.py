# SPDX-License-Identifier: Apache-2.0
"""Trigger a crash dump: a non-maskable interrupt for the guest.

= ====================================== ========= ========================
# step                                   where     undone by
= ====================================== ========= ========================
1 trigger_crash_dump                     the host  nothing to undo
= ====================================== ========= ========================

The operating system of the guest decides how it responds: Linux with kdump
writes a dump and reboots. The operation runs concurrently with the one that
owns the instance, because a guest that hangs often hangs in a reboot or a
stop. An interrupt is not injected after the deadline: hours after the request
it would crash a guest that has recovered. The operation fails at its deadline
also when the host does not return.
"""

from minova import exception
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.checkpoints import CrashDumpTriggered
from minova.objects.step_args import NoArgs
from minova.objects.step_results import NoResult


class TriggerCrashDump(ComputeStep[NoArgs, NoResult]):
    """Inject the interrupt."""

    method = 'trigger_crash_dump'
    concurrent = True
    fail_at_deadline = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start('trigger_crash_dump')

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Inject it; never into another boot than the first attempt's."""
        if ctx.seconds_left() <= 0:
            raise exception.DeadlineExceeded(
                operation=ctx.kind,
                reason=f'{ctx.host} did not run the step in time, and a late '
                'interrupt could crash a guest that has recovered',
            )
        guest = ctx.driver.guest(ctx.instance.uuid)
        is_on = guest is not None and guest.is_on
        boot = guest.boot if guest is not None and is_on else None
        triggered = ctx.find_checkpoint(CrashDumpTriggered)
        if triggered is not None and triggered.boot != boot:
            raise exception.GuestFailed(
                instance_id=ctx.instance.uuid,
                reason=f'the compute service of {ctx.host} ended before it '
                'reported the interrupt, and the guest has stopped or '
                'restarted since: whether the interrupt reached it is not '
                'known. Request another crash dump if you still need one',
            )
        if not is_on:
            raise exception.GuestFailed(
                instance_id=ctx.instance.uuid,
                reason=f'the guest does not run on {ctx.host}, so it cannot '
                'be interrupted',
            )
        if triggered is None:
            ctx.save_checkpoint(CrashDumpTriggered(boot=boot))
        ctx.driver.inject_nmi(ctx.instance.uuid)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Emit the end; the guest dumps its memory on its own."""
        uow.emit_end('trigger_crash_dump')


class CrashDump(Flow):
    """Interrupt the guest, so that it dumps its memory."""

    steps = (TriggerCrashDump,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        uow.enqueue(TriggerCrashDump, NoArgs(), host=uow.instance.host)
