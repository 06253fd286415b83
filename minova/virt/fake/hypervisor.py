# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor as a process of its own, which outlives the services.

All fake hosts are in this process and one call at a time changes them, so a
call is done completely or not at all, whatever happens to its caller: a call
whose caller disconnects during its delay is not done. Time is the time of this
process. After every call the process checks whether a guest runs on more than
one host, and records such a violation.
"""

from collections.abc import Iterator
import contextlib
import os
import queue
import select
import socket
from typing import Any

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.loops import Loop
from minova.states import PowerState
from minova.virt.fake import protocol
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.world import World
from minova.virt.record_store import Record
from minova.virt.record_store import RecordStore
from minova.virt.simulated_time import now_seconds

LOG = logging.getLogger(__name__)

#: The calls of a host that change nothing.
_READ_ONLY_CALLS = frozenset((
    'inventory', 'guests', 'guest', 'has_managed_save', 'has_disks',
    'has_retained_disks', 'has_shared_disks', 'list_host_contents',
    'migration_status',
    'check_can_live_migrate_destination', 'check_can_live_migrate_source',
    'check_can_send_disks', 'images_in_use', 'next_event', 'console_output',
    'graphics', 'check_serial_console', 'check_health', 'interfaces',
    'diagnostics', 'find_snapshot',
))  # fmt: skip
#: The calls of the world.
_WORLD_CALLS = frozenset((
    'running', 'guest', 'get_disks', 'dump', 'violations', 'calls_in_progress',
    'set_power', 'notify_change', 'inject_fault', 'inject_delay',
    'set_migration_seconds', 'clear_faults', 'set_graphics_endpoint',
    'stop_hypervisor', 'start_hypervisor', 'set_guest_agent',
))  # fmt: skip


class ClientDisconnected(Exception):
    """The caller disconnected; its call is not done."""


class WatchedWorld(World):
    """All fake hosts, with a witness of guests that run twice."""

    def __init__(self, store: RecordStore) -> None:
        super().__init__(store)
        self._running_twice: dict[str, list[str]] = {}
        self._calls_in_progress: dict[int, list[str]] = {}

    def calls_in_progress(self) -> list[list[str]]:
        """Return the delayed calls: host, call, uuid."""
        return list(self._calls_in_progress.values())

    @contextlib.contextmanager
    def delayed_call(self, host: str, call: str, uuid: str) -> Iterator[None]:
        """Show a call in ``calls_in_progress``."""
        entry = [host, call, uuid]
        self._calls_in_progress[id(entry)] = entry
        try:
            yield
        finally:
            del self._calls_in_progress[id(entry)]

    def violations(self) -> list[Record]:
        """Return the records of guests on more than one host, in order."""
        found = self._records('violations')
        return [found[name] for name in sorted(found)]

    def witness(self, uuid: str, call: str) -> None:
        """Check on how many hosts a guest runs after ``call``."""
        hosts = self.running(uuid)
        if len(hosts) < 2:
            self._running_twice.pop(uuid, None)
        elif self._running_twice.get(uuid) != hosts:
            self._running_twice[uuid] = hosts
            number = len(self.store.list_names('violations'))
            record = {
                'at': now_seconds(),
                'uuid': uuid,
                'hosts': hosts,
                'call': call,
            }
            self.store.put(f'violations/{number:06d}', record)
            LOG.error('Guest %s runs on %s after %s', uuid, hosts, call)


class _UndelayedHost(FakeDriver):
    """A host whose calls are delayed before they take the lock."""

    def apply_delay(self, method: str, after: bool = False) -> None:
        """Do nothing: ``Hypervisor`` applies the delays."""


class Hypervisor:
    """The fake hosts behind a socket."""

    def __init__(self, store: RecordStore, path: str) -> None:
        self.world = WatchedWorld(store)
        self.path = path
        self._call_lock = clock.lock()
        self._hosts: dict[str, _UndelayedHost] = {}
        self._guard = clock.lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[clock.Thread] = []
        self._loop = Loop('hypervisor-accept', self._accept, self._wake)

    # -- the process ---------------------------------------------------------

    def listen(self) -> None:
        """Listen on the socket; ConfigInvalid when that fails."""
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._remove_stale()
            self._listener.bind(self.path)
            os.chmod(self.path, 0o600)
            self._listener.listen(128)
        except OSError as error:
            self._listener.close()
            raise exception.ConfigInvalid(
                reason=f'[fake] socket {self.path!r}: {error}'
            ) from error

    def _remove_stale(self) -> None:
        """Remove the socket of a process that ended; OSError if it runs."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except FileNotFoundError:
                return
            except ConnectionRefusedError:
                os.unlink(self.path)
                return
        raise OSError('another process listens on it')

    def serve(self) -> None:
        """Serve connections until ``stop``."""
        self._loop.run()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        with self._guard:
            self._connections.add(connection)
            self._threads = [t for t in self._threads if t.is_alive()]
            self._threads.append(
                clock.spawn('hypervisor', self._serve_connection, connection)
            )

    def _wake(self) -> None:
        """End the wait for a connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close all connections; return when no call is running."""
        self._loop.stop()
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with self._guard:
            threads, connections = self._threads, list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    # -- one connection ------------------------------------------------------

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            while (frame := protocol.receive(connection)) is not None:
                protocol.send(connection, self._handle(connection, frame))
        except (OSError, ClientDisconnected) as error:
            LOG.debug('A client disconnected: %s', error)
        finally:
            with self._guard:
                self._connections.remove(connection)
            connection.close()

    def _handle(
        self, connection: socket.socket, frame: protocol.Json
    ) -> protocol.Json:
        args, kwargs = (
            protocol.decode(frame['args']),
            protocol.decode(frame['kwargs']),
        )
        try:
            if frame['host'] is None:
                value = self._call_world(frame['call'], args, kwargs)
            else:
                value = self._call_host(connection, frame, args, kwargs)
        except exception.MinovaException as error:
            return protocol.encode_error(error)
        except (LookupError, TypeError, ValueError) as error:
            # An invalid request; its caller gets the error.
            LOG.exception('Call %s failed', frame['call'])
            cause, reason = type(error).__name__, str(error)
            return protocol.encode_error(
                exception.OperationFailed(cause=cause, reason=reason)
            )
        return {'answer': protocol.encode(value)}

    def _delay(self, connection: socket.socket, span: float) -> None:
        """Wait; raise ClientDisconnected as soon as the caller disconnects.

        A caller that waits for a response sends nothing, so readable data is
        the end of its connection.
        """
        if span and select.select([connection], [], [], span)[0]:
            raise ClientDisconnected

    # -- calls ---------------------------------------------------------------

    def _call_world(self, call: str, args: Any, kwargs: Any) -> Any:
        if call not in _WORLD_CALLS:
            raise LookupError(f'the world has no call {call}')
        with self._call_lock:
            if call != 'set_power':
                return getattr(self.world, call)(*args, **kwargs)
            host, uuid, power = args
            self.world.set_power(host, uuid, PowerState(power))
            self.world.witness(uuid, f'set_power on {host} from outside')
            return None

    def _call_host(
        self,
        connection: socket.socket,
        frame: protocol.Json,
        args: Any,
        kwargs: Any,
    ) -> Any:
        host, call = frame['host'], frame['call']
        if call not in protocol.DRIVER_CALLS:
            raise LookupError(f'a host has no call {call}')
        if call == 'next_event':
            return self._next_event(host, *args)
        uuid = str(getattr(args[0], 'uuid', args[0])) if args else ''
        with self.world.delayed_call(host, call, uuid):
            self._delay(connection, self.world.delay(host, call, after=False))
            try:
                with self._call_lock:
                    return self._run_call(host, call, uuid, args, kwargs)
            finally:
                self._delay(
                    connection, self.world.delay(host, call, after=True)
                )

    def _next_event(self, host: str, timeout: float) -> str | None:
        # Without the lock: it waits for the other calls.
        try:
            return self.world.event_queue(host).get(timeout=timeout)
        except queue.Empty:
            return None

    def _run_call(
        self, host: str, call: str, uuid: str, args: Any, kwargs: Any
    ) -> Any:
        if host not in self._hosts:
            self._hosts[host] = _UndelayedHost(host, self.world)
        method = getattr(self._hosts[host], call)
        if call in _READ_ONLY_CALLS:
            return method(*args, **kwargs)
        # Apply what was due before the call.
        self.world.running(uuid)
        outcome = 'done'
        try:
            return method(*args, **kwargs)
        except exception.MinovaException as error:
            outcome = f'failed: {error}'
            raise
        finally:
            LOG.debug('%s %s %s: %s', host, call, uuid, outcome)
            self.world.witness(uuid, f'{call} on {host}')
