# SPDX-License-Identifier: Apache-2.0
"""The client of the fake hypervisor's process.

It keeps no state: a caller may be killed or frozen at any point, and its call
is then done or not done. ``hypervisor`` is the server.
"""

from collections.abc import Callable
import functools
import socket
from typing import Any
from typing import cast

from minova import clock
from minova import exception
from minova.states import PowerState
from minova.virt import simulated_console
from minova.virt.fake import protocol
from minova.virt.record_store import Record

JsonDict = dict[str, Any]


class ConnectionPool:
    """Connections to the hypervisor, one per concurrent call."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._guard = clock.lock()
        self._idle: list[socket.socket] = []

    def call(self, frame: protocol.Json) -> Any:
        """Send a request and return its answer; OSError without one.

        Every request may be repeated, so a request on a connection that ended
        meanwhile is repeated on a new one.
        """
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        answer = None
        if connection is not None:
            answer = self._exchange(connection, frame)
        if answer is None:
            answer = self._exchange(self._connect(), frame)
        if answer is None:
            raise ConnectionError(f'{self.path} closed the connection')
        return protocol.unpack_answer(answer)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(
        self, connection: socket.socket, frame: protocol.Json
    ) -> protocol.Json | None:
        """Send a request; None when the connection ended before the answer."""
        answer = None
        try:
            protocol.send(connection, frame)
            answer = protocol.receive(connection)
        except ConnectionError:
            # For example an idle connection to a hypervisor that ended.
            answer = None
        finally:
            if answer is None:
                connection.close()
        if answer is not None:
            with self._guard:
                self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close all idle connections."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class RemoteDriver:
    """The driver of a fake host in the process of the hypervisor.

    It has the methods of ``driver.Driver``; those that are not below are calls
    to the hypervisor.
    """

    uses_images = False

    def __init__(self, host: str, path: str) -> None:
        """Connect; Unavailable when the hypervisor does not answer."""
        self.host = host
        self.connections = ConnectionPool(path)
        try:
            self.connections.call(self._frame('inventory', (), {}))
        except OSError as error:
            raise exception.Unavailable(
                what=f'The fake hypervisor at {path}', reason=str(error)
            ) from error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in protocol.DRIVER_CALLS:
            raise AttributeError(f'a driver has no method {name}')
        return functools.partial(self._call, name)

    def _frame(
        self, call: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> protocol.Json:
        return {
            'host': self.host,
            'call': call,
            'args': protocol.encode(args),
            'kwargs': protocol.encode(kwargs),
        }

    def _call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.connections.call(self._frame(call, args, kwargs))
        except OSError as error:
            about = args[0] if args else '(any)'
            raise exception.GuestFailed(
                instance_id=getattr(about, 'uuid', about),
                reason=f'{call}: the fake hypervisor at '
                f'{self.connections.path} does not answer: {error}',
            ) from error

    def next_event(self, timeout: float) -> str | None:
        """Wait at the hypervisor, or as long here when it is unreachable."""
        try:
            return cast('str | None', self._call('next_event', timeout))
        except exception.GuestFailed:
            clock.sleep(timeout)
            return None

    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    def open_serial_console(self, uuid: str) -> socket.socket:
        """Return a simulated console in this process."""
        self._call('check_serial_console', uuid)
        return simulated_console.connect(uuid)

    def close(self) -> None:
        """Close the connections; the guests keep running."""
        self.connections.close()


class RemoteWorld:
    """All fake hosts from outside; each method is that of ``World``."""

    def __init__(self, path: str) -> None:
        self._connections = ConnectionPool(path)

    def _call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        frame = {'host': None, 'call': call, 'args': args, 'kwargs': kwargs}
        return self._connections.call(frame)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def running(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs or is paused."""
        return cast(list[str], self._call('running', uuid))

    def guest(self, host: str, uuid: str) -> Record | None:
        """Return a guest's record, None when the host does not know it."""
        return cast('Record | None', self._call('guest', host, uuid))

    def get_disks(
        self, host: str, uuid: str, retained: bool = False
    ) -> Record | None:
        """Return the record of a guest's disks."""
        return cast(
            'Record | None', self._call('get_disks', host, uuid, retained)
        )

    def dump(self) -> dict[str, dict[str, dict[str, Record]]]:
        """Return all records: host, kind, uuid, record."""
        return cast(dict[str, Any], self._call('dump'))

    def violations(self) -> list[Record]:
        """Return the records of guests on more than one host, in order.

        Each has ``at`` (seconds of the hypervisor's time of day), ``uuid``,
        ``hosts``, and the ``call`` after which it was found.
        """
        return cast(list[Record], self._call('violations'))

    def calls_in_progress(self) -> list[list[str]]:
        """Return the delayed calls: host, call, uuid."""
        return cast(list[list[str]], self._call('calls_in_progress'))

    def set_power(self, host: str, uuid: str, power: PowerState) -> None:
        """Change the power of a guest from outside."""
        self._call('set_power', host, uuid, int(power))

    def notify_change(self, host: str, uuid: str) -> None:
        """Notify the driver of a host that a guest changed."""
        self._call('notify_change', host, uuid)

    def inject_fault(
        self,
        host: str,
        method: str,
        error: str = 'injected fault',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method fail."""
        self._call('inject_fault', host, method, error, times, kind)

    def stop_hypervisor(
        self, host: str, error: str = 'the connection was refused'
    ) -> None:
        """Let a hypervisor answer no call; its guests run on."""
        self._call('stop_hypervisor', host, error)

    def start_hypervisor(self, host: str) -> None:
        """Let a hypervisor answer again."""
        self._call('start_hypervisor', host)

    def inject_delay(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Delay every call of a driver method on a host."""
        self._call('inject_delay', host, method, seconds, after)

    def set_migration_seconds(self, seconds: float) -> None:
        """Set the duration of live migrations that start from now on."""
        self._call('set_migration_seconds', seconds)

    def set_graphics_endpoint(
        self,
        protocol: str,
        host: str,
        port: int | None,
        tls_port: int | None = None,
    ) -> None:
        """Set the VNC or SPICE endpoint of all guests."""
        self._call('set_graphics_endpoint', protocol, host, port, tls_port)

    def set_guest_agent(self, answers: bool) -> None:
        """Let the agents of all guests answer, or not."""
        self._call('set_guest_agent', answers)

    def clear_faults(self) -> None:
        """Remove all injected faults and delays."""
        self._call('clear_faults')
