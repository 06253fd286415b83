# SPDX-License-Identifier: Apache-2.0
"""Files that keep their holes when they are copied or extended."""

import contextlib
import os
import shutil

from minova import cancellation
from minova.virt.transfer.blocks import extents

#: Bytes per read.
_COPY_SIZE = 4 << 20


def remove_tree(folder: str) -> None:
    """Remove a directory if it exists."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def copy_sparse(source: str, path: str, size: int = 0) -> None:
    """Copy a file with its holes; extend the copy to ``size`` bytes.

    The copy is synced to the disk. An existing file at ``path`` is
    overwritten.
    """
    with open(source, 'rb') as old, open(path, 'wb') as new:
        before, after = old.fileno(), new.fileno()
        length = os.fstat(before).st_size
        for start, end in extents(before, length):
            _copy_extent(before, after, start, end)
        os.ftruncate(after, max(length, size))
        os.fsync(after)


def _copy_extent(before: int, after: int, start: int, end: int) -> None:
    os.lseek(after, start, os.SEEK_SET)
    while start < end:
        cancellation.check()
        piece = os.pread(before, min(_COPY_SIZE, end - start), start)
        if not piece:
            # The source was truncated meanwhile.
            return
        start += os.write(after, piece)


def extend_file(file: int, size: int) -> None:
    """Extend an open file to ``size`` bytes unless it is larger."""
    if os.fstat(file).st_size < size:
        os.ftruncate(file, size)
