# SPDX-License-Identifier: Apache-2.0
"""The check that a service receives its own RPC messages.

A service may not notice that it is unreachable: its queue was deleted or
unbound, a broker lost its consumer in a failover, or the thread that reads
died. The service can still send. So it sends a message to itself with every
heartbeat and waits for the answer.

A message that cannot be sent says nothing about reception: the broker is down
and the library reconnects. If messages are sent but not received several times
in a row, the check recreates the RPC server: a new thread declares queues and
bindings again and reads from them. If that does not help either, the process
exits and its parent starts another.
"""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.periodic import PeriodicTask
from minova.rpc.bus import Server

LOG = logging.getLogger(__name__)

#: Failed checks in a row after which the server is recreated.
MAX_MISSED = 3
#: Recreated servers after which the process exits.
MAX_RESTARTS = 3
#: Pings of one check while other processes of the same name answer in turn:
#: workers of one host, or an incarnation that is about to stop.
_PINGS_PER_ROUND = 32
#: Seconds for a replaced server to answer its messages.
_RETIRE_TIMEOUT = 5.0


class RpcSelfCheck:
    """The RPC server of a service, checked by the service itself."""

    def __init__(
        self,
        name: str,
        incarnation: str,
        serve: Callable[[], Server],
        ping: Callable[[], object],
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        """``serve`` creates a server and ``ping`` returns an incarnation.

        ``on_fatal`` logs the reason and exits the process; without it the
        server is recreated without limit.
        """
        self._name = name
        self._incarnation = incarnation
        self._serve = serve
        self._ping = ping
        self._on_fatal = on_fatal
        self._server: Server | None = None
        self._retired: list[clock.Thread] = []
        #: The first and the last success since the last failure.
        self._reachable_span: tuple[float, float] | None = None
        self._is_failing = False
        self._missed = 0
        self._restarts = 0
        self._loop = PeriodicTask(
            f'self-check of {name}',
            self.check,
            lambda: CONF.heartbeat_interval,
        )

    def start(self) -> None:
        """Start the server and the periodic check."""
        self._server = self._serve()
        self._server.start()
        self._loop.start()

    def stop(self) -> None:
        """Receive no more; return when every received message is answered."""
        self._loop.stop()
        if self._server is not None:
            self._server.stop()
        for thread in self._retired:
            thread.join(_RETIRE_TIMEOUT)

    @property
    def reachable_span(self) -> tuple[float, float] | None:
        """The span in which the checks succeeded, None after a failure."""
        return self._reachable_span

    def check(self) -> None:
        """Check once; a success after a failure starts a new span."""
        asked = clock.monotonic()
        try:
            trouble = None if self._ping_self() else 'another process answers'
        except (exception.NoConsumer, exception.RpcTimeout) as error:
            trouble = str(error)
        except exception.Unavailable as error:
            # The message was not sent, which says nothing about reception.
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
            LOG.warning('%s: self-check succeeds again', self._name)
        self._is_failing = False
        self._missed = self._restarts = 0
        began, _ = self._reachable_span or (asked, asked)
        self._reachable_span = (began, asked)

    def _on_failure(self, trouble: str) -> None:
        if not self._is_failing:
            LOG.warning('%s: self-check failed: %s', self._name, trouble)
        self._is_failing = True
        self._reachable_span = None

    def _recreate_server(self, trouble: str) -> None:
        if self._on_fatal is not None and self._restarts >= MAX_RESTARTS:
            self._on_fatal(
                f'{self._name}: self-check failed with '
                f'{self._restarts} recreated RPC servers: {trouble}'
            )
        self._restarts += 1
        LOG.error(
            '%s: self-check failed %d times; recreating the RPC server: %s',
            self._name,
            MAX_MISSED,
            trouble,
        )
        made = self._serve()
        made.start()
        old, self._server = self._server, made
        if old is not None:
            # In a thread: the old server may never stop.
            self._retired.append(clock.spawn('retire', old.stop))
