# SPDX-License-Identifier: Apache-2.0
"""Asking the conductor until it has answered.

What a compute tells a conductor must arrive: each question names its step and
this start of the service, so that asking twice is answered once.

Here is also known whether this start of the service is still the newest of
its host. Who has not heard so for a while (a process that was stopped, a host
that was cut off) may have been replaced, and must ask before it acts.
"""

from collections.abc import Callable
import math
from typing import Any
from typing import TypeVar

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.context import get_admin_context
from minova.exception import serialization
from minova.objects.step import DueStep
from minova.objects.step import StepAck
from minova.objects.step import StepAssignment
from minova.rpc.compute import ComputeClients
from minova.rpc.conductor import Conductor
from minova.rpc.step_client import StepClient

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two tries, growing to the second figure.
_RETRY_DELAYS = (0.2, 5.0)


class ServiceStopping(Exception):
    """The service ends; what is not answered stays owed."""


class ConductorClient:
    """A compute's questions to conductors and to other computes."""

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
        self._stopping = clock.event()
        self._confirmed_at = -math.inf
        #: How often this start was told that another one has its place.
        self.times_replaced = 0

    def stop(self) -> None:
        """Let whoever waits for an answer give up."""
        self._stopping.set()

    def _retry_until_answered(self, what: str, call: Callable[[], T]) -> T:
        pause, longest = _RETRY_DELAYS
        last_logged = None
        while True:
            try:
                return call()
            except exception.Unavailable as error:
                away = str(error)
            if away != last_logged:
                LOG.warning('%s is asked until answered: %s', what, away)
                last_logged = away
            if self._stopping.wait(pause):
                raise ServiceStopping(what)
            pause = min(pause * 2, longest)

    # -- this start of the service -------------------------------------------

    def heartbeat(self) -> list[DueStep]:
        """Give a sign of life, return what is owed; Stale when replaced."""
        asked_at = clock.monotonic()
        try:
            due_steps = self._conductor.heartbeat(
                get_admin_context(),
                host=self._host,
                incarnation=self._incarnation,
            )
        except exception.Stale:
            self.times_replaced += 1
            raise
        self._confirmed_at = asked_at
        return due_steps

    def require_newest(self, times_replaced: int) -> None:
        """Raise Stale when another start of the service has registered.

        That is, since ``self.replaced`` was what is given here, even if this
        one has its place again. Asks when it was not confirmed within two
        heartbeats.
        """
        trusted = 2 * CONF.heartbeat_interval
        if self.times_replaced == times_replaced and (
            clock.monotonic() - self._confirmed_at > trusted
        ):
            self._retry_until_answered(
                'whether this start is the newest', self.heartbeat
            )
        if self.times_replaced != times_replaced:
            raise exception.Stale(
                what=f'Host {self._host}', holder='this start'
            )

    # -- steps ---------------------------------------------------------------

    def start_step(self, context: Context, step: str) -> StepAssignment:
        """Take a step."""
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
        self, context: Context, step: str, checkpoint: str, facts: Any
    ) -> dict[str, str]:
        """Pass a checkpoint."""
        return self._retry_until_answered(
            f'save {checkpoint} of {step}',
            lambda: self._conductor.save_checkpoint(
                context,
                step=step,
                incarnation=self._incarnation,
                checkpoint=checkpoint,
                facts=facts,
            ),
        )

    def finish_step(
        self, context: Context, step: str, result: dict[str, Any]
    ) -> StepAck:
        """End a step well."""
        return self._retry_until_answered(
            f'finish_step {step}',
            lambda: self._conductor.finish_step(
                context,
                step=step,
                incarnation=self._incarnation,
                result=result,
            ),
        )

    def fail_step(
        self,
        context: Context,
        step: str,
        error: Exception,
        facts: dict[str, Any],
    ) -> StepAck:
        """End a step badly."""
        return self._retry_until_answered(
            f'fail_step {step}',
            lambda: self._conductor.fail_step(
                context,
                step=step,
                incarnation=self._incarnation,
                error=serialization.encode(error),
                facts=facts,
            ),
        )

    # -- once ----------------------------------------------------------------

    def report_progress(
        self, context: Context, migration: int, byte_counts: dict[str, int]
    ) -> None:
        """Tell how far a migration is, if a conductor listens."""
        try:
            self._conductor.report_progress(
                context, migration=migration, byte_counts=byte_counts
            )
        except exception.Unavailable as error:
            LOG.debug('Progress of %s is not told: %s', migration, error)

    def call_step(
        self, context: Context, host: str, method: str, step: str
    ) -> dict[str, Any]:
        """Let another host run a nested step."""
        result = self._steps.send(context, 'compute', host, method, step)
        return result or {}

    def guest_power_state(
        self, context: Context, host: str, instance_uuid: str
    ) -> int | None:
        """Ask another host for a guest's power state."""
        return self._computes.for_host(host).guest_power_state(
            context, instance_uuid=instance_uuid
        )
