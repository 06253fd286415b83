# SPDX-License-Identifier: Apache-2.0
"""Files that a crash leaves either as they were or as they were to become.

For the embedded identity and image services. Not a lock: two writers of one
file each leave a whole one, and the later one wins.
"""

from collections.abc import Iterator
import contextlib
import json
import os
from typing import Any
from typing import BinaryIO

from minova import clock
from minova import exception

#: How the name of a file ends that is still being written.
PARTIAL_SUFFIX = '.part'


@contextlib.contextmanager
def atomic_write(path: str, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Give an empty file that becomes ``path`` if the block ends well.

    On disk before this returns. If the block raises, ``path`` is untouched
    and the new file is gone; after a crash ``sweep`` removes it.
    """
    directory, name = os.path.split(os.path.abspath(path))
    part = os.path.join(directory, f'.{name}.{clock.uuid4()}{PARTIAL_SUFFIX}')
    descriptor = os.open(
        part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode
    )
    try:
        with os.fdopen(descriptor, 'wb') as file:
            # The umask may have taken bits away that the reader needs.
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
    """Make ``content`` the content of ``path``."""
    with atomic_write(path, mode) as file:
        file.write(content)


def write_json(path: str, content: Any) -> None:
    """Make ``content`` the JSON document in ``path``, for its owner only."""
    write_bytes(path, json.dumps(content, indent=1).encode() + b'\n')


def read_json(path: str) -> Any:
    """Return the JSON document in ``path``.

    FileNotFoundError if there is none, ConfigInvalid if it is no JSON.
    """
    with open(path, 'rb') as file:
        content = file.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise exception.ConfigInvalid(
            reason=f'{path} is damaged: {error}'
        ) from error


def remove(path: str) -> None:
    """Remove a file, if it is there, so that a crash does not bring it back.

    A file that is being read goes on being readable to who has it open.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _fsync_directory(os.path.dirname(os.path.abspath(path)))


def make_directory(path: str) -> None:
    """Make a directory for its owner only, unless it is there."""
    os.makedirs(path, mode=0o700, exist_ok=True)


def remove_partial_files(path: str) -> None:
    """Remove what a crash left of half-written files in a directory.

    Only while nobody writes there.
    """
    for name in os.listdir(path):
        if name.startswith('.') and name.endswith(PARTIAL_SUFFIX):
            remove(os.path.join(path, name))


def _fsync_directory(path: str) -> None:
    """Bring names in a directory to disk: fsync of a file does not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
