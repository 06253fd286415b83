# SPDX-License-Identifier: Apache-2.0
"""The embedded image service, without HTTP: a directory of images.

An image is ``ID.json`` (its document) and, once it is active, ``ID.data``.
Both appear atomically, and the document becomes ``active`` after the data is
on disk: an active image has its data after any crash. One process writes, with
any number of threads; other processes may read the directory.

This module decides which images a caller sees; ``routes`` decides who may
write.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import errno
import os
import re
from typing import BinaryIO

from oslo_log import log

from minova import atomic_files
from minova import clock
from minova import conf
from minova import exception
from minova import images
from minova.images import documents
from minova.images import streams

LOG = log.getLogger(__name__)

#: Ids become file names, so other strings are never used as ids.
ID_PATTERN = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: The errors of a disk, or of a quota of one, without free space.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class EmbeddedImages:
    """The images in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        atomic_files.make_directory(directory)
        self._lock = clock.lock()
        self._uploading: set[str] = set()

    def recover(self) -> None:
        """Remove incomplete files of a crash.

        Call it in the writing process, before its first write.
        """
        with _store_errors():
            atomic_files.remove_partial_files(self._directory)
            for name in os.listdir(self._directory):
                image_id, suffix = os.path.splitext(name)
                is_data = suffix == '.data' and ID_PATTERN.fullmatch(image_id)
                if is_data and not self._has_data(image_id):
                    atomic_files.remove(self._path(image_id, '.data'))

    def show(
        self, context: images.CallerContext, image_id: str
    ) -> images.Image:
        """Return an image; ImageNotFound also if the caller cannot see it."""
        image = self._with_upload_status(self._load(image_id))
        if not images.is_visible(image, context):
            raise exception.ImageNotFound(image_id=image_id[:64])
        return image

    def list_visible(
        self, context: images.CallerContext
    ) -> list[images.Image]:
        """Return all images that are visible to the caller, unordered."""
        found = []
        for name in os.listdir(self._directory):
            image_id, suffix = os.path.splitext(name)
            if suffix != '.json':
                continue
            try:
                image = self._with_upload_status(self._load(image_id))
            except exception.ImageNotFound:
                continue  # deleted since
            except exception.Failed as error:
                LOG.warning('Damaged image not listed: %s', error)
                continue
            if images.is_visible(image, context):
                found.append(image)
        return found

    def add(self, image: images.Image) -> None:
        """Add a new image; Conflict if its id exists."""
        with self._lock, _store_errors():
            # During an upload the id of a deleted image is not free.
            taken = os.path.exists(self._path(image.id, '.json'))
            if taken or image.id in self._uploading:
                raise exception.Conflict(reason=f'image {image.id} exists.')
            self._store(image)

    def update(
        self, image_id: str, change: Callable[[images.Image], images.Image]
    ) -> images.Image:
        """Replace an image by the result of ``change`` and return it.

        There is no other change at the same time. If ``change`` raises, the
        image is unchanged.
        """
        with self._lock, _store_errors():
            before = self._load(image_id)
            after = dataclasses.replace(
                change(self._with_upload_status(before)),
                status=before.status,
                updated_at=clock.now(),
            )
            self._store(after)
            return self._with_upload_status(after)

    def delete(self, image_id: str) -> None:
        """Remove an image; Forbidden if it is protected."""
        with self._lock, _store_errors():
            if self._load(image_id).protected:
                raise exception.Forbidden(
                    f'Image {image_id} is protected and cannot be deleted.'
                )
            # The document first: ``recover`` removes data without a document.
            atomic_files.remove(self._path(image_id, '.json'))
            atomic_files.remove(self._path(image_id, '.data'))

    def upload(
        self,
        image_id: str,
        source: streams.Readable,
        length: int | None = None,
    ) -> images.Image:
        """Store the data of a queued image, which becomes active.

        ``length`` is the announced number of bytes, if any. Conflict if the
        image is not queued; TooLarge above ``[image] max_upload_bytes``;
        ImageStorageFull if the disk has no space left; InvalidInput if the
        data does not match its announcement. After a failure the image is
        queued as before.
        """
        with self._claim_upload(image_id) as image, _store_errors():
            data = self._path(image_id, '.data')
            with atomic_files.atomic_write(data) as target:
                received = streams.receive(
                    source,
                    target,
                    image.disk_format or '',
                    conf.CONF.image.max_upload_bytes,
                    length,
                )
            with self._lock:
                return self._activate(image_id, received)

    def open_data(self, image: images.Image) -> BinaryIO:
        """Return the data of an active image, open for reading.

        The data stays readable even if the image is deleted meanwhile.
        """
        try:
            return open(self._path(image.id, '.data'), 'rb')
        except FileNotFoundError as error:
            self._load(image.id)
            raise exception.OperationFailed(
                cause=f'Image {image.id}', reason='its data is missing.'
            ) from error

    def download(
        self, context: images.CallerContext, image_id: str, path: str
    ) -> None:
        """Write image data to ``path``: see ``images.ImageService``."""
        image = self.show(context, image_id)
        if image.status != 'active':
            raise exception.ImageNotActive(image_id=image_id)
        with self.open_data(image) as file:
            chunks = iter(lambda: file.read(streams.CHUNK_BYTES), b'')
            try:
                streams.write_verified(image, chunks, path)
            except OSError as error:
                raise exception.OperationFailed(
                    cause=f'Download of image {image_id}', reason=str(error)
                ) from error

    @contextlib.contextmanager
    def _claim_upload(self, image_id: str) -> Iterator[images.Image]:
        """Allow one upload of an image at a time."""
        with self._lock:
            image = self._with_upload_status(self._load(image_id))
            if image.status != 'queued':
                raise exception.Conflict(
                    reason=(
                        f'image {image_id} is {image.status}; only a queued '
                        'image accepts data.'
                    )
                )
            if image.disk_format is None or image.container_format is None:
                raise exception.InvalidInput(
                    reason=(
                        'set disk_format and container_format before you '
                        'upload data.'
                    )
                )
            self._uploading.add(image_id)
        try:
            yield image
        finally:
            with self._lock:
                self._uploading.discard(image_id)

    def _activate(
        self, image_id: str, received: streams.ReceivedData
    ) -> images.Image:
        """Mark an image as active; its data is on disk."""
        try:
            before = self._load(image_id)
        except exception.ImageNotFound:
            atomic_files.remove(self._path(image_id, '.data'))
            raise
        after = dataclasses.replace(
            before,
            status='active',
            updated_at=clock.now(),
            **dataclasses.asdict(received),
        )
        self._store(after)
        return after

    def _with_upload_status(self, image: images.Image) -> images.Image:
        """Return an image as others see it during an upload."""
        if image.status == 'queued' and image.id in self._uploading:
            return dataclasses.replace(image, status='saving')
        return image

    def _has_data(self, image_id: str) -> bool:
        try:
            return self._load(image_id).status == 'active'
        except exception.ImageNotFound:
            return False
        except exception.Failed:
            return True  # only the data of a damaged image is readable

    def _load(self, image_id: str) -> images.Image:
        """Return an image; ImageNotFound, OperationFailed if damaged."""
        if not ID_PATTERN.fullmatch(image_id):
            raise exception.ImageNotFound(image_id=image_id[:64])
        path = self._path(image_id, '.json')
        try:
            return documents.from_document(atomic_files.read_json(path))
        except FileNotFoundError as error:
            raise exception.ImageNotFound(image_id=image_id) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise exception.OperationFailed(
                cause=f'{path} is damaged', reason=repr(error)
            ) from error

    def _store(self, image: images.Image) -> None:
        atomic_files.write_json(
            self._path(image.id, '.json'), documents.to_document(image)
        )

    def _path(self, image_id: str, suffix: str) -> str:
        return os.path.join(self._directory, image_id + suffix)


def open_images() -> EmbeddedImages:
    """Return the images in ``[image] directory``."""
    return EmbeddedImages(conf.CONF.image.directory)


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """Raise ImageStorageFull for a full disk, Unavailable for a bad one."""
    with atomic_files.store_errors('The image store'):
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise exception.ImageStorageFull(reason=error.strerror) from error
