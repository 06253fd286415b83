# SPDX-License-Identifier: Apache-2.0
"""The directory of the image cache: names, locks, sums and marks.

Below the directory, which all hosts of a machine may have in common::

    IMAGE                the data, whole and looked at
    .IMAGE.X.part        data that is being fetched, or was when it was cut off
    .facts/IMAGE         size, time and SHA-256 of the data
    .marks/IMAGE@HOST    a host uses the image; when it did last is the time
                         of the file
    .locks/IMAGE.use     shared: the image is being used, alone: it may go
    .locks/IMAGE.fetch   the image is being fetched or looked at

The kernel gives the locks of a process back when it ends, however it ends.
They are asked for again and again, not waited for in the kernel, so that time
may be virtual.
"""

from collections.abc import Iterator
import contextlib
import hashlib
import os
import re
from typing import IO
from typing import NamedTuple

import orjson

from minova import clock
from minova import exception
from minova import lockfile

#: Seconds between two looks whether a lock is free.
_POLL_INTERVAL = 0.1
_CHUNK_BYTES = 1 << 20
_ID = re.compile('[0-9A-Za-z-]{1,64}')
#: The service that writes data to a part makes a part of it in its turn.
_PART = re.compile(
    r'\.{1,2}(?P<image>[0-9A-Za-z-]{1,64})(\.[0-9a-f-]{36}\.part){1,2}'
)


class Checksum(NamedTuple):
    """What is known of data that was looked at."""

    size: int
    mtime_ns: int
    sha256: str


class ImageStore:
    """The files of the cache, as one host sees them. OSError from all."""

    def __init__(self, directory: str, host: str) -> None:
        self.directory = os.path.abspath(directory)
        self._host = host

    def prepare(self) -> None:
        """Make the directories."""
        for name in ('.facts', '.marks', '.locks'):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)

    # -- data ----------------------------------------------------------------

    def path(self, image_id: str) -> str:
        """Return where the data of an image is, or is to be.

        ImageNotFound for what is nobody's id: it would be part of a path.
        """
        if not _ID.fullmatch(image_id):
            raise exception.ImageNotFound(image_id=image_id[:64])
        return self._inside(image_id)

    def _inside(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def new_part_path(self, image_id: str) -> str:
        """Return a name for data that is being fetched."""
        return self._inside(f'.{image_id}.{clock.uuid4()}.part')

    def images(self) -> list[str]:
        """Return the images that something is here of, in their order."""
        if not os.path.isdir(self.directory):
            return []
        found = set(filter(_ID.fullmatch, os.listdir(self.directory)))
        found |= {name.rpartition('@')[0] for name in self._list('.marks')}
        found |= {match['image'] for match in self._parts()}
        return sorted(found)

    def remove_parts(self, image_id: str) -> None:
        """Remove what is left of fetching; who fetches must be alone."""
        for match in self._parts():
            if match['image'] == image_id:
                _unlink(self._inside(match.string))

    def remove(self, image_id: str) -> None:
        """Remove the data and what is known of it."""
        _unlink(self.path(image_id))
        _unlink(self._checksum_path(image_id))

    def _parts(self) -> Iterator[re.Match[str]]:
        for name in os.listdir(self.directory):
            if match := _PART.fullmatch(name):
                yield match

    def _list(self, kind: str) -> list[str]:
        folder = os.path.join(self.directory, kind)
        return os.listdir(folder) if os.path.isdir(folder) else []

    # -- what is known -------------------------------------------------------

    def read_checksum(self, image_id: str) -> Checksum | None:
        """Return what was written down, None if nothing that makes sense."""
        try:
            with open(self._checksum_path(image_id), 'rb') as file:
                return Checksum(**orjson.loads(file.read()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def publish(self, image_id: str, part: str) -> Checksum:
        """Give data its name; what is known of it is written down before.

        Should it be cut off between the two, the old data is seen not to be
        what is known, and fetched anew.
        """
        facts = checksum_file(part)
        path = self._checksum_path(image_id)
        scrap = self.new_part_path(image_id)
        with open(scrap, 'wb') as file:
            file.write(orjson.dumps(facts._asdict()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scrap, path)
        os.replace(part, self.path(image_id))
        directory = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return facts

    def _checksum_path(self, image_id: str) -> str:
        return os.path.join(self.directory, '.facts', image_id)

    # -- marks ---------------------------------------------------------------

    def mark_used(self, image_id: str) -> None:
        """Note that this host uses the image now."""
        path = self._mark_path(image_id)
        now = clock.now().timestamp()
        with open(path, 'ab'):
            os.utime(path, (now, now))

    def last_used(self, image_id: str) -> float | None:
        """Return when this host has used the image last, in seconds."""
        try:
            return os.stat(self._mark_path(image_id)).st_mtime
        except FileNotFoundError:
            return None

    def remove_mark(self, image_id: str) -> None:
        """Note that this host does not use the image any more."""
        _unlink(self._mark_path(image_id))

    def mark_idle(self, image_id: str) -> None:
        """Note that the last host that used the image does not any more."""
        path = self._checksum_path(image_id)
        now = clock.now().timestamp()
        if os.path.exists(path):
            os.utime(path, (now, now))

    def idle_since(self, image_id: str) -> float | None:
        """Return since when nobody uses an image, None if nobody knows."""
        try:
            return os.stat(self._checksum_path(image_id)).st_mtime
        except FileNotFoundError:
            return None

    def hosts_using(self, image_id: str) -> list[str]:
        """Return the hosts that use the image."""
        found = [name.partition('@') for name in self._list('.marks')]
        return sorted(host for image, _, host in found if image == image_id)

    def _mark_path(self, image_id: str) -> str:
        host = self._host.replace('/', '_')
        return os.path.join(self.directory, '.marks', f'{image_id}@{host}')

    # -- locks ---------------------------------------------------------------

    def try_lock(
        self, image_id: str, what: str, shared: bool = False
    ) -> IO[str] | None:
        """Have a lock until the file is closed; None when it is not free."""
        path = self._lock_path(image_id, what)
        while True:
            file = lockfile.acquire(path, shared)
            if file is None or _is_at(file, path):
                return file
            # Who had it before has removed it.
            file.close()

    @contextlib.contextmanager
    def locked(
        self, image_id: str, what: str, shared: bool = False
    ) -> Iterator[None]:
        """Have a lock, wait for it first."""
        while (file := self.try_lock(image_id, what, shared)) is None:
            clock.sleep(_POLL_INTERVAL)
        with file:
            yield

    def forget_locks(self, image_id: str) -> None:
        """Remove the lock files; the caller has both locks, alone."""
        for what in ('use', 'fetch'):
            _unlink(self._lock_path(image_id, what))

    def _lock_path(self, image_id: str, what: str) -> str:
        return os.path.join(self.directory, '.locks', f'{image_id}.{what}')


def checksum_file(path: str) -> Checksum:
    """Read a whole file and return what it is."""
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(_CHUNK_BYTES):
            found.update(piece)
        state = os.fstat(file.fileno())
    return Checksum(state.st_size, state.st_mtime_ns, found.hexdigest())


def _is_at(file: IO[str], path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
