# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor as a process of its own, which outlives the computes.

All fake hosts live here and one call at a time acts on them, so a call is
done whole or not at all, whatever becomes of the compute that made it: one
whose asker hangs up while it takes its time is not done. Time is this
process's. After every call it is looked whether a guest runs at more than one
host; that never happens, and when it does it is kept who did it.
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
from minova.states import Power
from minova.virt.driver import Driver
from minova.virt.fake import wire
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.world import seconds
from minova.virt.fake.world import World
from minova.virt.shelf import Record
from minova.virt.shelf import Shelf

LOG = logging.getLogger(__name__)

#: What may be asked of a host.
CALLS = frozenset(
    name
    for base in Driver.__mro__
    for name in vars(base)
    if not name.startswith('_') and name not in ('uses_images', 'close')
)
#: Those of them that change nothing.
_LOOKS = frozenset((
    'inventory', 'guests', 'guest', 'has_saved', 'has_disks', 'has_aside',
    'migration', 'check_reception', 'check_departure', 'check_hand_over',
    'images_in_use', 'next_event', 'console_output', 'vnc',
))  # fmt: skip
#: What may be asked of the world.
_CONTROLS = frozenset((
    'running', 'guest', 'disk', 'everything', 'violations', 'at_work',
    'set_power', 'announce', 'break_', 'slow', 'migrations_take', 'heal',
    'screens_at',
))  # fmt: skip


class Gone(Exception):
    """Whoever asked has hung up; what was asked for is not done."""


class WatchedWorld(World):
    """All fake hosts, and a witness of guests that run twice."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self._twice: dict[str, list[str]] = {}
        self._at_work: dict[int, list[str]] = {}

    def at_work(self) -> list[list[str]]:
        """Return the calls that take their time: host, call, uuid."""
        return list(self._at_work.values())

    @contextlib.contextmanager
    def taking_time(self, host: str, call: str, uuid: str) -> Iterator[None]:
        """Show a call as one that takes its time."""
        entry = [host, call, uuid]
        self._at_work[id(entry)] = entry
        try:
            yield
        finally:
            del self._at_work[id(entry)]

    def violations(self) -> list[Record]:
        """Return when a guest ran at more than one host, the first first."""
        found = self._records('violations')
        return [found[name] for name in sorted(found)]

    def witness(self, uuid: str, call: str) -> None:
        """Look at how many hosts a guest runs, now that ``call`` is done."""
        hosts = self.running(uuid)
        if len(hosts) < 2:
            self._twice.pop(uuid, None)
        elif self._twice.get(uuid) != hosts:
            self._twice[uuid] = hosts
            number = len(self.shelf.names('violations'))
            record = {
                'at': seconds(),
                'uuid': uuid,
                'hosts': hosts,
                'call': call,
            }
            self.shelf.put(f'violations/{number:06d}', record)
            LOG.error('Guest %s runs at %s after %s.', uuid, hosts, call)


class _Host(FakeDriver):
    """A host whose calls take their time before it is their turn."""

    def take_time(self, method: str, after: bool = False) -> None:
        """Do nothing: that time was, or will be, taken by ``Hypervisor``."""


class Hypervisor:
    """The hosts behind a socket."""

    def __init__(self, shelf: Shelf, path: str) -> None:
        self.world = WatchedWorld(shelf)
        self.path = path
        self._turn = clock.lock()
        self._hosts: dict[str, _Host] = {}
        self._guard = clock.lock()
        self._open: set[socket.socket] = set()
        self._threads: list[clock.Thread] = []

    # -- the process ---------------------------------------------------------

    def listen(self) -> None:
        """Take the socket; ConfigInvalid when that cannot be."""
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
        """Remove what an earlier start left; OSError when it still runs."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except FileNotFoundError:
                return
            except ConnectionRefusedError:
                os.unlink(self.path)
                return
        raise OSError('another process listens there')

    def serve(self) -> None:
        """Answer until ``stop``."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # It was shut by ``stop``.
                return
            with self._guard:
                self._open.add(connection)
                self._threads = [t for t in self._threads if t.is_alive()]
                self._threads.append(
                    clock.spawn('hypervisor', self._talk, connection)
                )

    def stop(self) -> None:
        """Hang up on everybody; return when nothing is being done."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with self._guard:
            threads, connections = self._threads, list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    # -- one connection ------------------------------------------------------

    def _talk(self, connection: socket.socket) -> None:
        try:
            while (frame := wire.receive(connection)) is not None:
                wire.send(connection, self._answer(connection, frame))
        except (OSError, Gone) as error:
            LOG.debug('Whoever asked is gone: %s', error)
        finally:
            with self._guard:
                self._open.remove(connection)
            connection.close()

    def _answer(
        self, connection: socket.socket, frame: wire.Json
    ) -> wire.Json:
        args, more = wire.decode(frame['args']), wire.decode(frame['more'])
        try:
            if frame['host'] is None:
                value = self._control(frame['call'], args, more)
            else:
                value = self._ask(connection, frame, args, more)
        except exception.MinovaException as error:
            return wire.encode_error(error)
        except (LookupError, TypeError, ValueError) as error:
            # A question that cannot be meant; the asker is told of it.
            LOG.exception('%s failed', frame['call'])
            cause, reason = type(error).__name__, str(error)
            return wire.encode_error(
                exception.OperationFailed(cause=cause, reason=reason)
            )
        return {'answer': wire.encode(value)}

    def _wait(self, connection: socket.socket, span: float) -> None:
        """Let time pass; Gone as soon as the asker hangs up.

        One that waits for an answer says nothing, so whatever can be read is
        the end of its connection.
        """
        if span and select.select([connection], [], [], span)[0]:
            raise Gone

    # -- calls ---------------------------------------------------------------

    def _control(self, call: str, args: Any, more: Any) -> Any:
        if call not in _CONTROLS:
            raise LookupError(f'{call} cannot be asked of the world')
        with self._turn:
            if call != 'set_power':
                return getattr(self.world, call)(*args, **more)
            host, uuid, power = args
            self.world.set_power(host, uuid, Power(power))
            self.world.witness(uuid, f'set_power at {host} from outside')
            return None

    def _ask(
        self,
        connection: socket.socket,
        frame: wire.Json,
        args: Any,
        more: Any,
    ) -> Any:
        host, call = frame['host'], frame['call']
        if call not in CALLS:
            raise LookupError(f'{call} cannot be asked of a host')
        if call == 'next_event':
            return self._next_event(host, *args)
        uuid = str(getattr(args[0], 'uuid', args[0])) if args else ''
        with self.world.taking_time(host, call, uuid):
            self._wait(connection, self.world.delay(host, call, after=False))
            try:
                with self._turn:
                    return self._act(host, call, uuid, args, more)
            finally:
                self._wait(
                    connection, self.world.delay(host, call, after=True)
                )

    def _next_event(self, host: str, timeout: float) -> str | None:
        # Not in turn: it waits for what the others do.
        try:
            return self.world.listener(host).get(timeout=timeout)
        except queue.Empty:
            return None

    def _act(
        self, host: str, call: str, uuid: str, args: Any, more: Any
    ) -> Any:
        if host not in self._hosts:
            self._hosts[host] = _Host(host, self.world)
        method = getattr(self._hosts[host], call)
        if call in _LOOKS:
            return method(*args, **more)
        # What was due before the call has happened before it.
        self.world.running(uuid)
        outcome = 'done'
        try:
            return method(*args, **more)
        except exception.MinovaException as error:
            outcome = f'refused: {error}'
            raise
        finally:
            LOG.info('%s %s %s: %s', host, call, uuid, outcome)
            self.world.witness(uuid, f'{call} at {host}')
