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
from minova.periodic import PeriodicTask
from minova.rpc.bus import Server

LOG = logging.getLogger(__name__)

#: Rounds in a row that are not heard before the server is made anew.
MAX_MISSED = 3
#: How often it is made anew before the process is given up.
MAX_RESTARTS = 3
#: Pings of one round while others of the same name answer, in turn with this
#: one: workers of one host, or a start that is about to end.
_PINGS_PER_ROUND = 32
#: Seconds for which servers that were replaced may end what they have taken.
_RETIRE_TIMEOUT = 5.0


class RpcSelfCheck:
    """A service's RPC server, which it listens to itself."""

    def __init__(
        self,
        name: str,
        incarnation: str,
        serve: Callable[[], Server],
        ping: Callable[[], object],
        on_fatal: Callable[[str], None] | None = None,
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
        self._on_fatal = on_fatal
        self._server: Server | None = None
        self._retired: list[clock.Thread] = []
        #: When it began to hear, and when it last surely did.
        self._reachable_span: tuple[float, float] | None = None
        self._is_failing = False
        self._missed = 0
        self._restarts = 0
        self._loop = PeriodicTask(
            f'hearing of {name}',
            self.check,
            lambda: CONF.heartbeat_interval,
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
            thread.join(_RETIRE_TIMEOUT)

    @property
    def reachable_span(self) -> tuple[float, float] | None:
        """From when to when it surely heard, None when it does not."""
        return self._reachable_span

    def check(self) -> None:
        """Ask once; an answer after none begins a new span of hearing."""
        asked = clock.monotonic()
        try:
            trouble = None if self._ping_self() else 'others answer for it'
        except (exception.NoConsumer, exception.RpcTimeout) as error:
            trouble = str(error)
        except exception.Unavailable as error:
            # It cannot even send: that is no sign of being deaf.
            self._missed = 0
            self._on_failure(str(error))
            return
        if trouble is None:
            self._on_success(asked)
            return
        self._on_failure(trouble)
        self._missed += 1
        if self._missed >= MAX_MISSED:
            self._missed = 0
            self._recreate_server(trouble)

    def _ping_self(self) -> bool:
        return any(
            self._ping() == self._incarnation for _ in range(_PINGS_PER_ROUND)
        )

    def _on_success(self, asked: float) -> None:
        if self._is_failing:
            LOG.warning('%s hears again.', self._name)
        self._is_failing = False
        self._missed = self._restarts = 0
        began, _ = self._reachable_span or (asked, asked)
        self._reachable_span = (began, asked)

    def _on_failure(self, trouble: str) -> None:
        if not self._is_failing:
            LOG.warning('%s does not hear itself: %s', self._name, trouble)
        self._is_failing = True
        self._reachable_span = None

    def _recreate_server(self, trouble: str) -> None:
        if self._on_fatal is not None and self._restarts >= MAX_RESTARTS:
            self._on_fatal(
                f'{self._name} is deaf and listening anew does not help: '
                f'{trouble}'
            )
        self._restarts += 1
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
