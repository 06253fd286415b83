# SPDX-License-Identifier: Apache-2.0
"""What the application is made from."""

import dataclasses

from minova.conf import CONF
from minova.db.engine import Database
from minova.images import Images
from minova.notifications import events
from minova.rpc import conductor
from minova.rpc.bus import Bus
from minova.rpc.compute import Computes
from minova.rpc.wakes import Waker


@dataclasses.dataclass(frozen=True)
class Backend:
    """Everything behind the API; made by whoever serves it.

    ``waker`` sends from threads of its own (``beside``), so that a broker
    that hangs holds no request. ``host`` is the name under which the API
    tells what it has done.
    """

    database: Database
    conductor: conductor.Conductor
    waker: Waker
    images: Images
    host: str

    @property
    def publisher(self) -> str:
        """The publisher id of the API's notifications."""
        return events.publisher('api', self.host)

    def close(self) -> None:
        """Wake who is still to be woken, then let go."""
        self.waker.close()


def over(
    database: Database, bus: Bus, images: Images, host: str = ''
) -> Backend:
    """Return what reaches everything by ``database`` and ``bus``.

    ``host`` is, if nothing else is said, ``[notifications]
    default_publisher_id`` or else ``[DEFAULT] host``.
    """
    rpc = conductor.client(bus)
    return Backend(
        database=database,
        conductor=rpc,
        waker=Waker(Computes(bus), rpc, beside=True),
        images=images,
        host=host or CONF.notifications.default_publisher_id or CONF.host,
    )
