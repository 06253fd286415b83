# SPDX-License-Identifier: Apache-2.0
"""The language in which the stories are told.

A *story* is what happens for one kind of operation, as *steps* in their
order, each of which one service runs on one host. A step has halves that run
in different places:

========== ============ ====================================================
half       where        what it does
========== ============ ====================================================
begins     conductor    in the transaction in which the step is taken
work       the host     asks the hypervisor; may be cut short at any point
                        and is then called again: look first, do the rest
saved      conductor    in a transaction in the middle of ``work``
ends       conductor    in the transaction in which the step is done: changes
                        the instance, owes the next step
fails      conductor    in the transaction in which the error is recorded
undone     conductor    in the transaction in which the step is taken back
========== ============ ====================================================

A *decision* is a step of the conductor: one transaction, nothing else.
Stories see a transaction as a ``Book``, a host as a ``Job``, the conductor's
knowledge as a ``Desk``; they import neither database nor hypervisor.
"""

import datetime
import math
from typing import Any
from typing import ClassVar
from typing import Protocol
from typing import TYPE_CHECKING

from minova import exception
from minova.exception import serialization
from minova.objects import operation as records
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration

if TYPE_CHECKING:
    from minova.virt.driver import Driver
    from minova.virt.driver import GuestSpec
    from minova.virt.driver import Peer

Error = exception.MinovaException
JsonDict = dict[str, Any]


class UnitOfWork(Protocol):
    """An instance and an operation on it, open in one transaction."""

    instance: Instance
    operation: records.Operation
    now: datetime.datetime

    @property
    def step(self) -> records.Step:
        """The step that is being taken, saved, ended or decided."""

    @property
    def migration(self) -> Migration:
        """The record of the move that the operation makes or ends."""

    def steps(self) -> list[records.Step]:
        """All steps of the operation so far, in the order they were owed."""

    # -- the instance --

    def set_task_state(self, task_state: str) -> None:
        """Pass to the next task state; tells it."""

    def update_instance(self, **fields: Any) -> None:
        """Change fields of the instance other than its states."""

    def set_vm_state(self, vm_state: str) -> None:
        """Change the vm_state to what power reconciliation found."""

    def finish(self, old_vm_state: str | None = None) -> None:
        """End well: the instance is let go of in its new vm_state."""

    def fail(
        self,
        error: Error,
        to_error: bool = False,
        end_event: str | None = None,
    ) -> None:
        """End badly: as it was, or ``lost``: in error. Records a fault.

        What is still open is told as broken, but ``closing`` as ended.
        """

    # -- what is told --

    def emit(self, event: str) -> None:
        """Tell a moment."""

    def emit_start(self, event: str, **extras: Any) -> None:
        """Tell that something starts."""

    def emit_end(self, event: str, **extras: Any) -> None:
        """Tell that it has ended well."""

    def emit_error(self, event: str, error: Error) -> None:
        """Tell that it has ended badly."""

    # -- what is owed --

    def enqueue(
        self,
        step: 'type[ComputeStep] | type[ConductorStep]',
        host: str | None = None,
        nested: bool = False,
        detached: bool = False,
        **args: Any,
    ) -> None:
        """Let a host, or any conductor, run ``step`` next.

        A ``nested`` one is not woken: the step that owes it calls it. For a
        ``detached`` one the operation's course does not wait.
        """

    def restart(self) -> None:
        """Having taken all back, go on instead of failing."""

    def request_abort(self) -> None:
        """Ask the operation that owns the instance to stop."""

    def request_force(self) -> None:
        """Ask the operation that owns the instance to end soon."""

    # -- room on hosts, records of moves --

    def claim(self, host: str, flavor: Flavor, consumer: str) -> bool:
        """Take room on a host; False when there is not enough."""

    def release(self, host: str, consumer: str | None = None) -> None:
        """Give back the room on a host, all or what ``holder`` holds."""

    def transfer_claim(self, host: str, consumer: str, to: str) -> None:
        """Let another hold the room that ``holder`` holds on a host."""

    def delete_console_tokens(self) -> None:
        """Let nobody see the instance's consoles any more."""

    def release_ports(self) -> None:
        """Give back the instance's addresses: it is at its end."""

    def begin_migration(
        self,
        kind: str,
        dest_host: str,
        dest_node: str,
        dest_ip: str,
        new_flavor: Flavor,
    ) -> None:
        """Write the record of a migration, or another destination to it."""

    def advance_migration(self, status: str) -> None:
        """Change the migration's status.

        Raises IllegalTransition when ``migration_states`` does not allow it.
        """

    def end_migration(self, status: str) -> None:
        """Change the status of a migration that there is and has not ended."""

    def save_migration(self, **byte_counts: int | None) -> None:
        """Change the migration's figures."""


class SelectedHost(Protocol):
    """A host that was chosen and on which room was claimed."""

    @property
    def host(self) -> str:
        """The name by which the bus knows it."""

    @property
    def hypervisor_hostname(self) -> str:
        """The name by which its hypervisor knows itself."""

    @property
    def address(self) -> str:
        """Where other hosts reach it."""

    @property
    def availability_zone(self) -> str:
        """The zone it lies in."""


class Scheduler(Protocol):
    """What a conductor knows and decides with."""

    def select_host(
        self,
        uow: UnitOfWork,
        flavor: Flavor,
        consumer: str,
        requested_host: str | None = None,
        availability_zone: str | None = None,
        excluded_hosts: tuple[str, ...] = (),
    ) -> SelectedHost:
        """Choose a host and claim room on it, to be held by ``holder``.

        Raises NoValidHost, which says which hosts were left out and why.
        """

    def select_live_migration_host(
        self,
        instance: Instance,
        params: JsonDict,
        excluded_hosts: tuple[str, ...],
    ) -> JsonDict:
        """Ask hosts until one can receive the guest; return its answer.

        The answer's ``host`` names it. Raises MigrationPreCheckError or
        NoValidHost, which say why.
        """


class StepContext(Protocol):
    """One step at work on one host."""

    host: str
    kind: str
    instance: Instance
    params: JsonDict
    args: JsonDict
    old_vm_state: str
    #: An earlier start of the service began the step and did not end it.
    is_resumed: bool
    #: Milestones passed by an earlier start, with the facts saved there.
    checkpoints: dict[str, JsonDict]
    #: The work is to end soon, at the guest's cost.
    force_requested: bool

    @property
    def driver(self) -> 'Driver':
        """The hypervisor; Stale when another start has replaced this one."""

    @property
    def migration(self) -> Migration:
        """The record of the move."""

    def spec(
        self, fetch_kernel: bool = False, rescue: JsonDict | None = None
    ) -> 'GuestSpec':
        """Return what the hypervisor is to know of the guest.

        With ``fetched`` the kernel that it may have beside its disk is on
        this host. ``rescue`` is what is known of the image it is to be
        rescued with.
        """

    def peer(self) -> 'Peer':
        """Return the other host of the move."""

    def is_current_generation(self, generation: int | None) -> bool:
        """Tell whether a guest was last defined by this operation."""

    def fetch_image(self, image_id: str | None = None) -> str | None:
        """Return the path of an image, the instance's own, on this host."""

    def save_checkpoint(self, checkpoint: str, **facts: Any) -> None:
        """Record that a point was passed; Stale when taken over."""

    def call_step(
        self,
        step: 'type[ComputeStep]',
        host: str,
        timeout: float = math.inf,
    ) -> JsonDict:
        """Let another host run a nested step; return its result.

        One that does not answer is asked again for ``patience`` seconds, and
        as long as the work is wanted; then GuestMigrationFailed.
        """

    def request_abort(self, step: 'type[ComputeStep]') -> None:
        """Let ``step`` of the same instance, at work here, stop."""

    def request_force(self, step: 'type[ComputeStep]') -> bool:
        """Let ``step``, as above, end soon; False when it is not at work."""

    def get_power_state(self, host: str) -> int | None:
        """Ask another host for the guest's power state, None: not there."""

    def report_progress(self, **byte_counts: int) -> None:
        """Tell how far a migration is."""

    def check_cancelled(self) -> None:
        """Raise Cancelled or Stale when the work is not wanted any more."""

    def wait(self, seconds: float) -> None:
        """Let time pass; ``check`` afterwards."""

    def seconds_left(self) -> float:
        """Seconds until the operation's deadline."""


class ComputeStep:
    """A step that a compute runs."""

    #: The RPC method of the step: its wake-up, or the call of a nested step.
    method: ClassVar[str]
    #: The version of the compute interface that added the method.
    since: ClassVar[str] = '1.0'
    #: Seconds that a caller waits for the result; None: the method is a cast.
    reply_timeout: ClassVar[float | None] = None
    #: The step that takes it back, on the same host.
    undo: ClassVar['type[ComputeStep] | None'] = None
    #: There is no way back: it is tried again until it succeeds, or until
    #: the operation's deadline leaves the instance in error.
    retry_until_done: ClassVar[bool] = False
    #: The checkpoint after which it insists.
    point_of_no_return: ClassVar[str | None] = None
    #: It harms nothing when it is done late: nobody waits for a dead host.
    deferrable: ClassVar[bool] = False
    #: It runs while another step of the instance does.
    concurrent: ClassVar[bool] = False
    #: The nested steps that its work calls on other hosts.
    nested_steps: 'ClassVar[tuple[type[ComputeStep], ...]]' = ()
    #: ``finish_without_host`` does what the operation needs of a step whose
    #: host is down.
    can_finish_without_host: ClassVar[bool] = False
    #: When its host stays away past the deadline the operation fails, and
    #: what is left is taken back when the host returns. Others wait.
    fail_at_deadline: ClassVar[bool] = False

    def on_start(self, uow: UnitOfWork) -> None:
        """Write what is true once the step is taken."""

    def run(self, ctx: StepContext) -> JsonDict:
        """Ask the hypervisor; return what the conductor is to know."""
        return {}

    def on_checkpoint(
        self, uow: UnitOfWork, checkpoint: str, facts: JsonDict
    ) -> None:
        """Write what is true once ``work`` has passed ``checkpoint``."""

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """Write what is true once ``work`` is done."""

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Write what is true once ``work`` has raised ``error``."""

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Write what is true once ``step``, one of these, is taken back."""

    def must_succeed(self, step: records.Step) -> bool:
        """Tell whether an error now leads to another try, not to undoing."""
        unsettled = step.error is not None and isinstance(
            serialization.decode(step.error), exception.OutcomeUncertain
        )
        return (
            self.retry_until_done
            or unsettled
            or self.point_of_no_return in step.checkpoints
        )

    def is_retryable(self, error: Error) -> bool:
        """Tell whether it is tried again, though it may be taken back.

        That is until the operation's deadline; then it is taken back.
        """
        return False

    def is_fatal(self, error: Error) -> bool:
        """Tell whether trying again cannot help a step that insists."""
        return False

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Finish the operation in place of a host that is down."""


class ConductorStep:
    """A step that any conductor runs, in one transaction."""

    #: The RPC method that wakes a conductor to the step.
    method: ClassVar[str]
    #: The version of the conductor interface that added the method.
    since: ClassVar[str] = '1.0'
    #: A conductor step is never called: the method is a cast.
    reply_timeout: ClassVar[None] = None
    #: It cannot decide without having asked hosts.
    needs_precheck: ClassVar[bool] = False

    def precheck(
        self,
        scheduler: Scheduler,
        step: records.Step,
        params: JsonDict,
        instance: Instance,
    ) -> JsonDict:
        """Ask hosts what must be known, before the transaction."""
        return {}

    def run(
        self, uow: UnitOfWork, scheduler: Scheduler, prechecked: JsonDict
    ) -> JsonDict:
        """Decide; return what ``undone`` will need to know."""
        return {}

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Write what is true once ``step``, one of these, is taken back."""


class Flow:
    """What happens for one kind of operation.

    ``steps`` are those it may owe, in the order they happen, then those that
    take them back.
    """

    steps: ClassVar[tuple[type[ComputeStep] | type[ConductorStep], ...]] = ()
    #: It makes or ends a move, of which a record is kept.
    has_migration: ClassVar[bool] = False

    def on_begin(self, uow: UnitOfWork) -> None:
        """Owe the first step, in the transaction that begins it all."""

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Go on after everything was taken back; by default, fail."""
        uow.fail(error)
