# SPDX-License-Identifier: Apache-2.0
"""What the application is made from."""

import dataclasses

from minova.db.engine import Database
from minova.images import Images
from minova.notifications import events
from minova.rpc.conductor import Conductor
from minova.rpc.wakes import Waker


@dataclasses.dataclass(frozen=True)
class Backend:
    """Everything behind the API; made by whoever serves it.

    ``waker`` sends from threads of its own (``beside``), so that a broker
    that hangs holds no request. ``host`` is the name under which the API
    tells what it has done.
    """

    database: Database
    conductor: Conductor
    waker: Waker
    images: Images
    host: str

    @property
    def publisher(self) -> str:
        """The publisher id of the API's notifications."""
        return events.publisher('api', self.host)
