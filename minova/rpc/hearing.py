# SPDX-License-Identifier: Apache-2.0
"""Whether a service hears what is sent to it, and what it does if not.

A service can be deaf without knowing: its queue was deleted or unbound, a
broker that failed over has forgotten its consumer, the thread that reads died.
It goes on sending, so to itself and to all others it looks well. So it sends
to itself, as often as it gives signs of life, and waits for its own answer.

What cannot even be sent says nothing of hearing: the broker is away, and the
library connects again by itself. What is sent and not heard, several times in
a row, is answered by a new server in place of the old one: queues and bindings
are declared again, another thread reads. When that does not help either the
process ends, and its master starts another.
"""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.loop import Loop
from minova.rpc.bus import Server

LOG = logging.getLogger(__name__)

#: Rounds in a row that are not heard before the server is made anew.
ROUNDS = 3
#: How often it is made anew before the process is given up.
SERVERS = 3
#: Pings of one round while others of the same name answer, in turn with this
#: one: workers of one host, or a start that is about to end.
_OTHERS = 32
#: Seconds for which servers that were replaced may end what they have taken.
_RETIRING = 5.0


class Hearing:
    """A service's RPC server, which it listens to itself."""

    def __init__(
        self,
        name: str,
        incarnation: str,
        serve: Callable[[], Server],
        ping: Callable[[], object],
        give_up: Callable[[str], None] | None = None,
    ) -> None:
        """Make nothing yet.

        ``serve`` makes a server. ``ping`` asks whoever listens under the
        service's name for its incarnation. ``give_up`` ends the process and
        says why; without it servers are made anew for as long as it takes.
        """
        self._name = name
        self._incarnation = incarnation
        self._serve = serve
        self._ping = ping
        self._give_up = give_up
        self._server: Server | None = None
        self._retired: list[clock.Thread] = []
        #: When it began to hear, and when it last surely did.
        self._span: tuple[float, float] | None = None
        self._troubled = False
        self._missed = 0
        self._servers = 0
        self._loop = Loop(
            f'hearing of {name}',
            self.listen,
            lambda: CONF.compute.heartbeat_interval,
        )

    def start(self) -> None:
        """Take messages, and listen whether they come."""
        self._server = self._serve()
        self._server.start()
        self._loop.start()

    def stop(self) -> None:
        """Take no more; return when what was taken is answered."""
        self._loop.stop()
        if self._server is not None:
            self._server.stop()
        for thread in self._retired:
            thread.join(_RETIRING)

    @property
    def span(self) -> tuple[float, float] | None:
        """From when to when it surely heard, None when it does not."""
        return self._span

    def listen(self) -> None:
        """Ask once; an answer after none begins a new span of hearing."""
        asked = clock.monotonic()
        try:
            trouble = None if self._hears_itself() else 'others answer for it'
        except (exception.NobodyListens, exception.NoAnswer) as error:
            trouble = str(error)
        except exception.Unavailable as error:
            # It cannot even send: that is no sign of being deaf.
            self._missed = 0
            self._note(str(error))
            return
        if trouble is None:
            self._heard(asked)
            return
        self._note(trouble)
        self._missed += 1
        if self._missed >= ROUNDS:
            self._missed = 0
            self._serve_anew(trouble)

    def _hears_itself(self) -> bool:
        return any(self._ping() == self._incarnation for _ in range(_OTHERS))

    def _heard(self, asked: float) -> None:
        if self._troubled:
            LOG.warning('%s hears again.', self._name)
        self._troubled = False
        self._missed = self._servers = 0
        began, _ = self._span or (asked, asked)
        self._span = (began, asked)

    def _note(self, trouble: str) -> None:
        if not self._troubled:
            LOG.warning('%s does not hear itself: %s', self._name, trouble)
        self._troubled = True
        self._span = None

    def _serve_anew(self, trouble: str) -> None:
        if self._give_up is not None and self._servers >= SERVERS:
            self._give_up(
                f'{self._name} is deaf and listening anew does not help: '
                f'{trouble}'
            )
        self._servers += 1
        LOG.error(
            '%s is deaf: it can send, and nothing reaches it (%s). It listens '
            'anew.',
            self._name,
            trouble,
        )
        made = self._serve()
        made.start()
        old, self._server = self._server, made
        if old is not None:
            # Beside: what is deaf may not be able to end.
            self._retired.append(clock.spawn('retire', old.stop))
