# SPDX-License-Identifier: Apache-2.0
"""Calls to conductors and to other computes.

The calls about steps are repeated until a conductor answers. Each names its
step and the incarnation of the compute, so that a repeated call takes effect
once.

The client also knows whether its incarnation is still the newest of the host.
A process that was suspended, or a host without network, may have been
replaced: without a recent confirmation the client calls the conductor before
the compute changes a guest.
"""

from collections.abc import Callable
import math
from typing import TypeVar

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.context import get_admin_context
from minova.exception import serialization
from minova.objects.checkpoints import Checkpoint
from minova.objects.step import DueStep
from minova.objects.step import StepAck
from minova.objects.step import StepAssignment
from minova.objects.step_results import StepResult
from minova.rpc.compute import ComputeClients
from minova.rpc.conductor import Conductor
from minova.rpc.step_client import StepClient

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: The first and the longest delay between two calls, in seconds.
_RETRY_DELAYS = (0.2, 5.0)


class ServiceStopping(Exception):
    """The service stops; unanswered calls stay open for its next start."""


class ConductorClient:
    """The calls of a compute to conductors and to other computes."""

    def __init__(
        self,
        conductor: Conductor,
        computes: ComputeClients,
        steps: StepClient,
        host: str,
        incarnation: str,
    ) -> None:
        self._conductor = conductor
        self._computes = computes
        self._steps = steps
        self._host = host
        self._incarnation = incarnation
        self._stop_signal = cancellation.Signal()
        self._confirmed_at = -math.inf
        #: Returns why the hypervisor of the host cannot be used.
        self.report_health: Callable[[], str | None] = lambda: None
        #: How often a conductor has reported a newer incarnation.
        self.times_replaced = 0

    def stop(self) -> None:
        """Stop all retries."""
        self._stop_signal.set(ServiceStopping(f'compute {self._host}'))

    def _retry_until_answered(self, what: str, call: Callable[[], T]) -> T:
        pause, longest = _RETRY_DELAYS
        last_logged = None
        while True:
            try:
                return call()
            except exception.Unavailable as error:
                away = str(error)
            if away != last_logged:
                LOG.warning('%s: retrying until answered: %s', what, away)
                last_logged = away
            # A step has a signal of its own, which a stop sets too.
            if cancellation.is_scoped():
                cancellation.wait(pause)
            else:
                self._stop_signal.wait(pause)
            pause = min(pause * 2, longest)

    # -- the incarnation -----------------------------------------------------

    def heartbeat(self) -> list[DueStep]:
        """Send a heartbeat; return the due steps; Stale when replaced."""
        asked_at = clock.monotonic()
        try:
            due_steps = self._conductor.heartbeat(
                get_admin_context(),
                host=self._host,
                incarnation=self._incarnation,
                hypervisor_error=self.report_health(),
            )
        except exception.Stale:
            self.times_replaced += 1
            raise
        self._confirmed_at = asked_at
        return due_steps

    def require_newest(self, times_replaced: int) -> None:
        """Raise Stale when another incarnation has registered.

        ``times_replaced`` is an earlier value of the attribute: a difference
        is a replacement since then, even if this incarnation has registered
        again. Sends a heartbeat if none was confirmed within two intervals.
        """
        trusted = 2 * CONF.heartbeat_interval
        if self.times_replaced == times_replaced and (
            clock.monotonic() - self._confirmed_at > trusted
        ):
            self._retry_until_answered('heartbeat', self.heartbeat)
        if self.times_replaced != times_replaced:
            raise exception.Stale(
                what=f'Host {self._host}', holder='this incarnation'
            )

    # -- steps ---------------------------------------------------------------

    def start_step(self, context: Context, step: str) -> StepAssignment:
        """Start a step."""
        asked_at = clock.monotonic()
        assignment = self._retry_until_answered(
            f'start_step {step}',
            lambda: self._conductor.start_step(
                context,
                step=step,
                host=self._host,
                incarnation=self._incarnation,
            ),
        )
        self._confirmed_at = max(self._confirmed_at, asked_at)
        return assignment

    def save_checkpoint(
        self, context: Context, step: str, checkpoint: Checkpoint
    ) -> dict[str, str]:
        """Record a checkpoint."""
        return self._retry_until_answered(
            f'save_checkpoint {checkpoint.obj_name()} of {step}',
            lambda: self._conductor.save_checkpoint(
                context,
                step=step,
                host=self._host,
                incarnation=self._incarnation,
                checkpoint=checkpoint,
            ),
        )

    def finish_step(
        self, context: Context, step: str, result: StepResult
    ) -> StepAck:
        """Finish a step."""
        return self._retry_until_answered(
            f'finish_step {step}',
            lambda: self._conductor.finish_step(
                context,
                step=step,
                host=self._host,
                incarnation=self._incarnation,
                result=result,
            ),
        )

    def fail_step(
        self,
        context: Context,
        step: str,
        error: Exception,
        power_state: int | None,
        guest_untouched: bool,
    ) -> StepAck:
        """Fail a step."""
        return self._retry_until_answered(
            f'fail_step {step}',
            lambda: self._conductor.fail_step(
                context,
                step=step,
                host=self._host,
                incarnation=self._incarnation,
                error=serialization.encode(error),
                power_state=power_state,
                guest_untouched=guest_untouched,
            ),
        )

    # -- without retries -----------------------------------------------------

    def report_progress(
        self, context: Context, migration: int, byte_counts: dict[str, int]
    ) -> None:
        """Report the progress of a migration, once."""
        try:
            self._conductor.report_progress(
                context,
                host=self._host,
                migration=migration,
                byte_counts=byte_counts,
            )
        except exception.Unavailable as error:
            LOG.debug(
                'Migration %s: progress not reported: %s', migration, error
            )

    def report_step_progress(
        self, context: Context, step: str, percent: int
    ) -> None:
        """Report the progress of a step, once."""
        try:
            self._conductor.report_step_progress(
                context, host=self._host, step=step, percent=percent
            )
        except exception.Unavailable as error:
            LOG.debug('Step %s: progress not reported: %s', step, error)

    def call_step(
        self, context: Context, host: str, method: str, step: str
    ) -> StepResult:
        """Run a nested step on another host; return its result."""
        return StepResult.narrow(
            self._steps.send(context, 'compute', host, method, step)
        )

    def guest_power_state(
        self, context: Context, host: str, instance_uuid: str
    ) -> int | None:
        """Return the power state of a guest on another host."""
        return self._computes.for_host(host).guest_power_state(
            context, instance_uuid=instance_uuid
        )
