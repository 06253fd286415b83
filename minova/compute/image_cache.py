# SPDX-License-Identifier: Apache-2.0
"""The images that this host has fetched, one file each, and for how long.

A file is used while a step is at work with it, and as long as a disk is made
on it. It is looked at, every byte, when a process uses it for the first time;
one that is not what was fetched is fetched anew. One that nobody has used for
``[compute] image_cache_max_age`` seconds is removed.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import shutil

from oslo_log import log as logging

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
    """Fetches an image once, however many ask for it at the same time."""

    def __init__(
        self, images: ImageService, directory: str, host: str
    ) -> None:
        self._images = images
        self._store = ImageStore(directory, host)
        self._guard = clock.lock()
        self._locks: dict[str, clock.Lock] = {}
        self._lock_users: collections.Counter[str] = collections.Counter()
        #: What this process has looked at, byte by byte.
        self._verified: dict[str, Checksum] = {}

    # -- using ---------------------------------------------------------------

    @contextlib.contextmanager
    def use(self, context: CallerContext, image_id: str) -> Iterator[str]:
        """Give the path of the image's data, which stays while it is used.

        A disk that is made on it meanwhile keeps it from then on. Raises
        ImageNotFound, Unavailable or OperationFailed as ``Images`` does;
        OperationFailed also for an image that must not be used as a disk.
        """
        with contextlib.ExitStack() as held:
            try:
                path = self._store.path(image_id)
                self._store.prepare()
                held.enter_context(
                    self._store.locked(image_id, 'use', shared=True)
                )
                # Before anything is made of it: should this process end, the
                # host is still known to use it.
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
            # It was marked when it began; it only looks less used.
            LOG.warning(
                'The use of image %s is not noted: %s', image_id, error
            )

    def _ensure_fetched(self, context: CallerContext, image_id: str) -> None:
        """Have the data in its place, as it was fetched."""
        with self._lock_image(image_id):
            if self._is_verified(image_id):
                return
            with self._store.locked(image_id, 'fetch'):
                if not self._verify(image_id):
                    self._verified[image_id] = self._fetch(context, image_id)

    def _is_verified(self, image_id: str) -> bool:
        """Tell whether the file is still the one that was looked at."""
        verified = self._verified.get(image_id)
        if verified is None:
            return False
        try:
            state = os.stat(self._store.path(image_id))
        except FileNotFoundError:
            return False
        return (state.st_size, state.st_mtime_ns) == verified[:2]

    def _verify(self, image_id: str) -> bool:
        """Look at the file, byte by byte."""
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
            'Image %s in %s is not what was fetched; it is fetched anew.',
            image_id,
            self._store.directory,
        )
        return False

    def _fetch(self, context: CallerContext, image_id: str) -> Checksum:
        self._store.remove_parts(image_id)
        image = self._images.show(context, image_id)
        self._require_room(image_id, image.size or 0)
        part = self._store.new_part_path(image_id)
        try:
            self._images.download(context, image_id, part)
            _inspect(part, image_id, image.disk_format)
            return self._store.publish(image_id, part)
        except BaseException:
            self._store.remove_parts(image_id)
            raise

    def _require_room(self, image_id: str, size: int) -> None:
        free = shutil.disk_usage(self._store.directory).free
        if size > free:
            raise exception.OperationFailed(
                cause=f'Download of image {image_id}',
                reason=f'it has {size} bytes, and {free} are free in '
                f'{self._store.directory}.',
            )

    @contextlib.contextmanager
    def _lock_image(self, image_id: str) -> Iterator[None]:
        """Let one thread of this process look for the image at a time."""
        with self._guard:
            lock = self._locks.setdefault(image_id, clock.lock())
            self._lock_users[image_id] += 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                self._lock_users[image_id] -= 1
                if not self._lock_users[image_id]:
                    del self._lock_users[image_id], self._locks[image_id]

    # -- ageing --------------------------------------------------------------

    def remove_expired(self, in_use: Callable[[], set[str]]) -> list[str]:
        """Remove what nobody uses, and what crashes have left; return it.

        ``in_use`` returns the paths of the files on which disks of this host
        are made; it is asked again before anything is removed.
        """
        try:
            removed = self._remove_unused(in_use)
        except OSError as error:
            raise exception.OperationFailed(
                cause=f'A look at {self._store.directory}', reason=str(error)
            ) from error
        if removed:
            LOG.info(
                'Images that nobody uses were removed: %s', ', '.join(removed)
            )
        return removed

    def _remove_unused(self, in_use: Callable[[], set[str]]) -> list[str]:
        images = self._store.images()
        if not images:
            return []
        self._store.prepare()
        used = self._images_in_use(in_use)
        removed = []
        for image_id in images:
            with self._try_lock_all(image_id) as mine:
                if not mine:
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
        """Have both locks of an image alone, if nobody has one."""
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
        """Tell whether neither this host nor another one uses an image."""
        longest = CONF.compute.image_cache_max_age
        if not longest:
            return False
        last = self._store.last_used(image_id)
        now = clock.now().timestamp()
        if last is not None:
            # It may have been used since it was asked, not since it is ours.
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
            # Data of which nobody knows who used it, or when: from now on.
            self._store.mark_used(image_id)
            return False
        # Disks may have gone to another host that has not looked since.
        pause = 2 * float(CONF.compute.image_cache_manager_interval)
        return now - idle >= pause

    def _mark_in_use(self, image_id: str) -> None:
        """Let other hosts know that there are disks on it here."""
        if self._store.last_used(image_id) is None:
            self._store.mark_used(image_id)

    def _images_in_use(self, in_use: Callable[[], set[str]]) -> set[str]:
        """Return the images on which disks are made."""
        found = set()
        for path in in_use():
            folder, name = os.path.split(os.path.realpath(path))
            if folder == os.path.realpath(self._store.directory):
                found.add(name)
        return found


def _inspect(path: str, image_id: str, disk_format: str | None) -> None:
    """Raise OperationFailed for data that is dangerous as a disk."""
    with open(path, 'rb') as file:
        head = file.read(qcow2.HEADER_BYTES)
    try:
        streams.inspect_header(head, disk_format or 'raw')
    except exception.InvalidInput as error:
        raise exception.OperationFailed(
            cause=f'Use of image {image_id}', reason=str(error)
        ) from error
