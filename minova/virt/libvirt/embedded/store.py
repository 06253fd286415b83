# SPDX-License-Identifier: Apache-2.0
"""The records of the embedded hosts of a machine, in one directory.

Each host has a directory with its name there::

    HOST/lock             locked by the process that runs the host
    HOST/node.xml         the description of the host for libvirt
    HOST/guests/UUID      a guest: definition, power state, count of boots
    HOST/incoming/UUID    an incoming guest and its source
    HOST/migrations/UUID  the last migration of a guest from this host
    HOST/instances/       the disks, see ``disks``

Only the process that runs a host writes its records, with one exception: a
rename moves the record of a guest from the directory of one host to that of
another. Every change to a guest holds the guest's lock, which all hosts share.
"""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import os
import zlib

import orjson
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.virt.libvirt.embedded.host_lock import HostLock
from minova.virt.libvirt.embedded.host_lock import try_lock
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import Record

LOG = logging.getLogger(__name__)

#: The number of locks that all guests share; each is a file.
_LOCKS = 64
#: Seconds to wait for another process that is about to end.
_LOCK_TIMEOUT = 3.0
#: Seconds between two attempts.
_POLL_INTERVAL = 0.05


class EmbeddedStore(DirectoryRecordStore):
    """The records of all embedded hosts below ``directory``."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory

    def host_directory(self, host: str) -> str:
        """Return the directory of a host."""
        return os.path.join(self.directory, host)

    def has_host(self, host: str) -> bool:
        """Return whether a host exists below this directory."""
        return os.path.exists(os.path.join(self.host_directory(host), 'lock'))

    def get(self, path: str) -> Record | None:
        """Read a record; raise OSError for one that is not valid JSON."""
        try:
            return super().get(path)
        except orjson.JSONDecodeError as error:
            raise OSError(
                errno.EIO, f'invalid record: {error}', path
            ) from error

    def put(self, path: str, record: Record) -> None:
        """Write a record: a temporary file, synced and renamed."""
        whole = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        # The caller holds the lock, so one name suffices; the next write
        # overwrites what a crash leaves.
        folder, name = os.path.split(whole)
        part = os.path.join(folder, f'.{name}')
        with open(part, 'wb') as file:
            file.write(orjson.dumps(record))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, whole)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of a guest; never nested, since guests share locks."""
        number = zlib.crc32(name.encode()) % _LOCKS
        with super().lock(f'{number:02}'):
            yield

    # -- who runs a host -----------------------------------------------------

    def acquire_host_lock(self, host: str) -> 'HostLock':
        """Return the lock of a host.

        Raises ConfigInvalid when another process keeps it for longer than a
        few seconds.
        """
        os.makedirs(self.host_directory(host), exist_ok=True)
        number = os.open(self._lock_file(host), os.O_RDWR | os.O_CREAT, 0o600)
        until = clock.monotonic() + _LOCK_TIMEOUT
        while not try_lock(number, fcntl.LOCK_EX):
            if clock.monotonic() > until:
                owner = os.pread(number, 20, 0).decode() or 'unknown'
                os.close(number)
                raise exception.ConfigInvalid(
                    reason=f'Process {owner} already runs the embedded host '
                    f'{host} in {self.directory}. Stop it, or give this '
                    'process another host name.'
                )
            clock.sleep(_POLL_INTERVAL)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
        return HostLock(number)

    @contextlib.contextmanager
    def hold_if_stopped(self, host: str) -> Iterator[bool]:
        """Yield whether no process runs a host, and keep that so."""
        try:
            number = os.open(self._lock_file(host), os.O_RDONLY)
        except FileNotFoundError:
            yield True
            return
        try:
            yield try_lock(number, fcntl.LOCK_SH)
        finally:
            os.close(number)

    def _lock_file(self, host: str) -> str:
        return os.path.join(self.host_directory(host), 'lock')
