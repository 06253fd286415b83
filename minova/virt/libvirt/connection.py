# SPDX-License-Identifier: Apache-2.0
"""A connection to one libvirt: opened when needed, opened anew when dead.

It knows no guest: it says which have changed, and gives libvirt's errors the
form that drivers raise. libvirt delivers events in a loop that must be
registered before the first connection is opened; one thread of the process
runs it while any connection is in use.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import queue
from typing import Any

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF

LOG = logging.getLogger(__name__)

#: Hears the uuid of a guest that changed; None: what was known may be wrong.
Listener = Callable[[str | None], None]

#: Seconds between two signs of life asked of a distant libvirt, and how many
#: may stay away before the connection counts as dead.
_KEEPALIVE = (5, 5)


# -- errors ------------------------------------------------------------------


def has_error_code(error: libvirt.libvirtError, *codes: int) -> bool:
    """Tell whether an error is one of libvirt's ``VIR_ERR_`` codes."""
    return error.get_error_code() in codes


def error_message(error: libvirt.libvirtError) -> str:
    """Return what libvirt says of an error."""
    return str(error.get_error_message() or error)


def guest_failed(
    uuid: str, error: libvirt.libvirtError
) -> exception.GuestFailed:
    """Return an error of libvirt's as the error of a guest's that it is."""
    return exception.GuestFailed(instance_id=uuid, reason=error_message(error))


@contextlib.contextmanager
def translate_errors(
    uuid: str, ignore_missing: bool = False
) -> Iterator[None]:
    """Raise what libvirt refuses as an error of the guest's.

    With ``gone`` it is no error that libvirt does not know the guest.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        if ignore_missing and has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
            return
        raise guest_failed(uuid, error) from error


def lookup_domain(opened: Any, uuid: str) -> Any:
    """Return libvirt's domain of a guest, None when it does not know it.

    Raises GuestFailed.
    """
    try:
        return opened.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
            return None
        raise guest_failed(uuid, error) from error


def _unreachable(uri: str, reason: str) -> exception.GuestFailed:
    return exception.GuestFailed(f'libvirt at {uri}: {reason}')


# -- events ------------------------------------------------------------------


class EventLoop:
    """Runs libvirt's event loop in a thread, while anybody needs it."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._users = 0
        self._ending = False
        self._wake: int | None = None
        self._thread: clock.Thread | None = None

    def acquire(self) -> None:
        """Need the loop."""
        with self._guard:
            if self._wake is None:
                # Without it libvirt writes every error to stderr as well.
                libvirt.registerErrorHandler(_log_error, None)
                libvirt.virEventRegisterDefaultImpl()
                self._wake = libvirt.virEventAddTimeout(-1, _noop, None)
            self._users += 1
            if self._users == 1:
                self._ending = False
                self._thread = clock.spawn('libvirt-events', self._run)

    def release(self) -> None:
        """Need it no more; the last one to leave ends it."""
        with self._guard:
            self._users -= 1
            if self._users or self._thread is None:
                return
            self._ending = True
            libvirt.virEventUpdateTimeout(self._wake, 0)
            self._thread.join()
            libvirt.virEventUpdateTimeout(self._wake, -1)
            self._thread = None

    def _run(self) -> None:
        while not self._ending:
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError as error:
                LOG.error(
                    'The event loop of libvirt: %s', error_message(error)
                )
                clock.sleep(1)


def _noop(timer: int, opaque: object) -> None:
    """Let the loop turn round once."""


def _log_error(context: object, error: Any) -> None:
    """Take note of an error that is raised to its caller too."""
    LOG.debug('libvirt: %s', error)


_loop = EventLoop()


class ChangedGuests:
    """The guests that changed, each once until it is taken."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._pending: set[str] = set()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def put(self, uuid: str | None) -> None:
        """Note a guest; nothing for one that waits already."""
        if uuid is None:
            return
        with self._guard:
            if uuid in self._pending:
                return
            self._pending.add(uuid)
        self._queue.put(uuid)

    def take(self, timeout: float) -> str | None:
        """Wait for a guest to change; None after ``timeout`` seconds."""
        try:
            uuid = self._queue.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        # Before whoever takes it looks at the guest: a change that comes
        # while it looks is told again.
        with self._guard:
            self._pending.discard(uuid)
        return uuid


# -- opening -----------------------------------------------------------------


class _OpenConnection:
    """A connection of libvirt's, with what was registered at it."""

    def __init__(self, connection: Any, callbacks: list[int]) -> None:
        self.connection = connection
        self._callbacks = callbacks

    def is_alive(self) -> bool:
        """Tell whether it can be used."""
        try:
            return bool(self.connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Take everything back."""
        # Of a dead connection nothing can be taken back, nor need it be.
        for callback in self._callbacks:
            with contextlib.suppress(libvirt.libvirtError):
                self.connection.domainEventDeregisterAny(callback)
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()


class _Attempt:
    """One try to open a connection, in a thread.

    It hangs as long as the other side is silent, and cannot be ended. All
    who wait for it get what comes of it. ``ready`` is what is to be done with
    the connection before it is used, which may hang too; it returns the
    callbacks that it has registered.
    """

    def __init__(self, uri: str, setup: Callable[[Any], list[int]]) -> None:
        self._uri = uri
        self._setup = setup
        self._guard = clock.lock()
        self._ended = clock.event()
        self._cancelled = False
        self._error: libvirt.libvirtError | None = None
        self._opened: _OpenConnection | None = None
        clock.spawn('libvirt-open', self._run)

    def _run(self) -> None:
        try:
            self._open()
        except libvirt.libvirtError as error:
            self._error = error
        except Exception:
            # Whoever waits must not wait for ever, nor the next one for this.
            LOG.exception('The connection to %s was not made.', self._uri)
        finally:
            self._ended.set()

    def _open(self) -> None:
        connection = libvirt.open(self._uri)
        try:
            opened = _OpenConnection(connection, self._setup(connection))
        except libvirt.libvirtError:
            connection.close()
            raise
        with self._guard:
            if self._cancelled:
                opened.close()
            else:
                self._opened = opened

    def has_failed(self) -> bool:
        """Tell whether it is known that there is none."""
        return self._ended.is_set() and self._opened is None

    def result(self) -> _OpenConnection:
        """Return the connection, or raise why there is none.

        GuestFailed as well when it takes more than ``[libvirt]
        connect_timeout`` seconds from now.
        """
        timeout = CONF.libvirt.connect_timeout
        if not self._ended.wait(timeout):
            raise _unreachable(self._uri, f'no answer within {timeout:g} s')
        if self._error is not None:
            reason = error_message(self._error)
            raise _unreachable(self._uri, reason) from self._error
        opened = self._opened
        if opened is None:
            raise _unreachable(self._uri, 'the connection was not made')
        return opened

    def cancel(self) -> None:
        """Let nobody get what may yet come of it."""
        with self._guard:
            self._cancelled = True
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class Connection:
    """A connection to the libvirt at ``uri``."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._guard = clock.lock()
        self._listeners: list[Listener] = []
        self._attempt: _Attempt | None = None
        self._current: _OpenConnection | None = None
        self._was_open = False
        self._in_loop = False
        self._closed = False

    def add_listener(self, listener: Listener) -> None:
        """Have the changes of guests told to ``listener``.

        It is called in the thread of the loop, and must neither wait nor ask
        libvirt. It hears None when changes may have been missed.
        """
        self._listeners.append(listener)

    def get(self) -> Any:
        """Return libvirt's connection, opened anew when it has died.

        Raises GuestFailed when it does not open in ``[libvirt]
        connect_timeout`` seconds, however many wait for it.
        """
        with self._guard:
            current = self._live_connection()
            if current is not None:
                return current.connection
            attempt = self._start_attempt()
        try:
            opened = attempt.result()
        except exception.GuestFailed:
            with self._guard:
                # One that hangs is waited for again by who comes next, not
                # joined by another one.
                if self._attempt is attempt and attempt.has_failed():
                    self._attempt = None
            raise
        with self._guard:
            if self._attempt is attempt:
                self._attempt = None
                self._current = opened
                self._was_open = True
        return opened.connection

    def _live_connection(self) -> _OpenConnection | None:
        """Return the connection that is open, None without one."""
        if self._closed:
            raise _unreachable(self.uri, 'the connection was closed')
        if self._current is not None and not self._current.is_alive():
            LOG.warning('The connection to %s is dead.', self.uri)
            self._close_current()
        return self._current

    def _start_attempt(self) -> _Attempt:
        """Return the attempt that everybody waits for."""
        if not self._in_loop:
            _loop.acquire()
            self._in_loop = True
        if self._attempt is None:
            self._attempt = _Attempt(self.uri, self._subscribe)
        return self._attempt

    @contextlib.contextmanager
    def dedicated(self) -> Iterator[Any]:
        """Open another connection, for one call that may take very long.

        A libvirtd works on few calls of a connection at a time, five unless
        it is told otherwise (``max_client_requests``). While as many wait it
        reads nothing, not even signs of life, and the connection that
        everybody else uses would hang and then break.
        """
        # The loop runs from then on, which keeps this one alive too.
        self.get()
        attempt = _Attempt(self.uri, _keep_alive)
        try:
            opened = attempt.result()
        except exception.GuestFailed:
            attempt.cancel()
            raise
        try:
            yield opened.connection
        finally:
            opened.close()

    def close(self) -> None:
        """Close it for good."""
        with self._guard:
            self._closed = True
            if self._attempt is not None:
                self._attempt.cancel()
                self._attempt = None
            self._close_current()
            if self._in_loop:
                self._in_loop = False
                _loop.release()

    def _subscribe(self, opened: Any) -> list[int]:
        _keep_alive(opened)
        callbacks = [
            opened.domainEventRegisterAny(None, kind, callback, None)
            for kind, callback in (
                (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_change),
                (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, self._on_change),
            )
        ]
        self._notify(None)
        if self._was_open:
            for domain in opened.listAllDomains():
                self._notify(domain.UUIDString())
        return callbacks

    def _on_change(self, opened: Any, domain: Any, *details: Any) -> None:
        self._notify(domain.UUIDString())

    def _notify(self, uuid: str | None) -> None:
        for listener in self._listeners:
            listener(uuid)

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close()


def _keep_alive(opened: Any) -> list[int]:
    with contextlib.suppress(libvirt.libvirtError):
        # A hypervisor in this process has no distance to bridge.
        opened.setKeepAlive(*_KEEPALIVE)
    return []
