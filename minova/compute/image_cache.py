# SPDX-License-Identifier: Apache-2.0
"""The image cache of a host: one file for each downloaded image.

A file is in use while a step uses it, and as long as a disk has it as its
backing file. The first use in a process verifies the checksum of the file; a
damaged file is downloaded again. A file without use for ``[compute]
image_cache_max_age`` seconds is removed.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import shutil

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova.compute.image_store import Checksum
from minova.compute.image_store import checksum_file
from minova.compute.image_store import ImageStore
from minova.conf import CONF
from minova.images import CallerContext
from minova.images import ImageService
from minova.images import qcow2
from minova.images import streams

LOG = logging.getLogger(__name__)


class ImageCache:
    """Downloads each image once, also for concurrent users."""

    def __init__(
        self, images: ImageService, directory: str, host: str
    ) -> None:
        self.service = images
        self._store = ImageStore(directory, host)
        self._guard = clock.lock()
        self._locks: dict[str, clock.Lock] = {}
        self._lock_users: collections.Counter[str] = collections.Counter()
        #: The checksums that this process has verified.
        self._verified: dict[str, Checksum] = {}

    # -- using ---------------------------------------------------------------

    @contextlib.contextmanager
    def use(self, context: CallerContext, image_id: str) -> Iterator[str]:
        """Yield the path of an image, which stays during the context.

        A disk that is created on the image in the context keeps it longer.
        Raises ImageNotFound, Unavailable or OperationFailed as the image
        service does; OperationFailed also for an image that is unsafe as a
        disk.
        """
        with contextlib.ExitStack() as held:
            try:
                path = self._store.path(image_id)
                self._store.prepare()
                held.enter_context(
                    self._store.locked(image_id, 'use', shared=True)
                )
                # Marked before a disk is created: after a crash the host is
                # still known to use the image.
                self._store.mark_used(image_id)
                held.callback(self._mark_used, image_id)
                self._ensure_fetched(context, image_id)
            except OSError as error:
                raise exception.OperationFailed(
                    cause=f'Image {image_id} in {self._store.directory}',
                    reason=str(error),
                ) from error
            yield path

    def _mark_used(self, image_id: str) -> None:
        try:
            self._store.mark_used(image_id)
        except OSError as error:
            # The mark of the start of the use remains.
            LOG.warning('Image %s: use not recorded: %s', image_id, error)

    def _ensure_fetched(self, context: CallerContext, image_id: str) -> None:
        """Download the image unless a verified file exists."""
        with self._lock_image(image_id):
            if self._is_verified(image_id):
                return
            with self._store.locked(image_id, 'fetch'):
                if not self._verify(image_id):
                    self._verified[image_id] = self._fetch(context, image_id)

    def _is_verified(self, image_id: str) -> bool:
        """Tell whether the file is unchanged since its verification."""
        verified = self._verified.get(image_id)
        if verified is None:
            return False
        try:
            state = os.stat(self._store.path(image_id))
        except FileNotFoundError:
            return False
        return (state.st_size, state.st_mtime_ns) == verified[:2]

    def _verify(self, image_id: str) -> bool:
        """Compare the checksum of the file with the recorded one."""
        path = self._store.path(image_id)
        known = self._store.read_checksum(image_id)
        if not os.path.exists(path):
            return False
        if known is not None:
            found = checksum_file(path)
            if (found.size, found.sha256) == (known.size, known.sha256):
                self._verified[image_id] = found
                return True
        LOG.warning(
            'Image %s in %s: checksum mismatch; downloading it again',
            image_id,
            self._store.directory,
        )
        return False

    def _fetch(self, context: CallerContext, image_id: str) -> Checksum:
        self._store.remove_parts(image_id)
        image = self.service.show(context, image_id)
        self._require_free_space(image_id, image.size or 0)
        part = self._store.new_part_path(image_id)
        try:
            self.service.download(context, image_id, part)
            _inspect(part, image_id, image.disk_format)
            return self._store.publish(image_id, part)
        except BaseException:
            self._store.remove_parts(image_id)
            raise

    def _require_free_space(self, image_id: str, size: int) -> None:
        free = shutil.disk_usage(self._store.directory).free
        if size > free:
            raise exception.OperationFailed(
                cause=f'Download of image {image_id}',
                reason=f'it has {size} bytes, and {free} are free in '
                f'{self._store.directory}.',
            )

    @contextlib.contextmanager
    def _lock_image(self, image_id: str) -> Iterator[None]:
        """Let one thread of this process download or verify an image."""
        with self._guard:
            lock = self._locks.setdefault(image_id, clock.lock())
            self._lock_users[image_id] += 1
        try:
            with cancellation.acquire(lock):
                yield
        finally:
            with self._guard:
                self._lock_users[image_id] -= 1
                if not self._lock_users[image_id]:
                    del self._lock_users[image_id], self._locks[image_id]

    # -- expiry --------------------------------------------------------------

    def remove_expired(self, in_use: Callable[[], set[str]]) -> list[str]:
        """Remove unused images and partial downloads; return the images.

        ``in_use`` returns the backing files of the host's disks; it is called
        again before each removal.
        """
        try:
            removed = self._remove_unused(in_use)
        except OSError as error:
            raise exception.OperationFailed(
                cause=f'Expiry of images in {self._store.directory}',
                reason=str(error),
            ) from error
        if removed:
            LOG.debug('Images removed after expiry: %s', ', '.join(removed))
        return removed

    def _remove_unused(self, in_use: Callable[[], set[str]]) -> list[str]:
        images = self._store.images()
        if not images:
            return []
        self._store.prepare()
        used = self._images_in_use(in_use)
        removed = []
        for image_id in images:
            with self._try_lock_all(image_id) as is_locked:
                if not is_locked:
                    continue
                self._store.remove_parts(image_id)
                if image_id in used:
                    self._mark_in_use(image_id)
                elif self._is_expired(image_id, in_use):
                    self._store.remove(image_id)
                    self._store.forget_locks(image_id)
                    self._verified.pop(image_id, None)
                    removed.append(image_id)
        return removed

    @contextlib.contextmanager
    def _try_lock_all(self, image_id: str) -> Iterator[bool]:
        """Take both locks of an image; yield False if one is taken."""
        with contextlib.ExitStack() as held:
            for what in ('use', 'fetch'):
                file = self._store.try_lock(image_id, what)
                if file is None:
                    yield False
                    return
                held.enter_context(file)
            yield True

    def _is_expired(
        self, image_id: str, in_use: Callable[[], set[str]]
    ) -> bool:
        """Tell whether no host uses an image any more."""
        longest = CONF.compute.image_cache_max_age
        if not longest:
            return False
        last = self._store.last_used(image_id)
        now = clock.now().timestamp()
        if last is not None:
            # Disks may have been created since the first list, but not since
            # the locks were taken.
            if now - last >= longest and image_id not in self._images_in_use(
                in_use
            ):
                self._store.remove_mark(image_id)
                self._store.mark_idle(image_id)
            return False
        if self._store.hosts_using(image_id):
            return False
        idle = self._store.idle_since(image_id)
        if idle is None:
            # Without a record of its use the image counts as used now.
            self._store.mark_used(image_id)
            return False
        # Another host may have received disks since its last expiry run.
        pause = 2 * float(CONF.compute.image_cache_manager_interval)
        return now - idle >= pause

    def _mark_in_use(self, image_id: str) -> None:
        """Record for other hosts that disks of this host use the image."""
        if self._store.last_used(image_id) is None:
            self._store.mark_used(image_id)

    def _images_in_use(self, in_use: Callable[[], set[str]]) -> set[str]:
        """Return the images that are backing files of disks."""
        found = set()
        for path in in_use():
            folder, name = os.path.split(os.path.realpath(path))
            if folder == os.path.realpath(self._store.directory):
                found.add(name)
        return found


def _inspect(path: str, image_id: str, disk_format: str | None) -> None:
    """Raise OperationFailed for data that is unsafe as a disk."""
    try:
        with open(path, 'rb') as file:
            head = file.read(qcow2.HEADER_BYTES)
            streams.inspect_header(head, disk_format or 'raw')
            if disk_format == 'qcow2':
                file.seek(0)
                qcow2.check_file(file, may_have_backing_file=False)
    except exception.InvalidInput as error:
        raise exception.OperationFailed(
            cause=f'Use of image {image_id}', reason=str(error)
        ) from error
