# SPDX-License-Identifier: Apache-2.0
"""The execution of steps on a host.

The runner starts a step with the conductor, runs it, reports the result and
sends the wake-ups of the answer. One step of an instance runs at a time,
except concurrent ones, and a step of a newer operation stops an older one. A
wake-up for a step that is running, or that does not exist any more, has no
effect.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova import flows
from minova.compute.conductor_client import ConductorClient
from minova.compute.conductor_client import ServiceStopping
from minova.compute.image_cache import ImageCache
from minova.compute.step_context import StepContext
from minova.compute.step_secrets import StepSecrets
from minova.context import Context
from minova.exception import serialization
from minova.flows.base import AnyComputeStep
from minova.flows.base import ComputeStep
from minova.objects.step import StepAck
from minova.objects.step import StepAssignment
from minova.objects.step_results import StepResult
from minova.rpc.wakeups import Waker
from minova.states import PowerState
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)

#: The first and the longest delay, in seconds, between two attempts to start a
#: step that waits for an earlier one.
_EARLIER_STEP_DELAYS = (0.05, 5.0)


@dataclasses.dataclass
class _RunningStep:
    """A step that this process runs."""

    ended: clock.Event
    context: StepContext | None = None
    assignment: StepAssignment | None = None


class StepRunner:
    """Runs the steps of one host."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        images: ImageCache,
        conductor: ConductorClient,
        waker: Waker,
        max_concurrent: int,
        check_hypervisor: Callable[[], None],
    ) -> None:
        """``check_hypervisor`` is called after a call without an answer."""
        self._host = host
        self._driver = driver
        self._images = images
        self._conductor = conductor
        self._waker = waker
        self._check_hypervisor = check_hypervisor
        self._pool = clock.pool(f'steps-{host}', max_concurrent)
        self._urgent_pool = clock.pool(f'urgent-steps-{host}', max_concurrent)
        self._guard = clock.lock()
        self._secrets = StepSecrets()
        self._running: dict[str, _RunningStep] = {}
        self._contexts: set[StepContext] = set()
        self._locks: dict[str, tuple[clock.Lock, int]] = {}
        self._stopping = clock.event()
        #: Wake-ups before the registration of this incarnation; then None.
        self._early_wakeups: dict[str, tuple[Context, str]] | None = {}

    # -- requests ------------------------------------------------------------

    def wake(self, context: Context, step: str, method: str) -> None:
        """Start a step, unless it runs already or the service stops."""
        if self._stopping.is_set():
            return
        with self._guard:
            if self._early_wakeups is not None:
                self._early_wakeups[step] = context, method
                return
            if step in self._running:
                return
        is_urgent = method in flows.URGENT_METHODS
        pool = self._urgent_pool if is_urgent else self._pool
        pool.submit(self._run_in_background, context, step)

    def accept_steps(self) -> None:
        """Run steps from now on: this incarnation has registered.

        The conductor refuses steps to an incarnation before that.
        """
        with self._guard:
            early, self._early_wakeups = self._early_wakeups or {}, None
        for step, (context, method) in early.items():
            self.wake(context, step, method)

    def run_nested(self, context: Context, step: str) -> StepResult:
        """Run a nested step and return its result, or raise its error.

        Raises Unavailable before the registration of this incarnation, and
        while the service stops.
        """
        if self._early_wakeups is not None:
            raise self._unavailable('it is starting')
        if self._stopping.is_set():
            raise self._unavailable('it is stopping')
        while True:
            with self._claim_step(step) as (mine, other):
                if mine:
                    return self._run(context, step)
            other.wait()

    def run_with_secret(
        self, context: Context, step: str, secret: str
    ) -> None:
        """Run a step that needs a secret; raise its error.

        A heartbeat may have started the step, which then waits for it.
        """
        with self._secrets.hold(step, secret):
            self.run_nested(context, step)

    def _unavailable(self, reason: str) -> exception.Unavailable:
        return exception.Unavailable(
            what=f'Compute {self._host}', reason=reason
        )

    def request_abort(self, instance_uuid: str, method: str) -> None:
        """Cancel a running step of an instance."""
        for ctx in self._find_contexts(instance_uuid, method):
            ctx.cancel(exception.Cancelled(operation=ctx.kind))

    def request_force(self, instance_uuid: str, method: str) -> bool:
        """Set ``force_requested`` of a running step; False if none runs."""
        contexts = self._find_contexts(instance_uuid, method)
        for ctx in contexts:
            ctx.force_requested = True
        return bool(contexts)

    @contextlib.contextmanager
    def hold_idle_guest(self, instance_uuid: str) -> Iterator[None]:
        """Lock a guest without a running step; Stale when one runs."""
        running = self._find_contexts(instance_uuid)
        if running:
            raise exception.Stale(
                what=f'Guest {instance_uuid}', holder=running[0].kind
            )
        with self._lock_instance(instance_uuid):
            yield

    def begin_stop(self) -> None:
        """Stop the running steps at their waits; start no more."""
        self._stopping.set()
        self._conductor.stop()
        with self._guard:
            contexts = list(self._contexts)
        for ctx in contexts:
            ctx.stop(ServiceStopping(ctx.kind))

    def stop(self) -> None:
        """Stop; return when no step runs."""
        self.begin_stop()
        self._pool.shutdown()
        self._urgent_pool.shutdown()

    # -- one at a time -------------------------------------------------------

    @contextlib.contextmanager
    def _claim_step(self, step: str) -> Iterator[tuple[bool, clock.Event]]:
        """Claim a step: yield whether it was free, and its end event."""
        with self._guard:
            found = self._running.get(step)
            mine = found is None
            if found is None:
                found = self._running[step] = _RunningStep(clock.event())
        try:
            yield mine, found.ended
        finally:
            if mine:
                with self._guard:
                    del self._running[step]
                found.ended.set()

    @contextlib.contextmanager
    def _lock_instance(self, uuid: str) -> Iterator[None]:
        """Lock the guest of an instance."""
        with self._guard:
            lock, users = self._locks.get(uuid, (clock.lock(), 0))
            self._locks[uuid] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[uuid]
                self._locks[uuid] = lock, users - 1
                if users == 1:
                    del self._locks[uuid]

    def _find_contexts(
        self, instance_uuid: str, method: str | None = None
    ) -> list[StepContext]:
        with self._guard:
            return [
                running.context
                for running in self._running.values()
                if running.context is not None
                and running.assignment is not None
                and running.context.instance.uuid == instance_uuid
                and method in (None, running.assignment.method)
            ]

    # -- running -------------------------------------------------------------

    def _run_in_background(self, context: Context, step: str) -> None:
        try:
            with self._claim_step(step) as (mine, _):
                if mine:
                    self._run(context, step)
        except (ServiceStopping, exception.MinovaException) as error:
            # The failure of a started step is logged already. A step that
            # was not started comes again with the next heartbeat.
            LOG.debug('Step %s: %s', step, error)
        except Exception:
            LOG.exception('Step %s failed unexpectedly; retrying', step)

    def _run(self, context: Context, step: str) -> StepResult:
        assignment = self._conductor.start_step(context, step)
        if assignment.verdict == 'first':
            self._log(
                assignment,
                'waits for a step of an earlier operation',
                logging.DEBUG,
            )
        pause, longest = _EARLIER_STEP_DELAYS
        while assignment.verdict == 'first':
            for earlier in assignment.prerequisites:
                self._run_in_background(context, earlier)
            if self._stopping.wait(pause):
                raise ServiceStopping(step)
            pause = min(pause * 2, longest)
            assignment = self._conductor.start_step(context, step)
        if assignment.verdict == 'done':
            assert assignment.result is not None
            return assignment.result
        if assignment.verdict in ('failed', 'undone'):
            raise serialization.decode(assignment.error or {})
        if assignment.verdict == 'later':
            raise exception.Unavailable(
                what=assignment.method, reason='its retry is not due yet'
            )
        return self._execute(assignment)

    def _execute(self, assignment: StepAssignment) -> StepResult:
        step = flows.get_step(assignment.kind, assignment.method)
        assert isinstance(step, ComputeStep)
        ctx = StepContext(
            assignment,
            self._host,
            self._driver,
            self._images,
            self._conductor,
            self.request_abort,
            self.request_force,
            self._secrets,
        )
        with contextlib.closing(ctx), self._stoppable(ctx):
            if step.concurrent:
                return self._execute_locked(step, ctx, assignment)
            self._stop_older(assignment)
            self._register_context(assignment, ctx)
            with self._lock_instance(assignment.instance.uuid):
                # A newer step may have stopped it while it waited.
                cancellation.check()
                return self._execute_locked(step, ctx, assignment)

    @contextlib.contextmanager
    def _stoppable(self, ctx: StepContext) -> Iterator[None]:
        """Let a stop of the step, or of the service, end the step's waits."""
        with self._guard:
            self._contexts.add(ctx)
        if self._stopping.is_set():
            ctx.stop(ServiceStopping(ctx.kind))
        try:
            with cancellation.scope(ctx.stop_signal):
                yield
        finally:
            with self._guard:
                self._contexts.discard(ctx)

    def _register_context(
        self, assignment: StepAssignment, ctx: StepContext
    ) -> None:
        with self._guard:
            self._running[assignment.step].context = ctx
            self._running[assignment.step].assignment = assignment

    def _stop_older(self, assignment: StepAssignment) -> None:
        """Stop the steps of older operations of the instance."""
        for ctx in self._find_contexts(assignment.instance.uuid):
            if ctx.generation < assignment.generation:
                ctx.stop(
                    exception.Stale(
                        what=f'Instance {assignment.instance.uuid}',
                        holder=ctx.kind,
                    )
                )

    def _execute_locked(
        self,
        step: AnyComputeStep,
        ctx: StepContext,
        assignment: StepAssignment,
    ) -> StepResult:
        self._log(assignment, 'starts', logging.DEBUG)
        try:
            result = StepResult.narrow(step.run(ctx, assignment.args))
            answer = self._conductor.finish_step(
                ctx.context, assignment.step, result
            )
        except ServiceStopping:
            self._log(
                assignment, 'stops with the service; a restart resumes it'
            )
            raise
        except exception.Stale as error:
            self._log(assignment, f'stops: {error}')
            raise
        except Exception as error:
            # A result that the conductor cannot write fails the step too.
            if not isinstance(error, exception.MinovaException):
                LOG.exception(
                    '%s failed unexpectedly', self._describe(assignment)
                )
            self._report_failure(step, assignment, ctx, error)
            raise
        self._dispatch_wakeups(ctx.context, answer)
        return result

    def _report_failure(
        self,
        step: AnyComputeStep,
        assignment: StepAssignment,
        ctx: StepContext,
        error: Exception,
    ) -> None:
        self._log(assignment, f'failed: {error}', logging.WARNING)
        power_state = self._read_power_state(assignment)
        is_unknown = power_state is None and not ctx.is_guest_untouched
        if (
            is_unknown
            and step.undo is None
            and isinstance(error, exception.GuestFailed)
            and not isinstance(error, exception.OutcomeUncertain)
        ):
            # Neither a success nor a roll-back would be true: the step goes
            # on when the hypervisor answers.
            error = exception.OutcomeUncertain(
                instance_id=assignment.instance.uuid,
                operation=assignment.kind,
                reason=str(error),
            )
        answer = self._conductor.fail_step(
            ctx.context,
            assignment.step,
            error,
            power_state,
            ctx.is_guest_untouched,
        )
        self._dispatch_wakeups(ctx.context, answer)

    def _read_power_state(self, assignment: StepAssignment) -> int | None:
        """Return the power state of the guest after a failure.

        None when the hypervisor does not answer.
        """
        try:
            guest = self._driver.guest(assignment.instance.uuid)
        except exception.MinovaException as error:
            LOG.warning(
                '%s: the power state of the guest is not known: %s',
                self._describe(assignment),
                error,
            )
            self._check_hypervisor()
            return None
        return int(guest.power if guest else PowerState.NOSTATE)

    def _dispatch_wakeups(self, context: Context, answer: StepAck) -> None:
        remote_wakeups = []
        for wakeup in answer.wakeups:
            if wakeup.host == self._host:
                self.wake(context, wakeup.step, wakeup.method)
            else:
                remote_wakeups.append(wakeup)
        self._waker.wake(context, remote_wakeups)

    def _describe(self, assignment: StepAssignment) -> str:
        """Return how a line begins, as ``engine.operation_log`` has it."""
        return (
            f'Operation {assignment.operation} {assignment.kind} '
            f'instance={assignment.instance.uuid}: '
            f'step {assignment.method} on {self._host}'
        )

    def _log(
        self, assignment: StepAssignment, text: str, level: int = logging.INFO
    ) -> None:
        LOG.log(level, '%s %s', self._describe(assignment), text)
