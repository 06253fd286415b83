# SPDX-License-Identifier: Apache-2.0
"""The database, the clients and the image service that handlers use."""

from collections.abc import Callable
import dataclasses
from typing import TypeVar

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Database
from minova.engine.sender_keys import SenderKeys
from minova.flows import interfaces
from minova.images import ImageService
from minova.notifications import events
from minova.rpc import conductor
from minova.rpc.bus import Bus
from minova.rpc.compute import ComputeClients
from minova.rpc.wakeups import Waker

T = TypeVar('T')


class TimedCalls:
    """Runs calls in threads of its own and waits for them with a timeout."""

    def __init__(self, size: int = 16) -> None:
        self._pool = clock.pool('timed-calls', size)

    def call(
        self,
        timeout: float,
        func: Callable[[], T],
        callee: str = 'A conductor',
    ) -> T:
        """Return the result of ``func``, or raise its error.

        Raises RpcTimeout, which names ``callee``, after ``timeout`` seconds;
        ``func`` may still complete after that.
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
                what=callee, reason=f'no reply within {timeout} s'
            )
        answer: T = future.result()
        return answer

    def close(self) -> None:
        """Accept no more calls; do not wait for abandoned ones."""
        self._pool.shutdown(wait=False)


@dataclasses.dataclass(frozen=True)
class Backend:
    """Everything that handlers use; the serving process creates it.

    ``waker`` sends wake-ups from threads of its own and calls with a reply go
    through ``timed_calls``, so that an unresponsive broker blocks no request.
    ``host`` is the host in the publisher id of notifications.
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
        """Send the pending wake-ups, then close."""
        self.waker.close()
        self.timed_calls.close()


def build_backend(
    database: Database, bus: Bus, images: ImageService, host: str = ''
) -> Backend:
    """Return a backend over ``database`` and ``bus``.

    ``host`` defaults to ``[notifications] default_publisher_id``, then to
    ``[DEFAULT] host``. Raises Unavailable when the database does not answer.
    """
    name = host or CONF.notifications.default_publisher_id or CONF.host
    signer = SenderKeys(database).signer(name)
    return Backend(
        database=database,
        conductor=conductor.client(bus, signer),
        computes=ComputeClients(bus, signer),
        waker=Waker(interfaces.step_client(bus, signer), in_background=True),
        timed_calls=TimedCalls(CONF.api.threads),
        images=images,
        host=name,
    )
