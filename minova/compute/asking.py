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
from typing import cast
from typing import TypeVar

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.context import internal
from minova.exception import written
from minova.objects.step import Answer
from minova.objects.step import Duty
from minova.objects.step import Ticket
from minova.rpc.compute import Computes
from minova.rpc.conductor import Conductor

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two tries, growing to the second figure.
_PAUSES = (0.2, 5.0)


class Stopping(Exception):
    """The service ends; what is not answered stays owed."""


class Asking:
    """A compute's questions to conductors and to other computes."""

    def __init__(
        self,
        conductor: Conductor,
        computes: Computes,
        host: str,
        incarnation: str,
    ) -> None:
        self._conductor = conductor
        self._computes = computes
        self._host = host
        self._incarnation = incarnation
        self._stopping = clock.event()
        self._confirmed_at = -math.inf
        #: How often this start was told that another one has its place.
        self.replaced = 0

    def stop(self) -> None:
        """Let whoever waits for an answer give up."""
        self._stopping.set()

    def _insist(self, what: str, ask: Callable[[], T]) -> T:
        pause, longest = _PAUSES
        told = None
        while True:
            try:
                return ask()
            except exception.Unavailable as error:
                away = str(error)
            if away != told:
                LOG.warning('%s is asked until answered: %s', what, away)
                told = away
            if self._stopping.wait(pause):
                raise Stopping(what)
            pause = min(pause * 2, longest)

    # -- this start of the service -------------------------------------------

    def beat(self) -> list[Duty]:
        """Give a sign of life, return what is owed; Stale when replaced."""
        asked_at = clock.monotonic()
        try:
            duties = self._conductor.beat(
                internal(), host=self._host, incarnation=self._incarnation
            )
        except exception.Stale:
            self.replaced += 1
            raise
        self._confirmed_at = asked_at
        return duties

    def require_newest(self, replaced: int) -> None:
        """Raise Stale when another start of the service has registered.

        That is, since ``self.replaced`` was what is given here, even if this
        one has its place again. Asks when it was not confirmed within two
        heartbeats.
        """
        trusted = 2 * CONF.compute.heartbeat_interval
        if self.replaced == replaced and (
            clock.monotonic() - self._confirmed_at > trusted
        ):
            self._insist('whether this start is the newest', self.beat)
        if self.replaced != replaced:
            raise exception.Stale(
                what=f'Host {self._host}', holder='this start'
            )

    # -- steps ---------------------------------------------------------------

    def take(self, context: Context, step: str) -> Ticket:
        """Take a step."""
        asked_at = clock.monotonic()
        ticket = self._insist(
            f'begin_step {step}',
            lambda: self._conductor.begin_step(
                context,
                step=step,
                host=self._host,
                incarnation=self._incarnation,
            ),
        )
        self._confirmed_at = max(self._confirmed_at, asked_at)
        return ticket

    def save(
        self, context: Context, step: str, milestone: str, facts: Any
    ) -> dict[str, str]:
        """Pass a milestone."""
        return self._insist(
            f'save {milestone} of {step}',
            lambda: self._conductor.save(
                context,
                step=step,
                incarnation=self._incarnation,
                milestone=milestone,
                facts=facts,
            ),
        )

    def finish(
        self, context: Context, step: str, result: dict[str, Any]
    ) -> Answer:
        """End a step well."""
        return self._insist(
            f'finish_step {step}',
            lambda: self._conductor.finish_step(
                context,
                step=step,
                incarnation=self._incarnation,
                result=result,
            ),
        )

    def fail(
        self,
        context: Context,
        step: str,
        error: Exception,
        facts: dict[str, Any],
    ) -> Answer:
        """End a step badly."""
        return self._insist(
            f'fail_step {step}',
            lambda: self._conductor.fail_step(
                context,
                step=step,
                incarnation=self._incarnation,
                error=written.encode(error),
                facts=facts,
            ),
        )

    # -- once ----------------------------------------------------------------

    def report(
        self, context: Context, migration: int, figures: dict[str, int]
    ) -> None:
        """Tell how far a migration is, if a conductor listens."""
        try:
            self._conductor.report_progress(
                context, migration=migration, figures=figures
            )
        except exception.Unavailable as error:
            LOG.debug('Progress of %s is not told: %s', migration, error)

    def other(
        self, context: Context, host: str, method: str, step: str
    ) -> dict[str, Any]:
        """Let another host run a nested step."""
        compute = self._computes.at(host)
        result = getattr(compute, method)(context, step=step)
        return cast(dict[str, Any], result)

    def probe(
        self, context: Context, host: str, instance_uuid: str
    ) -> int | None:
        """Ask another host for a guest's power state."""
        return self._computes.at(host).guest_power_state(
            context, instance_uuid=instance_uuid
        )
