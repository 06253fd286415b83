# SPDX-License-Identifier: Apache-2.0
"""The directory of the image cache: names, locks, checksums and marks.

Several hosts of one machine may share the directory::

    IMAGE                the complete data
    .IMAGE.X.part        a download that is running or was interrupted
    .checksums/IMAGE     size, time and SHA-256 of the data
    .marks/IMAGE@HOST    a host uses the image; the time of the file is that
                         of the last use
    .locks/IMAGE.use     shared: in use; exclusive: the image may be removed
    .locks/IMAGE.fetch   the image is being downloaded or verified

The kernel releases the locks of a process when it exits for any reason. The
code polls for a lock instead of blocking in the kernel, so that the simulator
can replace the clock.
"""

from collections.abc import Iterator
import contextlib
import hashlib
import os
import re
from typing import IO
from typing import NamedTuple

import orjson

from minova import cancellation
from minova import clock
from minova import exception
from minova import lockfile

#: Seconds between two attempts to take a lock.
_POLL_INTERVAL = 0.1
_CHUNK_BYTES = 1 << 20
_ID = re.compile('[0-9A-Za-z-]{1,64}')
#: The image service may write a part of its own next to a part.
_PART = re.compile(
    r'\.{1,2}(?P<image>[0-9A-Za-z-]{1,64})(\.[0-9a-f-]{36}\.part){1,2}'
)


class Checksum(NamedTuple):
    """The checksum of a verified file."""

    size: int
    mtime_ns: int
    sha256: str


class ImageStore:
    """The files of the cache for one host; every method raises OSError."""

    def __init__(self, directory: str, host: str) -> None:
        self.directory = os.path.abspath(directory)
        self._host = host

    def prepare(self) -> None:
        """Create the directories."""
        for name in ('.checksums', '.marks', '.locks'):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)

    # -- data ----------------------------------------------------------------

    def path(self, image_id: str) -> str:
        """Return the path of the data of an image, which may not exist.

        Raises ImageNotFound for a text that is no image id, because the id is
        part of the path.
        """
        if not _ID.fullmatch(image_id):
            raise exception.ImageNotFound(image_id=image_id[:64])
        return self._inside(image_id)

    def _inside(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def new_part_path(self, image_id: str) -> str:
        """Return a new path for a download."""
        return self._inside(f'.{image_id}.{clock.uuid4()}.part')

    def images(self) -> list[str]:
        """Return the images with any file in the directory, sorted."""
        if not os.path.isdir(self.directory):
            return []
        found = set(filter(_ID.fullmatch, os.listdir(self.directory)))
        found |= {name.rpartition('@')[0] for name in self._list('.marks')}
        found |= {match['image'] for match in self._parts()}
        return sorted(found)

    def remove_parts(self, image_id: str) -> None:
        """Remove partial downloads; the caller has the ``fetch`` lock."""
        for match in self._parts():
            if match['image'] == image_id:
                _unlink(self._inside(match.string))

    def remove(self, image_id: str) -> None:
        """Remove the data and its checksum."""
        _unlink(self.path(image_id))
        _unlink(self._checksum_path(image_id))

    def _parts(self) -> Iterator[re.Match[str]]:
        for name in os.listdir(self.directory):
            if match := _PART.fullmatch(name):
                yield match

    def _list(self, kind: str) -> list[str]:
        folder = os.path.join(self.directory, kind)
        return os.listdir(folder) if os.path.isdir(folder) else []

    # -- checksums -----------------------------------------------------------

    def read_checksum(self, image_id: str) -> Checksum | None:
        """Return the recorded checksum, None without a valid record."""
        try:
            with open(self._checksum_path(image_id), 'rb') as file:
                return Checksum(**orjson.loads(file.read()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def publish(self, image_id: str, part: str) -> Checksum:
        """Record the checksum of a download, then give it its final name.

        After an interruption between the two the old data does not match the
        checksum and is downloaded again.
        """
        checksum = checksum_file(part)
        path = self._checksum_path(image_id)
        scrap = self.new_part_path(image_id)
        with open(scrap, 'wb') as file:
            file.write(orjson.dumps(checksum._asdict()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scrap, path)
        os.replace(part, self.path(image_id))
        directory = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return checksum

    def _checksum_path(self, image_id: str) -> str:
        return os.path.join(self.directory, '.checksums', image_id)

    # -- marks ---------------------------------------------------------------

    def mark_used(self, image_id: str) -> None:
        """Record a use of the image by this host."""
        path = self._mark_path(image_id)
        now = clock.now().timestamp()
        with open(path, 'ab'):
            os.utime(path, (now, now))

    def last_used(self, image_id: str) -> float | None:
        """Return the time of the last use by this host, in seconds."""
        try:
            return os.stat(self._mark_path(image_id)).st_mtime
        except FileNotFoundError:
            return None

    def remove_mark(self, image_id: str) -> None:
        """Record that this host uses the image no more."""
        _unlink(self._mark_path(image_id))

    def mark_idle(self, image_id: str) -> None:
        """Record that the last host uses the image no more."""
        path = self._checksum_path(image_id)
        now = clock.now().timestamp()
        if os.path.exists(path):
            os.utime(path, (now, now))

    def idle_since(self, image_id: str) -> float | None:
        """Return since when no host uses an image, None if unknown."""
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
        """Take a lock until the file is closed; None when it is taken."""
        path = self._lock_path(image_id, what)
        while True:
            file = lockfile.acquire(path, shared)
            if file is None or _is_at(file, path):
                return file
            # The previous holder has removed the file.
            file.close()

    @contextlib.contextmanager
    def locked(
        self, image_id: str, what: str, shared: bool = False
    ) -> Iterator[None]:
        """Wait for a lock and hold it."""
        while (file := self.try_lock(image_id, what, shared)) is None:
            cancellation.wait(_POLL_INTERVAL)
        with file:
            yield

    def forget_locks(self, image_id: str) -> None:
        """Remove the lock files; the caller has both locks exclusively."""
        for what in ('use', 'fetch'):
            _unlink(self._lock_path(image_id, what))

    def _lock_path(self, image_id: str, what: str) -> str:
        return os.path.join(self.directory, '.locks', f'{image_id}.{what}')


def checksum_file(path: str) -> Checksum:
    """Read a whole file and return its checksum."""
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(_CHUNK_BYTES):
            cancellation.check()
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
