# SPDX-License-Identifier: Apache-2.0
"""Whether this conductor hears anything at all, and since when.

A host that is not heard of is down only if somebody listened: while the
broker is away, or when conductors have just been started, every host is
silent. So only the silence counts that this conductor was there to hear: from
when it began to hear until it last did. It asks itself through the bus.
"""

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import internal
from minova.db.hosts import Service
from minova.loop import Loop
from minova.rpc import conductor
from minova.rpc.bus import Bus

LOG = logging.getLogger(__name__)


class Hearing:
    """Asks itself through the bus, as often as hosts give signs of life."""

    def __init__(self, bus: Bus, host: str) -> None:
        self._self = conductor.client(bus, server=host)
        #: When it began to hear, and when it last surely did.
        self._span: tuple[float, float] | None = None
        self._loop = Loop(
            'hearing', self.listen, lambda: CONF.compute.heartbeat_interval
        )

    def start(self) -> None:
        """Begin to listen."""
        self._loop.start()

    def stop(self) -> None:
        """Listen no more."""
        self._loop.stop()

    def listen(self) -> None:
        """Ask once; an answer after none begins a new span of hearing."""
        asked = clock.monotonic()
        try:
            self._self.ping(internal())
        except exception.Unavailable as error:
            if self._span is not None:
                LOG.warning('This conductor hears nothing: %s', error)
            self._span = None
            return
        began, _ = self._span or (asked, asked)
        self._span = (began, asked)

    def down(self, service: Service) -> str | None:
        """Return why a service is taken to be down, None when it is not."""
        if service.forced_down:
            return 'it is forced down'
        if self._span is None:
            return None
        began, last = self._span
        unsure = clock.monotonic() - last
        silent = min(service.silent - unsure, last - began)
        if silent <= CONF.conductor.service_down_time:
            return None
        since = f'{service.last_seen_at:%Y-%m-%d %H:%M:%S}'
        return f'nothing was heard of it since {since} UTC'
