# SPDX-License-Identifier: Apache-2.0
"""Interfaces: a guest gets another network interface, or loses one.

================= ======================== ========== =======================
operation         step                     where      undone by
================= ======================== ========== =======================
attach_interface  attach_interface         the host   undo_attach_interface
add_fixed_ip      the same                 the host   the same
detach_interface  detach_interface         the host   undo_detach_interface
remove_fixed_ip   the same                 the host   the same
================= ======================== ========== =======================

A port has one address, so another fixed IP is another interface; only the
notifications differ.

The operation owns the instance without a task state. The transaction that
begins an attachment allocates the port and adds the NIC to the instance. Hence
each port belongs to a NIC at any time, and a delete that preempts the
operation releases it. A detachment removes both only after the guest has
released the interface.

An interface is identified by its MAC. So an interrupted step finds out what is
done, on the running guest and in its definition, and does the rest.
"""

from typing import Final

from minova.flows.base import ComputeStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects.checkpoints import GuestUntouched
from minova.objects.operation_params import InterfaceParams
from minova.objects.step_args import NoArgs
from minova.objects.step_results import NoResult

#: The event of each kind of operation.
_EVENTS: Final = {
    'attach_interface': 'interface_attach',
    'detach_interface': 'interface_detach',
    'add_fixed_ip': 'create_ip',
    'remove_fixed_ip': 'delete_ip',
}


def _emit_start(uow: UnitOfWork) -> None:
    uow.emit_start(
        _EVENTS[uow.operation.kind],
        fixed_ips=payload.fixed_ips(uow.instance),
    )


def _finish(uow: UnitOfWork) -> None:
    uow.finish()
    uow.emit_end(
        _EVENTS[uow.operation.kind],
        fixed_ips=payload.fixed_ips(uow.instance),
    )


def _attach(ctx: StepContext) -> None:
    nic = InterfaceParams.narrow(ctx.params).nic
    ctx.driver.attach_interface(ctx.spec(), nic)


def _detach(ctx: StepContext) -> None:
    nic = InterfaceParams.narrow(ctx.params).nic
    ctx.driver.detach_interface(ctx.instance.uuid, nic)


class UndoAttachInterface(ComputeStep[NoArgs, NoResult]):
    """Detach an interface whose attachment has failed."""

    method = 'undo_attach_interface'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove it from the guest and from its definition."""
        if ctx.find_checkpoint(GuestUntouched) is None:
            _detach(ctx)
        return NoResult()


class AttachInterface(ComputeStep[NoArgs, NoResult]):
    """Plug an interface into the guest."""

    method = 'attach_interface'
    undo = UndoAttachInterface

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        _emit_start(uow)

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Add it to the running guest, and to its definition."""
        _attach(ctx)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the instance."""
        _finish(uow)


class UndoDetachInterface(ComputeStep[NoArgs, NoResult]):
    """Attach an interface again whose detachment has failed."""

    method = 'undo_detach_interface'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Add what is missing; the guest may have released it late.

        An interface without a NIC, which the audit detaches, stays detached.
        """
        nic = InterfaceParams.narrow(ctx.params).nic
        is_known = nic['id'] in {
            one['id'] for one in ctx.instance.network_info
        }
        if is_known and ctx.find_checkpoint(GuestUntouched) is None:
            _attach(ctx)
        return NoResult()


class DetachInterface(ComputeStep[NoArgs, NoResult]):
    """Unplug an interface from the guest."""

    method = 'detach_interface'
    undo = UndoDetachInterface

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        _emit_start(uow)

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Wait until the guest has released it; remove its definition."""
        _detach(ctx)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the port, and the instance."""
        nic = InterfaceParams.narrow(uow.operation.params).nic
        uow.detach_nic(nic['id'])
        _finish(uow)


class Attach(Flow):
    """Attach an interface with a port that is already allocated."""

    params_class = InterfaceParams
    steps = (AttachInterface, UndoAttachInterface)
    is_self_correcting = True

    def on_begin(self, uow: UnitOfWork) -> None:
        """Add the NIC to the instance; enqueue the step on its host."""
        params = InterfaceParams.narrow(uow.operation.params)
        if params.is_new:
            uow.update_instance(
                network_info=[*uow.instance.network_info, params.nic]
            )
        uow.enqueue(AttachInterface, NoArgs(), host=uow.instance.host)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Release the port that was allocated for the operation."""
        params = InterfaceParams.narrow(uow.operation.params)
        if params.is_new:
            uow.detach_nic(params.nic['id'])
        uow.fail(error)


class Detach(Flow):
    """Detach an interface and release its port."""

    params_class = InterfaceParams
    steps = (DetachInterface, UndoDetachInterface)
    is_self_correcting = True

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        uow.enqueue(DetachInterface, NoArgs(), host=uow.instance.host)
