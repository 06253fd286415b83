# SPDX-License-Identifier: Apache-2.0
"""Image data that is read for an upload.

The reader of an HTTP request may outlive the upload that began it, in a thread
of its own: ``abort`` ends it at its next read, so that a broken connection
tells the image service that the data is not complete.
"""

from collections.abc import Iterator
import contextlib
import hashlib
from typing import BinaryIO

from minova import cancellation
from minova import exception
from minova import images

#: Bytes that one read returns at most.
CHUNK_BYTES = 1 << 20


class UploadSource:
    """The body of an upload: counts, hashes and can be aborted."""

    def __init__(
        self, file: BinaryIO, size: int, report: images.ReportProgress
    ) -> None:
        self._file = file
        self._size = size
        self._report = report
        self._aborted = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.sent = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(CHUNK_BYTES):
            yield piece

    def read(self, size: int = -1, /) -> bytes:
        """Return the next piece, at most ``CHUNK_BYTES``; OSError if aborted.

        Ends at the announced size, also if the file has grown. EOFError if
        the file ends before: the image service would wait for the rest.
        """
        cancellation.check()
        if self._aborted:
            raise OSError('the upload was aborted')
        left = self._size - self.sent
        wanted = CHUNK_BYTES if size < 0 else min(size, CHUNK_BYTES)
        piece = self._file.read(min(wanted, left))
        if wanted and left and not piece:
            raise EOFError(f'the file ends after {self.sent} bytes')
        self._md5.update(piece)
        self.sent += len(piece)
        self._report(self.sent)
        return piece

    def abort(self) -> None:
        """Let the next read fail."""
        self._aborted = True

    @property
    def checksum(self) -> str | None:
        """The MD5 of the data in hex, None before its end."""
        return self._md5.hexdigest() if self.sent == self._size else None


@contextlib.contextmanager
def open_source(
    image_id: str, data: images.ImageData, report: images.ReportProgress
) -> Iterator[UploadSource]:
    """Yield the body of an upload, which is aborted at the end.

    Raises OperationFailed if the data cannot be opened, or is incomplete.
    """
    try:
        file = data.open()
    except OSError as error:
        raise exception.OperationFailed(
            cause=f'Upload of image {image_id}', reason=str(error)
        ) from error
    with file:
        source = UploadSource(file, data.size, report)
        try:
            yield source
        except EOFError as error:
            raise exception.OperationFailed(
                cause=f'Upload of image {image_id}',
                reason=f'{error} of {data.size}.',
            ) from error
        finally:
            source.abort()


def require_stored(
    image: images.Image, size: int, checksum: str | None = None
) -> None:
    """Raise OperationFailed unless an active image has the data.

    ``checksum`` is its MD5 if that is known.
    """
    problem = None
    if image.size != size:
        problem = f'it has {image.size} bytes of {size}'
    elif None not in (checksum, image.checksum) and image.checksum != checksum:
        problem = f'its checksum is {image.checksum}, not {checksum}'
    if problem is not None:
        raise exception.OperationFailed(
            cause=f'Upload of image {image.id}',
            reason=f'the image service has stored other data: {problem}.',
        )
