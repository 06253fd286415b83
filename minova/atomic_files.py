# SPDX-License-Identifier: Apache-2.0
"""Files that a crash leaves either unchanged or complete.

It is not a lock: of two concurrent writers of a file each writes a complete
one, and the later wins.
"""

from collections.abc import Iterator
import contextlib
import json
import os
from typing import Any
from typing import BinaryIO

from minova import clock
from minova import exception

#: The suffix of files that are being written.
PARTIAL_SUFFIX = '.part'


@contextlib.contextmanager
def atomic_write(path: str, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Yield an empty file that becomes ``path`` if the block succeeds.

    The file is on disk before this returns. If the block raises, ``path`` is
    unchanged and the new file is removed; after a crash ``sweep`` removes it.
    """
    directory, name = os.path.split(os.path.abspath(path))
    part = os.path.join(directory, f'.{name}.{clock.uuid4()}{PARTIAL_SUFFIX}')
    descriptor = os.open(
        part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode
    )
    try:
        with os.fdopen(descriptor, 'wb') as file:
            # The umask may have removed permissions that readers need.
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
    _fsync_directory(directory)


def write_bytes(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write ``content`` to ``path``."""
    with atomic_write(path, mode) as file:
        file.write(content)


def write_json(path: str, content: object) -> None:
    """Write ``content`` to ``path`` as JSON, readable for the owner only."""
    write_bytes(path, json.dumps(content, indent=1).encode() + b'\n')


def read_json(path: str) -> Any:
    """Return the JSON document in ``path``.

    Raises FileNotFoundError if the file is missing, ConfigInvalid for
    malformed JSON.
    """
    with open(path, 'rb') as file:
        content = file.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise exception.ConfigInvalid(
            reason=f'{path} is damaged: {error}'
        ) from error


def rename(path: str, new_path: str) -> None:
    """Rename a file durably; it needs no free space on the disk."""
    os.replace(path, new_path)
    _fsync_directory(os.path.dirname(os.path.abspath(new_path)))


def remove(path: str) -> None:
    """Remove a file, if it exists, durably.

    A process that has the file open can still read it.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _fsync_directory(os.path.dirname(os.path.abspath(path)))


@contextlib.contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Raise Unavailable for ``what`` when a file cannot be read or written.

    The disk is full, for example.
    """
    try:
        yield
    except OSError as error:
        raise exception.Unavailable(
            what=what, reason=error.strerror or str(error)
        ) from error


def make_directory(path: str) -> None:
    """Create a directory for its owner only, unless it exists."""
    os.makedirs(path, mode=0o700, exist_ok=True)


def remove_partial_files(path: str) -> None:
    """Remove incomplete files of a crashed writer from a directory.

    Call it only while no process writes there.
    """
    for name in os.listdir(path):
        if name.startswith('.') and name.endswith(PARTIAL_SUFFIX):
            remove(os.path.join(path, name))


def _fsync_directory(path: str) -> None:
    """Sync the names in a directory; fsync of a file does not do this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
