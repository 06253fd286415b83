# SPDX-License-Identifier: Apache-2.0
"""Files as numbered blocks, and blocks as cells.

A hole reads as zeros and has the digest of zeros. A block is sent without its
zero cells and written without its equal cells, so a sparse file stays sparse.
"""

from collections.abc import Iterator
import errno
import functools
import hashlib
import os

from minova import cancellation

#: Bytes of a block; the last block of a file may be shorter.
BLOCK_SIZE = 1 << 20
#: Bytes of a cell.
CELL_SIZE = 1 << 16


def extents(file: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the data in the first ``length`` bytes."""
    end = 0
    while end < length:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # Only a hole follows.
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def count_blocks(size: int) -> int:
    """Return the number of blocks of a file of ``size`` bytes."""
    return -(-size // BLOCK_SIZE)


def block_length(size: int, number: int) -> int:
    """Return the bytes of one block."""
    return min(BLOCK_SIZE, size - number * BLOCK_SIZE)


def read_block(file: int, size: int, number: int) -> bytes:
    """Return a block; zeros for what was truncated meanwhile."""
    start, wanted = number * BLOCK_SIZE, block_length(size, number)
    found = bytearray()
    while len(found) < wanted:
        piece = os.pread(file, wanted - len(found), start + len(found))
        if not piece:
            break
        found += piece
    return bytes(found) + bytes(wanted - len(found))


def write_block(file: int, number: int, block: bytes) -> None:
    """Write a block; only cells that differ."""
    start = number * BLOCK_SIZE
    old = os.pread(file, len(block), start)
    old += bytes(len(block) - len(old))
    for at in range(0, len(block), CELL_SIZE):
        cell = block[at : at + CELL_SIZE]
        while cell and cell != old[at : at + len(cell)]:
            written = os.pwrite(file, cell, start + at)
            at, cell = at + written, cell[written:]


def digest(block: bytes) -> str:
    """Return the SHA-256 of a block."""
    return hashlib.sha256(block).hexdigest()


def digests(file: int, size: int, first: int, most: int) -> list[str]:
    """Return the digests of at most ``most`` blocks; holes are not read."""
    last = min(first + most, count_blocks(size))
    return [_block_digest(file, size, number) for number in range(first, last)]


def _block_digest(file: int, size: int, number: int) -> str:
    cancellation.check()
    if _has_data(file, number):
        return digest(read_block(file, size, number))
    return _digest_of_zeros(block_length(size, number))


def _has_data(file: int, number: int) -> bool:
    start = number * BLOCK_SIZE
    try:
        return os.lseek(file, start, os.SEEK_DATA) < start + BLOCK_SIZE
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise


@functools.lru_cache(16)
def _digest_of_zeros(size: int) -> str:
    return digest(bytes(size))


# -- encoding ----------------------------------------------------------------


def pack(block: bytes) -> tuple[int, bytes]:
    """Return a bit mask of the cells with data, and these cells."""
    cells, body = 0, bytearray()
    for position, at in enumerate(range(0, len(block), CELL_SIZE)):
        cell = block[at : at + CELL_SIZE]
        if cell.strip(b'\0'):
            cells |= 1 << position
            body += cell
    return cells, bytes(body)


def unpack(cells: int, body: bytes, wanted: int) -> bytes:
    """Return a block of ``wanted`` bytes; ValueError when it is invalid."""
    block, used = bytearray(wanted), 0
    for position, at in enumerate(range(0, wanted, CELL_SIZE)):
        if cells >> position & 1:
            size = min(CELL_SIZE, wanted - at)
            block[at : at + size] = body[used : used + size]
            used += size
    if used != len(body) or len(block) != wanted:
        raise ValueError(
            f'the body has {len(body)} bytes, the cells need {used}'
        )
    return bytes(block)
