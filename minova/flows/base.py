# SPDX-License-Identifier: Apache-2.0
"""The base classes of flows and of their steps.

A *flow* defines one kind of operation: its *steps* in their order, each of
which one service runs on one host. The methods of a compute step run in
different places:

============= ========= ====================================================
method        runs on   when
============= ========= ====================================================
on_start      conductor in the transaction that starts the step
run           the host  calls the hypervisor; may be interrupted anywhere and
                        is then run again, so it checks what is already done
on_checkpoint conductor in a transaction in the middle of ``run``
on_success    conductor in the transaction that finishes the step: changes the
                        instance and enqueues the next step
on_failure    conductor in the transaction that records the error
on_undo       conductor in the transaction that marks the step as undone
============= ========= ====================================================

The class of a step names its argument and result types: the enqueueing step
passes the arguments, ``run`` returns the result to ``on_success``. In between,
``run`` may save checkpoints. All three are versioned objects: see
``step_args``, ``step_results`` and ``checkpoints`` in ``minova.objects``.

A *conductor step* is one transaction of a conductor. A flow sees a transaction
as a ``UnitOfWork``, a running step on its host as a ``StepContext`` and the
hosts that a conductor knows as a ``Scheduler``. It imports neither the
database nor the hypervisor.
"""

import dataclasses
from typing import Any
from typing import ClassVar
from typing import Generic
from typing import TYPE_CHECKING
from typing import TypeAlias
from typing import TypeVar

from minova import exception
from minova.exception import serialization
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import Checkpoint
from minova.objects.instance import Instance
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.objects.step_args import StepArgs
from minova.objects.step_results import HostFenced
from minova.objects.step_results import StepResult

if TYPE_CHECKING:
    from minova.compute import step_context
    from minova.conductor import scheduler
    from minova.engine import unit_of_work

Error = exception.MinovaException

ArgsT = TypeVar('ArgsT', bound=StepArgs)
ResultT = TypeVar('ResultT', bound=StepResult)

#: The types that a flow works with. Their packages use this one, so they are
#: names for annotations only.
UnitOfWork: TypeAlias = 'unit_of_work.UnitOfWork'
StepContext: TypeAlias = 'step_context.StepContext'
Scheduler: TypeAlias = 'scheduler.Scheduler'
LiveMigrationTarget: TypeAlias = 'scheduler.LiveMigrationTarget'
#: None for a step that needs no answers of hosts.
Prechecked: TypeAlias = 'scheduler.LiveMigrationTarget | HostFenced | None'


class BaseStep(Generic[ArgsT, ResultT]):
    """A step, with the classes of its arguments and of its result."""

    #: The RPC method of the step: its wake-up, or the call of a nested step.
    method: ClassVar[str]
    #: The version of the interface of its service that added the method.
    since: ClassVar[str] = '1.0'
    #: The method whose name Nova shows for the event of the step, if it is
    #: another one.
    event_method: ClassVar[str | None] = None

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Write that ``step``, one of this class, is undone."""


class ComputeStep(BaseStep[ArgsT, ResultT]):
    """A step that a compute runs."""

    #: Seconds that a caller waits for the result; None: the method is a cast.
    reply_timeout: ClassVar[float | None] = None
    #: The step that undoes it, on the same host.
    undo: 'type[ComputeStep[ArgsT, Any]] | None' = None
    #: The step cannot be undone: it is retried until it succeeds, or until
    #: the deadline of the operation leaves the instance in error.
    retry_until_done: ClassVar[bool] = False
    #: Even so it fails, and the operation is rolled back, when its first
    #: attempt does not reach the hypervisor.
    fails_if_untouched: ClassVar[bool] = False
    #: The checkpoint after which it is retried until done.
    point_of_no_return: ClassVar[type[Checkpoint] | None] = None
    #: A late run is harmless: the operation does not wait for a host that is
    #: down.
    deferrable: ClassVar[bool] = False
    #: It may run while another step of the instance does.
    concurrent: ClassVar[bool] = False
    #: It removes a guest, so it does not queue behind steps that wait.
    urgent: ClassVar[bool] = False
    #: The nested steps that ``run`` calls on other hosts.
    nested_steps: 'ClassVar[tuple[type[AnyComputeStep], ...]]' = ()
    #: ``finish_without_host`` ends the operation while the host is down.
    can_finish_without_host: ClassVar[bool] = False
    #: The operation fails if the host is still down at the deadline, and the
    #: undo runs when the host returns. Without it the operation waits on.
    fail_at_deadline: ClassVar[bool] = False

    def on_start(self, uow: UnitOfWork) -> None:
        """Write the start of the step."""

    def run(self, ctx: StepContext, args: ArgsT) -> ResultT:
        """Call the hypervisor; return the result for ``on_success``."""
        raise NotImplementedError

    def on_checkpoint(self, uow: UnitOfWork, checkpoint: Checkpoint) -> None:
        """Write that ``run`` has passed ``checkpoint``."""

    def on_success(self, uow: UnitOfWork, result: ResultT) -> None:
        """Write the end of the step and enqueue the next one."""

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Write that ``run`` has raised ``error``."""

    def is_deferrable(self, step: records.Step) -> bool:
        """Tell whether a late run of ``step``, of this class, is harmless."""
        return self.deferrable

    def must_succeed(self, step: records.Step) -> bool:
        """Tell whether an error now leads to a retry, not to an undo."""
        uncertain = step.error is not None and isinstance(
            serialization.decode(step.error), exception.OutcomeUncertain
        )
        return (
            self.retry_until_done
            or uncertain
            or self.has_passed_point_of_no_return(step)
        )

    def has_passed_point_of_no_return(self, step: records.Step) -> bool:
        """Tell whether ``step`` has passed the checkpoint of this class."""
        point = self.point_of_no_return
        return (
            point is not None
            and checkpoints.find(step.checkpoints, point) is not None
        )

    def is_retryable(self, error: Error) -> bool:
        """Tell whether a step that can be undone is retried first.

        The retries end at the deadline of the operation; then it is undone.
        """
        return False

    def is_fatal(self, error: Error) -> bool:
        """Tell whether a retry of a step that must succeed is useless."""
        return False

    def finish_without_host(self, uow: UnitOfWork) -> None:
        """Finish the operation in place of a host that is down."""


class ConductorStep(BaseStep[ArgsT, ResultT]):
    """A step that any conductor runs, in one transaction."""

    #: A conductor step is never called: the method is a cast.
    reply_timeout: ClassVar[None] = None
    #: ``run`` needs the answers of hosts, which ``precheck`` collects.
    needs_precheck: ClassVar[bool] = False
    #: ``precheck`` runs a program, which may hang until its timeout.
    runs_program: ClassVar[bool] = False

    def precheck(
        self,
        scheduler: Scheduler,
        step: records.Step,
        params: OperationParams,
        instance: Instance,
    ) -> 'LiveMigrationTarget | HostFenced':
        """Call hosts before the transaction; return what ``run`` needs."""
        raise NotImplementedError

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: ArgsT,
        prechecked: Prechecked,
    ) -> ResultT:
        """Decide; return the result that ``on_undo`` needs."""
        raise NotImplementedError


AnyComputeStep: TypeAlias = ComputeStep[Any, Any]
AnyConductorStep: TypeAlias = ConductorStep[Any, Any]
AnyStep: TypeAlias = AnyComputeStep | AnyConductorStep
StepClass: TypeAlias = type[AnyComputeStep] | type[AnyConductorStep]


@dataclasses.dataclass(frozen=True)
class FollowUp:
    """An operation that must begin: its kind and its parameters."""

    kind: str
    params: OperationParams


class Flow:
    """The steps of one kind of operation.

    ``steps`` lists the steps in the order in which they run, then the steps
    that undo them.
    """

    steps: ClassVar[tuple[StepClass, ...]] = ()
    #: The class of the parameters of its operations.
    params_class: ClassVar[type[OperationParams]] = NoParams
    #: The operation has a migration record.
    has_migration: ClassVar[bool] = False
    #: The error of a request for an instance whose host is down.
    host_down_class: ClassVar[type[Error]] = exception.HostDown
    #: Power synchronization corrects an instance whose operation failed with
    #: an effect that is not known, so the instance does not go to error.
    is_self_correcting: ClassVar[bool] = False

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the first step, in the transaction that begins it all."""

    def after_preemption(
        self, operation: records.Operation, host: str | None
    ) -> FollowUp | None:
        """Return the operation that cleans up after a preempted one.

        ``host`` is that of its steps, None without one. By default the
        operation that preempts removes everything.
        """
        return None

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Continue after the undo of all steps; by default, fail."""
        uow.fail(error)

    def on_give_up(self, uow: UnitOfWork, error: Error) -> Error:
        """Return the fault of an operation that is given up.

        ``error`` says why; its undo, if it has begun, is not complete.
        """
        return error
