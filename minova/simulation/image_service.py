# SPDX-License-Identifier: Apache-2.0
"""The image service of a simulation: a Glance, which may be late or fail.

An upload takes some seconds, in which the image is ``saving``. The data of a
client that dies meanwhile is dropped. The id of a deleted image cannot be used
again.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
from typing import Any
from typing import Final
from typing import TypeVar

from minova import clock
from minova import exception
from minova import images
from minova.simulation.clock import EPOCH
from minova.simulation.faults import Points
from minova.simulation.scheduler import Scheduler

T = TypeVar('T')

#: The image of all servers, and that of a rebuild.
IMAGE: Final = '155d900f-4e14-4e4c-a73d-069cbf4541e6'
OTHER_IMAGE: Final = '70a599e0-31e7-49b7-b260-868f441e862b'
_PUBLIC: Final = frozenset((IMAGE, OTHER_IMAGE))
#: The longest duration of a request, and of an upload, in seconds.
_MAX_REQUEST_SECONDS: Final = 0.2
_MAX_UPLOAD_SECONDS: Final = 4.0
#: Seconds by which a late request arrives late.
_DELAY: Final = 25.0
#: Seconds after which the data of a client that died is dropped.
_DROP_AFTER: Final = 10.0


class SimulatedImages:
    """The images, by id."""

    def __init__(self, scheduler: Scheduler, points: Points) -> None:
        self._scheduler = scheduler
        self._points = points
        self.records: dict[str, images.Image] = {
            image_id: _public_image(image_id) for image_id in _PUBLIC
        }
        self._deleted: set[str] = set()
        #: The images that their users have deleted.
        self.deleted_by_users: set[str] = set()
        self._uploads: dict[str, object] = {}

    # -- requests ------------------------------------------------------------

    def _request(self, what: str, handle: Callable[[], T]) -> T:
        """Handle a request; Unavailable when a fault spoils it."""
        fault = self._points.reach('image', what)
        if fault == 'image_late':
            self._scheduler.call_later(_DELAY, lambda: _try(handle))
        if fault is not None:
            raise _unavailable(what)
        self._scheduler.wait(
            _MAX_REQUEST_SECONDS * self._scheduler.random.random()
        )
        reply = handle()
        if self._points.reach('imaged', what) is not None:
            raise _unavailable(what)
        return reply

    def _get(self, image_id: str) -> images.Image:
        if image_id not in self.records:
            raise exception.ImageNotFound(image_id=image_id)
        return self.records[image_id]

    # -- the interface -------------------------------------------------------

    def show(
        self, context: images.CallerContext, image_id: str
    ) -> images.Image:
        """Return an image."""
        if image_id in _PUBLIC:
            return self.records[image_id]
        return self._request('show', lambda: self._get(image_id))

    def download(
        self, context: images.CallerContext, image_id: str, path: str
    ) -> None:
        """Refuse: the fake hypervisor uses no images."""
        raise exception.ImageNotFound(image_id=image_id)

    def reserve(self, image: images.NewImage) -> None:
        """Create an image without data."""

        def create() -> None:
            if image.id in self._deleted:
                raise exception.ImageNotFound(image_id=image.id)
            values = {
                name: getattr(image, name)
                for name in images.NewImage.__dataclass_fields__
            }
            self.records.setdefault(
                image.id, _image(clock.now(), status='queued', **values)
            )

        self._request('create', create)

    def upload_snapshot(
        self,
        image_id: str,
        data: images.ImageData,
        report: images.ReportProgress,
    ) -> None:
        """Store the data of a queued image within some seconds."""
        image = self._request('show', lambda: self._get(image_id))
        if image.status == 'active':
            if image.size != data.size:
                raise exception.OperationFailed(
                    cause=image_id, reason='it has other data'
                )
            return
        upload = object()
        self._request('upload', lambda: self._begin_upload(image_id, upload))
        report(data.size // 2)
        self._scheduler.wait(
            _MAX_UPLOAD_SECONDS * self._scheduler.random.random()
        )
        self._request(
            'uploaded', lambda: self._end_upload(image_id, upload, data.size)
        )

    def _begin_upload(self, image_id: str, upload: object) -> None:
        image = self._get(image_id)
        if image.status != 'queued':
            raise _unavailable(
                f'the upload of an image that is {image.status}'
            )
        self._uploads[image_id] = upload
        self._change(image_id, status='saving')
        self._scheduler.call_later(
            _DROP_AFTER, lambda: self._drop_upload(image_id, upload)
        )

    def _drop_upload(self, image_id: str, upload: object) -> None:
        if self._uploads.get(image_id) is upload:
            del self._uploads[image_id]
            self._change(image_id, status='queued')

    def _end_upload(self, image_id: str, upload: object, size: int) -> None:
        self._get(image_id)
        if self._uploads.pop(image_id, None) is not upload:
            raise _unavailable('the upload of data that was dropped')
        self._change(image_id, status='active', size=size)

    def _change(self, image_id: str, **values: Any) -> None:
        found = self.records.get(image_id)
        if found is not None:
            self.records[image_id] = dataclasses.replace(found, **values)

    def discard(self, image_id: str) -> None:
        """Delete an image, or its id."""

        def discard() -> None:
            self._deleted.add(image_id)
            self.records.pop(image_id, None)
            self._uploads.pop(image_id, None)

        self._request('discard', discard)

    def list_owned(
        self, project_id: str, properties: Mapping[str, str]
    ) -> list[images.Image]:
        """Return a project's own images."""
        return self._request(
            'list',
            lambda: images.select_owned(
                self.records.values(), project_id, properties
            ),
        )

    def list_visible(
        self, context: images.CallerContext
    ) -> list[images.Image]:
        """Return the images that are visible to the caller."""
        return self._request(
            'list',
            lambda: [
                image
                for image in self.records.values()
                if images.is_visible(image, context)
            ],
        )

    def change_properties(
        self, image_id: str, values: Mapping[str, str], gone: Collection[str]
    ) -> images.Image:
        """Set and remove properties of an image."""

        def change() -> images.Image:
            known = {**self._get(image_id).properties, **values}
            kept = {name: known[name] for name in known if name not in gone}
            self._change(image_id, properties=kept)
            return self._get(image_id)

        return self._request('change', change)

    def list_unfinished(self) -> list[images.Image]:
        """Return the images of servers that have no data."""
        return self._request(
            'list', lambda: images.select_unfinished(self.records.values())
        )

    def list_snapshots(self) -> list[str]:
        """Return the images that the cloud has created."""
        return sorted(self.records.keys() - _PUBLIC)

    def delete(self, image_id: str) -> None:
        """Delete an image."""

        def delete() -> None:
            self._get(image_id)
            self._deleted.add(image_id)
            del self.records[image_id]

        self._request('delete', delete)


def _image(now: datetime.datetime, **values: Any) -> images.Image:
    empty: dict[str, Any] = dict.fromkeys(images.Image.__dataclass_fields__)
    given: dict[str, Any] = {
        'min_disk': 0,
        'min_ram': 0,
        'visibility': 'private',
        'tags': (),
        'properties': {},
        'protected': False,
        'hidden': False,
        'created_at': now,
        'updated_at': now,
    }
    return images.Image(**(empty | given | values))


def _public_image(image_id: str) -> images.Image:
    return _image(
        EPOCH,
        id=image_id,
        name='image',
        status='active',
        size=0,
        visibility='public',
    )


def _unavailable(what: str) -> exception.Unavailable:
    return exception.Unavailable(
        what='The image service', reason=f'{what}: injected'
    )


def _try(handle: Callable[[], object]) -> None:
    """Handle a request whose client does not wait for the reply."""
    with contextlib.suppress(exception.MinovaException):
        handle()
