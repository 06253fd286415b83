# SPDX-License-Identifier: Apache-2.0
"""What the embedded hosts of a machine keep, in one directory.

Each host has a directory of its name there::

    HOST/lock            locked by the process that runs the host
    HOST/node.xml        what libvirt's test driver is told of the host
    HOST/guests/UUID     a guest: its definition, power and number of boots
    HOST/incoming/UUID   room for a guest that comes, and from where
    HOST/migrations/UUID      how the last move of a guest from here goes or went
    HOST/instances/      the disks, see ``disks``

Who runs a host is the only one to write its records, with one exception: a
guest comes by a rename from the directory of one host to that of another.
Whatever is done to a guest is done under a lock of its own, which all hosts
have in common.
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
from minova.objects.transfer_ticket import TransferTicket
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import PlainFileBackend
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import Record

LOG = logging.getLogger(__name__)

#: How many locks all guests share; a file is kept for each.
_LOCKS = 64
#: Seconds to wait for a process that is about to let a host go.
_LOCK_TIMEOUT = 3.0
#: Seconds between two looks.
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
        """Tell whether a host has ever been run below this directory."""
        return os.path.exists(os.path.join(self.host_directory(host), 'lock'))

    def get(self, path: str) -> Record | None:
        """Read a record; one that cannot be understood is an OSError."""
        try:
            return super().get(path)
        except orjson.JSONDecodeError as error:
            raise OSError(errno.EIO, f'Not a record: {error}', path) from error

    def put(self, path: str, record: Record) -> None:
        """Write a record beside, have it on the disk, put it in its place."""
        whole = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        # Nobody else writes the same record: its lock is held. So what a
        # crash leaves here is overwritten.
        folder, name = os.path.split(whole)
        part = os.path.join(folder, f'.{name}')
        with open(part, 'wb') as file:
            file.write(orjson.dumps(record))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, whole)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Have a guest to oneself; not to be nested, guests share locks."""
        number = zlib.crc32(name.encode()) % _LOCKS
        with super().lock(f'{number:02}'):
            yield

    # -- who runs a host -----------------------------------------------------

    def acquire_host_lock(self, host: str) -> 'HostLock':
        """Become the one that runs a host.

        Raises ConfigInvalid when another process does and goes on doing so.
        """
        os.makedirs(self.host_directory(host), exist_ok=True)
        number = os.open(self._lock_file(host), os.O_RDWR | os.O_CREAT, 0o600)
        until = clock.monotonic() + _LOCK_TIMEOUT
        while not _try_lock(number, fcntl.LOCK_EX):
            if clock.monotonic() > until:
                by = os.pread(number, 20, 0).decode() or 'unknown'
                os.close(number)
                raise exception.ConfigInvalid(
                    reason=f'The embedded host {host} in {self.directory} is '
                    f'run by another process ({by}) already. A host is run '
                    'once; hosts of one machine need different names.'
                )
            clock.sleep(_POLL_INTERVAL)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
        return HostLock(number)

    @contextlib.contextmanager
    def hold_if_stopped(self, host: str) -> Iterator[bool]:
        """Tell whether nobody runs a host, and keep it so meanwhile."""
        try:
            number = os.open(self._lock_file(host), os.O_RDONLY)
        except FileNotFoundError:
            yield True
            return
        try:
            yield _try_lock(number, fcntl.LOCK_SH)
        finally:
            os.close(number)

    def _lock_file(self, host: str) -> str:
        return os.path.join(self.host_directory(host), 'lock')


class EmbeddedDisks(Disks):
    """The disks of one embedded host: plain files beside its records."""

    def __init__(self, store: EmbeddedStore, host: str) -> None:
        super().__init__(
            os.path.join(store.host_directory(host), 'instances'),
            PlainFileBackend(),
        )
        self._store = store
        self._host = host

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Return a ticket without a secret: all hosts share one machine."""
        return TransferTicket(
            host=self._host, operation=spec.operation, token=''
        )

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Require the disks, and that the other host is one of the machine."""
        if not self.has_retained_disks(uuid):
            self.require_disks(uuid)
            self._require_known_host(uuid, dest)

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> list[TransferProgress]:
        """Copy the disks into the directory of another host, in one step."""
        if self.has_retained_disks(uuid):
            return []
        self.copy_to(uuid, dest)
        size = self.bytes_used(uuid)
        return [TransferProgress(size, size)]

    def commit_received_disks(self, uuid: str) -> None:
        """Require them: each copy that has the guest's name is whole."""
        self.require_disks(uuid)

    def copy_to(self, uuid: str, to: Peer) -> None:
        """Copy the disks into the directory of another host."""
        self.require_disks(uuid)
        self._require_known_host(uuid, to)
        there = EmbeddedDisks(self._store, to.host)
        there.copy_from(uuid, self.guest_directory(uuid))

    def _require_known_host(self, uuid: str, to: Peer) -> None:
        if not self._store.has_host(to.host):
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'{to.host} is no embedded host of this machine, its '
                f'disks could only be copied below {self._store.directory}',
            )


class HostLock:
    """The right to run a host; it ends with the process at the latest."""

    def __init__(self, number: int) -> None:
        self._number: int | None = number

    def release(self) -> None:
        """Let the host go."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


def _try_lock(number: int, kind: int) -> bool:
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
