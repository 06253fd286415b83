# SPDX-License-Identifier: Apache-2.0
"""What the application is made from."""

from collections.abc import Callable
import dataclasses
from typing import TypeVar

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.engine import Database
from minova.images import Images
from minova.notifications import events
from minova.rpc import conductor
from minova.rpc.bus import Bus
from minova.rpc.compute import Computes
from minova.rpc.wakes import Waker

T = TypeVar('T')


class Beside:
    """Asks from threads of its own, and waits only so long."""

    def __init__(self, size: int = 16) -> None:
        self._pool = clock.pool('beside', size)

    def ask(
        self,
        seconds: float,
        ask: Callable[[], T],
        who: str = 'A conductor',
    ) -> T:
        """Return what ``ask`` does, or raise its error.

        Raises NoAnswer after ``seconds``, of ``who`` is asked; ``ask`` may
        then still be done.
        """
        ended = clock.event()

        def run() -> T:
            try:
                return ask()
            finally:
                ended.set()

        asked = self._pool.submit(run)
        if not ended.wait(seconds):
            asked.cancel()
            raise exception.NoAnswer(
                what=who, reason=f'no answer in {seconds} s'
            )
        answer: T = asked.result()
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
    computes: Computes
    waker: Waker
    images: Images
    host: str
    beside: Beside = dataclasses.field(default_factory=Beside)

    @property
    def publisher(self) -> str:
        """The publisher id of the API's notifications."""
        return events.publisher('api', self.host)

    def close(self) -> None:
        """Wake who is still to be woken, then let go."""
        self.waker.close()
        self.beside.close()


def over(
    database: Database, bus: Bus, images: Images, host: str = ''
) -> Backend:
    """Return what reaches everything by ``database`` and ``bus``.

    ``host`` is, if nothing else is said, ``[notifications]
    default_publisher_id`` or else ``[DEFAULT] host``.
    """
    rpc = conductor.client(bus)
    computes = Computes(bus)
    return Backend(
        database=database,
        conductor=rpc,
        computes=computes,
        waker=Waker(computes, rpc, beside=True),
        beside=Beside(CONF.api.threads),
        images=images,
        host=host or CONF.notifications.default_publisher_id or CONF.host,
    )
