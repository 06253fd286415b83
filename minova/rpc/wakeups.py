# SPDX-License-Identifier: Apache-2.0
"""Wake-ups: casts that may be lost.

What is owed stands in the database and is asked for periodically, so a wake-up
that cannot be sent is logged and forgotten; nobody waits for it.
"""

from collections.abc import Iterable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.context import Context
from minova.objects.step import Wakeup
from minova.rpc.compute import ComputeClients
from minova.rpc.conductor import Conductor

LOG = logging.getLogger(__name__)


class Waker:
    """Sends wake-ups, from the caller's thread or from one of its own.

    The api sends from one of its own: a broker that hangs must not hold a
    request whose operation has begun.
    """

    def __init__(
        self,
        computes: ComputeClients,
        conductor: Conductor,
        in_background: bool = False,
    ) -> None:
        self._computes = computes
        self._conductor = conductor
        self._pool = clock.pool('waker', 4) if in_background else None

    def wake(self, context: Context, wakeups: Iterable[Wakeup]) -> None:
        """Send each, or log why not."""
        for wakeup in wakeups:
            if self._pool is None:
                self._send(context, wakeup)
            else:
                self._pool.submit(self._send, context, wakeup)

    def _send(self, context: Context, wakeup: Wakeup) -> None:
        away = None
        try:
            if wakeup.topic == 'conductor':
                self._conductor.build_instances(context, steps=[wakeup.step])
            else:
                compute = self._computes.for_host(str(wakeup.host))
                getattr(compute, wakeup.method)(context, step=wakeup.step)
        except exception.Unavailable as error:
            away = error
        if away is not None:
            LOG.warning(
                '%s is not woken for %s, which it will find by itself: %s',
                wakeup.host or 'A conductor',
                wakeup.method,
                away,
            )

    def close(self) -> None:
        """Send what was begun, take no more."""
        if self._pool is not None:
            self._pool.shutdown()
