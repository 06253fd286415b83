# SPDX-License-Identifier: Apache-2.0
"""What the application is made from."""

from collections.abc import Callable
import dataclasses
from typing import TypeVar

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Database
from minova.flows import interfaces
from minova.images import ImageService
from minova.notifications import events
from minova.rpc import conductor
from minova.rpc.bus import Bus
from minova.rpc.compute import ComputeClients
from minova.rpc.wakeups import Waker

T = TypeVar('T')


class TimedCalls:
    """Asks from threads of its own, and waits only so long."""

    def __init__(self, size: int = 16) -> None:
        self._pool = clock.pool('beside', size)

    def call(
        self,
        timeout: float,
        func: Callable[[], T],
        callee: str = 'A conductor',
    ) -> T:
        """Return what ``ask`` does, or raise its error.

        Raises RpcTimeout after ``seconds``, of ``who`` is asked; ``ask`` may
        then still be done.
        """
        ended = clock.event()

        def run() -> T:
            try:
                return func()
            finally:
                ended.set()

        future = self._pool.submit(run)
        if not ended.wait(timeout):
            future.cancel()
            raise exception.RpcTimeout(
                what=callee, reason=f'no answer in {timeout} s'
            )
        answer: T = future.result()
        return answer

    def close(self) -> None:
        """Take no more; what nobody waits for is not waited for."""
        self._pool.shutdown(wait=False)


@dataclasses.dataclass(frozen=True)
class Backend:
    """Everything behind the API; made by whoever serves it.

    ``waker`` sends from threads of its own, and what must be answered is
    asked ``beside``, so that a broker that hangs holds no request. ``host``
    is the name under which the API tells what it has done.
    """

    database: Database
    conductor: conductor.Conductor
    computes: ComputeClients
    waker: Waker
    images: ImageService
    host: str
    timed_calls: TimedCalls = dataclasses.field(default_factory=TimedCalls)

    @property
    def publisher_id(self) -> str:
        """The publisher id of the API's notifications."""
        return events.publisher_id('api', self.host)

    def close(self) -> None:
        """Wake who is still to be woken, then let go."""
        self.waker.close()
        self.timed_calls.close()


def build_backend(
    database: Database, bus: Bus, images: ImageService, host: str = ''
) -> Backend:
    """Return what reaches everything by ``database`` and ``bus``.

    ``host`` is, if nothing else is said, ``[notifications]
    default_publisher_id`` or else ``[DEFAULT] host``.
    """
    return Backend(
        database=database,
        conductor=conductor.client(bus),
        computes=ComputeClients(bus),
        waker=Waker(interfaces.step_client(bus), in_background=True),
        timed_calls=TimedCalls(CONF.api.threads),
        images=images,
        host=host or CONF.notifications.default_publisher_id or CONF.host,
    )
