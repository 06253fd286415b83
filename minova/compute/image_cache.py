# SPDX-License-Identifier: Apache-2.0
"""The images that this host has fetched, one file each."""

import collections
from collections.abc import Iterator
import contextlib
import os

from minova import clock
from minova.images import Asker
from minova.images import Images


class ImageCache:
    """Fetches an image once, however many ask for it at the same time."""

    def __init__(self, images: Images, directory: str) -> None:
        self._images = images
        self._directory = directory
        self._guard = clock.lock()
        self._locks: dict[str, clock.Lock] = {}
        self._waiting: collections.Counter[str] = collections.Counter()

    def local(self, context: Asker, image_id: str) -> str:
        """Return the path of the image's data on this host.

        Raises ImageNotFound, Unavailable or OperationFailed as ``Images``
        does.
        """
        path = os.path.join(self._directory, image_id)
        with self._alone(image_id):
            if not os.path.exists(path):
                os.makedirs(self._directory, exist_ok=True)
                self._images.download(context, image_id, path)
        return path

    @contextlib.contextmanager
    def _alone(self, image_id: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(image_id, clock.lock())
            self._waiting[image_id] += 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                self._waiting[image_id] -= 1
                if not self._waiting[image_id]:
                    del self._waiting[image_id], self._locks[image_id]
