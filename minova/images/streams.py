# SPDX-License-Identifier: Apache-2.0
"""Image data: stored with checksums, and verified when it is copied.

At most one chunk is in memory.
"""

from collections.abc import Iterable
import dataclasses
import hashlib
from typing import BinaryIO
from typing import Protocol

from minova import atomic_files
from minova import cancellation
from minova import exception
from minova import images
from minova.images import qcow2

#: Bytes of an image in memory at a time.
CHUNK_BYTES = 1 << 20

#: The hash algorithms of every platform, without those of variable length.
_HASH_ALGORITHMS = {
    name for name in hashlib.algorithms_guaranteed if 'shake' not in name
}


#: The beginnings of formats that QEMU knows and images do not have: offset,
#: bytes and name. Some of these files name other files of the host.
_OTHER_FORMATS = (
    (0, b'KDMV', 'VMDK'),
    (0, b'COWD', 'VMDK'),
    (0, b'# Disk Descriptor', 'VMDK'),
    (0, b'conectix', 'VHD'),
    (0, b'vhdxfile', 'VHDX'),
    (64, b'\x7f\x10\xda\xbe', 'VDI'),
    (0, b'QED\0', 'QED'),
    (0, b'WithoutFreeSpace', 'Parallels'),
    (0, b'WithouFreSpacExt', 'Parallels'),
)


class Readable(Protocol):
    """A body or a file."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


@dataclasses.dataclass(frozen=True)
class ReceivedData:
    """The size and the checksums of stored data."""

    size: int
    virtual_size: int | None
    checksum: str
    hash_algo: str
    hash_value: str


def receive(
    source: Readable,
    target: BinaryIO,
    disk_format: str,
    limit: int,
    length: int | None = None,
) -> ReceivedData:
    """Copy a body to a file and return its size and checksums.

    Raises TooLarge above ``limit`` bytes; InvalidInput if the body ends
    before ``length``, is empty, or has another format than announced.
    """
    if length is not None and length > limit:
        raise exception.TooLarge(limit=limit)
    head = _read_head(source)
    virtual_size = inspect_header(head, disk_format)
    md5 = hashlib.md5(usedforsecurity=False)
    sha512 = hashlib.sha512()
    size = 0
    chunk = head
    while chunk:
        size += len(chunk)
        if size > limit:
            raise exception.TooLarge(limit=limit)
        md5.update(chunk)
        sha512.update(chunk)
        target.write(chunk)
        chunk = _read(source, CHUNK_BYTES)
    if length is not None and size != length:
        raise exception.InvalidInput(
            reason=f'the body has {size} bytes, but {length} were announced.'
        )
    return ReceivedData(
        size=size,
        virtual_size=size if disk_format == 'raw' else virtual_size,
        checksum=md5.hexdigest(),
        hash_algo='sha512',
        hash_value=sha512.hexdigest(),
    )


def write_verified(
    image: images.Image, chunks: Iterable[bytes], path: str
) -> None:
    """Write data to ``path`` if it matches the image.

    Raises OperationFailed if the data differs; ``path`` is then unchanged.
    """
    algorithm, wanted = _expected_hash(image)
    found = hashlib.new(algorithm, usedforsecurity=False)
    size = 0
    # QEMU may have another account, whose group the directory carries.
    with atomic_files.atomic_write(path, 0o640) as file:
        for chunk in chunks:
            cancellation.check()
            size += len(chunk)
            if image.size is not None and size > image.size:
                break
            found.update(chunk)
            file.write(chunk)
        if image.size is not None and size != image.size:
            raise _corrupt_error(
                image, 'its size differs from the recorded one'
            )
        if wanted is not None and found.hexdigest() != wanted.lower():
            raise _corrupt_error(
                image, f'its {algorithm} differs from the recorded one'
            )


def _expected_hash(image: images.Image) -> tuple[str, str | None]:
    """Return the strongest checksum of an image, and its algorithm."""
    algorithm = (image.hash_algo or '').lower()
    if image.hash_value and algorithm in _HASH_ALGORITHMS:
        return algorithm, image.hash_value
    return 'md5', image.checksum


def _corrupt_error(
    image: images.Image, what: str
) -> exception.OperationFailed:
    return exception.OperationFailed(
        cause=f'Download of image {image.id}',
        reason=f'the data was discarded: {what}.',
    )


def inspect_header(head: bytes, disk_format: str) -> int | None:
    """Return the size of the disk, if the header has it.

    Raises InvalidInput for an empty body, another format than announced, or a
    file that names other files.
    """
    if not head:
        raise exception.InvalidInput(reason='the body is empty.')
    if disk_format == 'qcow2':
        return qcow2.virtual_size(head)
    found = _probe(head)
    if found is not None:
        # A hypervisor that probes the format would follow its header.
        raise exception.InvalidInput(
            reason=(
                f'the disk_format of the image is {disk_format}, but the data '
                f'is in the format {found}.'
            )
        )
    return None


def _probe(head: bytes) -> str | None:
    """Return the format that a header claims; None for plain data."""
    if head.startswith(qcow2.MAGIC):
        return 'qcow2'
    for offset, magic, name in _OTHER_FORMATS:
        if head.startswith(magic, offset):
            return name
    return None


def _read_head(source: Readable) -> bytes:
    """Return the beginning of a body, with the complete header if possible."""
    head = b''
    while len(head) < qcow2.HEADER_BYTES:
        more = _read(source, CHUNK_BYTES)
        if not more:
            break
        head += more
    return head


def _read(source: Readable, size: int) -> bytes:
    try:
        return source.read(size)
    except OSError as error:
        raise exception.InvalidInput(
            reason=f'the body ended early: {error}.'
        ) from error
