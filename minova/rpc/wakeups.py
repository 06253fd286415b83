# SPDX-License-Identifier: Apache-2.0
"""Wake-ups: casts that may be lost.

A pending step is a row of the database. A compute gets its due steps with
every heartbeat, and conductors find theirs in every sweep. A wake-up that
cannot be sent is therefore logged and dropped: the step starts later.
"""

from collections.abc import Iterable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.context import Context
from minova.objects.step import Wakeup
from minova.rpc.step_client import StepClient

LOG = logging.getLogger(__name__)


class Waker:
    """Sends wake-ups, from the caller's thread or from its own threads.

    The API sends from threads of the waker: a broker that hangs must not
    block a request whose operation has begun.
    """

    def __init__(self, steps: StepClient, in_background: bool = False) -> None:
        self._steps = steps
        self._pool = clock.pool('waker', 4) if in_background else None

    def wake(self, context: Context, wakeups: Iterable[Wakeup]) -> None:
        """Send each wake-up under the method of its step."""
        for wakeup in wakeups:
            if self._pool is None:
                self._send(context, wakeup)
            else:
                self._pool.submit(self._send, context, wakeup)

    def _send(self, context: Context, wakeup: Wakeup) -> None:
        try:
            self._steps.send(
                context,
                wakeup.topic,
                wakeup.host,
                wakeup.method,
                wakeup.step,
            )
        except exception.Unavailable as error:
            LOG.warning(
                'Step %s %s on %s: wake-up not delivered; the step starts at '
                'the next %s: %s',
                wakeup.step,
                wakeup.method,
                wakeup.host or 'a conductor',
                'heartbeat' if wakeup.host else 'sweep',
                error,
            )

    def close(self) -> None:
        """Send the wake-ups that are queued, then accept no more."""
        if self._pool is not None:
            self._pool.shutdown()
