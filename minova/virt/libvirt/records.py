# SPDX-License-Identifier: Apache-2.0
"""What the embedded hosts of a machine keep, in one directory.

Each host has a directory of its name there::

    HOST/lock            locked by the process that runs the host
    HOST/node.xml        what libvirt's test driver is told of the host
    HOST/guests/UUID     a guest: its definition, power and number of boots
    HOST/arriving/UUID   room for a guest that comes, and from where
    HOST/moves/UUID      how the last move of a guest from here goes or went
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
from typing import Any
import zlib

import orjson
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.virt.driver import Peer
from minova.virt.driver import Progress
from minova.virt.driver import Spec
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import PlainFiles
from minova.virt.shelf import DirectoryShelf
from minova.virt.shelf import Record

LOG = logging.getLogger(__name__)

#: How many locks all guests share; a file is kept for each.
_LOCKS = 64
#: Seconds to wait for a process that is about to let a host go.
_PATIENCE = 3.0
#: Seconds between two looks.
_LOOK = 0.05


class Records(DirectoryShelf):
    """The records of all embedded hosts below ``directory``."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory

    def folder(self, host: str) -> str:
        """Return the directory of a host."""
        return os.path.join(self.directory, host)

    def knows(self, host: str) -> bool:
        """Tell whether a host has ever been run below this directory."""
        return os.path.exists(os.path.join(self.folder(host), 'lock'))

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
    def alone(self, name: str) -> Iterator[None]:
        """Have a guest to oneself; not to be nested, guests share locks."""
        number = zlib.crc32(name.encode()) % _LOCKS
        with super().alone(f'{number:02}'):
            yield

    # -- who runs a host -----------------------------------------------------

    def occupy(self, host: str) -> 'Tenancy':
        """Become the one that runs a host.

        Raises ConfigInvalid when another process does and goes on doing so.
        """
        os.makedirs(self.folder(host), exist_ok=True)
        number = os.open(self._lock_file(host), os.O_RDWR | os.O_CREAT, 0o600)
        until = clock.monotonic() + _PATIENCE
        while not _try_lock(number, fcntl.LOCK_EX):
            if clock.monotonic() > until:
                by = os.pread(number, 20, 0).decode() or 'unknown'
                os.close(number)
                raise exception.ConfigInvalid(
                    reason=f'The embedded host {host} in {self.directory} is '
                    f'run by another process ({by}) already. A host is run '
                    'once; hosts of one machine need different names.'
                )
            clock.sleep(_LOOK)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
        return Tenancy(number)

    @contextlib.contextmanager
    def vacant(self, host: str) -> Iterator[bool]:
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
        return os.path.join(self.folder(host), 'lock')


class HostDisks(Disks):
    """The disks of one embedded host: plain files beside its records."""

    def __init__(self, records: Records, host: str) -> None:
        super().__init__(
            os.path.join(records.folder(host), 'instances'), PlainFiles()
        )
        self._records = records

    def prepare_disks(self, spec: Spec) -> dict[str, Any]:
        """Invite nobody: whoever runs a host of the machine may copy."""
        return {}

    def check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> None:
        """Require the disks, and that the other host is one of the machine."""
        if not self.has_aside(uuid):
            self.require(uuid)
            self._require_known(uuid, to)

    def hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> list[Progress]:
        """Copy the disks into the directory of another host, in one step."""
        if self.has_aside(uuid):
            return []
        self.copy_to(uuid, to)
        size = self.used(uuid)
        return [Progress(size, size)]

    def accept_disks(self, uuid: str) -> None:
        """Require them: each copy that has the guest's name is whole."""
        self.require(uuid)

    def copy_to(self, uuid: str, to: Peer) -> None:
        """Copy the disks into the directory of another host."""
        self.require(uuid)
        self._require_known(uuid, to)
        there = HostDisks(self._records, to.host)
        there.receive(uuid, self.folder(uuid))

    def _require_known(self, uuid: str, to: Peer) -> None:
        if not self._records.knows(to.host):
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'{to.host} is no embedded host of this machine, its '
                f'disks could only be copied below {self._records.directory}',
            )


class Tenancy:
    """The right to run a host; it ends with the process at the latest."""

    def __init__(self, number: int) -> None:
        self._number: int | None = number

    def end(self) -> None:
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
