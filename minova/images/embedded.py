# SPDX-License-Identifier: Apache-2.0
"""The embedded image service, without HTTP: a directory of images.

An image is ``ID.json`` (its document) and, once it is active, ``ID.data``.
Both appear atomically, and the document becomes ``active`` after the data is
on disk: an active image has its data after any crash. Several processes may
write, such as the api and the computes that store snapshots::

    .locks/documents     held while a document is read and replaced
    .locks/ID.upload     held while a process stores the data of the image
    .locks/ID.discarded  the id of a failed snapshot, which must not return

The kernel releases the locks of a process when it exits for any reason.

This module decides which images a caller sees; ``routes`` decides who may
write.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import errno
import os
import re
from typing import BinaryIO
from typing import Final
from typing import IO

from oslo_log import log

from minova import atomic_files
from minova import cancellation
from minova import clock
from minova import conf
from minova import exception
from minova import images
from minova import lockfile
from minova.images import documents
from minova.images import sources
from minova.images import streams

LOG = log.getLogger(__name__)

#: Ids become file names, so other strings are never used as ids.
ID_PATTERN = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: The errors of a disk, or of a quota of one, without free space.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: The directory of the locks.
_LOCKS: Final = '.locks'
#: Seconds between two attempts to take the lock of the directory.
_POLL_INTERVAL: Final = 0.02
#: Seconds for which a discarded id stays unusable: longer than any operation.
_DISCARDED_SECONDS: Final = 7 * 86400.0
_PARTIAL = re.compile(rf'\.(?P<id>{ID_PATTERN.pattern})\..+\.part')


class EmbeddedImages:
    """The images in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        atomic_files.make_directory(directory)
        atomic_files.make_directory(self._inside(_LOCKS))
        self._lock = clock.lock()
        self._uploading: set[str] = set()

    def recover(self) -> None:
        """Remove the incomplete files of a process that crashed.

        The files of other processes that run stay.
        """
        with self._locked(), _store_errors():
            for name in os.listdir(self._directory):
                image_id, suffix = os.path.splitext(name)
                partial = _PARTIAL.fullmatch(name)
                if partial is not None:
                    image_id = partial['id']
                elif (
                    suffix != '.data'
                    or not ID_PATTERN.fullmatch(image_id)
                    or self._has_data(image_id)
                ):
                    continue
                upload = self._try_lock_upload(image_id)
                if upload is not None:
                    with upload:
                        atomic_files.remove(self._inside(name))
                        self._remove_upload_lock(image_id)
            for name in os.listdir(self._inside(_LOCKS)):
                self._expire_lock_file(name)

    def _expire_lock_file(self, name: str) -> None:
        """Remove the lock of an upload that has ended, or an old id."""
        image_id, suffix = os.path.splitext(name)
        if suffix == '.upload':
            upload = self._try_lock_upload(image_id)
            if upload is not None:
                with upload:
                    self._remove_upload_lock(image_id)
        elif suffix == '.discarded':
            path = self._lock_path(name)
            age = clock.now().timestamp() - os.stat(path).st_mtime
            if age > _DISCARDED_SECONDS:
                atomic_files.remove(path)

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
        with self._locked(), _store_errors():
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
        with self._locked(), _store_errors():
            before = self._load(image_id)
            after = dataclasses.replace(
                change(self._with_upload_status(before)),
                status=before.status,
                updated_at=clock.now(),
            )
            self._store(after)
            return self._with_upload_status(after)

    def delete(self, image_id: str) -> None:
        """Remove an image; ImageNotFound, Forbidden if it is protected."""
        with self._locked(), _store_errors():
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
            with self._locked():
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

    # -- snapshots -----------------------------------------------------------

    def reserve(self, image: images.NewImage) -> None:
        """Create an image without data: see ``images.ImageService``."""
        now = clock.now()
        with self._locked(), _store_errors():
            if os.path.exists(self._lock_path(f'{image.id}.discarded')):
                raise exception.ImageNotFound(image_id=image.id)
            if not os.path.exists(self._path(image.id, '.json')):
                self._store(_queued(image, now))

    def upload_snapshot(
        self,
        image_id: str,
        data: images.ImageData,
        report: images.ReportProgress,
    ) -> None:
        """Store the data of a snapshot: see ``images.ImageService``."""
        image = self._load(image_id)
        if image.status == 'active':
            sources.require_stored(image, data.size)
            return
        self.update(
            image_id,
            lambda old: dataclasses.replace(old, disk_format=data.disk_format),
        )
        try:
            with sources.open_source(image_id, data, report) as source:
                self.upload(image_id, source, data.size)
        except exception.Conflict as error:
            raise exception.Unavailable(
                what=f'Image {image_id}', reason=str(error)
            ) from error

    def discard(self, image_id: str) -> None:
        """Delete an image for good: see ``images.ImageService``."""
        with self._locked(), _store_errors():
            discarded = self._lock_path(f'{image_id}.discarded')
            atomic_files.write_bytes(discarded, b'')
            atomic_files.remove(self._path(image_id, '.json'))
            atomic_files.remove(self._path(image_id, '.data'))

    def list_owned(
        self, project_id: str, properties: Mapping[str, str]
    ) -> list[images.Image]:
        """Return a project's own images: see ``images.ImageService``."""
        found = self.list_visible(_Project(project_id))
        return images.select_owned(found, project_id, properties)

    def change_properties(
        self, image_id: str, values: Mapping[str, str], gone: Collection[str]
    ) -> images.Image:
        """Set and remove properties: see ``images.ImageService``."""

        def change(image: images.Image) -> images.Image:
            return dataclasses.replace(
                image,
                properties={
                    name: value
                    for name, value in {**image.properties, **values}.items()
                    if name not in gone
                },
            )

        return self.update(image_id, change)

    def list_unfinished(self) -> list[images.Image]:
        """Return snapshots without data: see ``images.ImageService``."""
        return images.select_unfinished(
            self.list_visible(_Project(None, is_admin=True))
        )

    # -- uploads -------------------------------------------------------------

    @contextlib.contextmanager
    def _claim_upload(self, image_id: str) -> Iterator[images.Image]:
        """Allow one upload of an image at a time."""
        with self._locked():
            image = self._with_upload_status(self._load(image_id))
            upload = self._try_lock_upload(image_id)
            if image.status != 'queued' or upload is None:
                status = image.status if image.status != 'queued' else 'saving'
                if upload is not None:
                    upload.close()
                raise exception.Conflict(
                    reason=(
                        f'image {image_id} is {status}; only a queued image '
                        'accepts data.'
                    )
                )
            if image.disk_format is None or image.container_format is None:
                upload.close()
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
            self._uploading.discard(image_id)
            with upload, self._locked():
                self._remove_upload_lock(image_id)

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
        return self._inside(image_id + suffix)

    def _inside(self, name: str) -> str:
        return os.path.join(self._directory, name)

    # -- locks ---------------------------------------------------------------

    def _lock_path(self, name: str) -> str:
        return os.path.join(self._directory, _LOCKS, name)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one thread of one process change documents."""
        path = self._lock_path('documents')
        with self._lock:
            with _store_errors():
                while (file := lockfile.acquire(path)) is None:
                    cancellation.wait(_POLL_INTERVAL)
            with file:
                yield

    def _try_lock_upload(self, image_id: str) -> IO[str] | None:
        """Lock the data of an image; None while a process stores it."""
        return lockfile.acquire(self._lock_path(f'{image_id}.upload'))

    def _remove_upload_lock(self, image_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._lock_path(f'{image_id}.upload'))


@dataclasses.dataclass(frozen=True)
class _Project:
    """A caller that is a project; an administrator of none."""

    project_id: str | None
    is_admin: bool = False


def _queued(image: images.NewImage, now: datetime.datetime) -> images.Image:
    """Return the record of a new image."""
    return images.Image(
        **{
            name: getattr(image, name)
            for name in images.NewImage.__dataclass_fields__
        },
        status='queued',
        disk_format=None,
        size=None,
        virtual_size=None,
        checksum=None,
        hash_algo=None,
        hash_value=None,
        visibility='private',
        protected=False,
        hidden=False,
        tags=(),
        created_at=now,
        updated_at=now,
    )


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
