# SPDX-License-Identifier: Apache-2.0
"""Images: the interface of the image service, and its implementations.

================ ===========================================================
glance           the client of Glance
glance_requests  login, time limits and attempts of the requests to Glance
glance_replies   the errors that the replies of Glance become
embedded         the embedded image service: a directory, without HTTP
routes           HTTP of the embedded image service
attributes       create and patch of an image, and the published schema
documents        an image as an Image v2 document, and back
listing          filters, order and pages of an image list
streams          image data, written with checksums and verified
sources          image data that is read for an upload
qcow2            validation of the header of an uploaded qcow2 image
================ ===========================================================

Two classes implement ``ImageService``; ``load`` returns the configured one.
The interface creates only images of servers, for the project of the server
and with the rights of the service: the token of the user who asked for one may
have expired when its data is complete.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import importlib
from typing import BinaryIO
from typing import cast
from typing import Final
from typing import Protocol

from minova import conf

#: The properties of each image that the API creates for a server.
SNAPSHOT_PROPERTIES: Final[Mapping[str, str]] = {'image_location': 'snapshot'}
#: The statuses of an image that has no data, or not all of it.
UNFINISHED: Final = frozenset(
    {'queued', 'saving', 'uploading', 'importing', 'killed'}
)

#: Receives the bytes of an image that were sent.
ReportProgress = Callable[[int], None]


class CallerContext(Protocol):
    """The caller: a request context, or a caller of the API."""

    @property
    def project_id(self) -> str | None:
        """The project; None has no images."""

    @property
    def is_admin(self) -> bool | None:
        """Whether all images are visible."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image, as the image service returned it."""

    id: str
    name: str | None
    status: str
    """``active`` if it can be booted; ``queued`` before the upload."""

    disk_format: str | None
    container_format: str | None
    size: int | None
    """Bytes of the data; None before the upload."""

    virtual_size: int | None
    """Bytes of the disk in the image; None if unknown."""

    min_disk: int
    """GiB."""

    min_ram: int
    """MiB."""

    checksum: str | None
    """MD5 of the data, in hex."""

    hash_algo: str | None
    hash_value: str | None
    owner: str | None
    visibility: str
    protected: bool
    hidden: bool
    tags: tuple[str, ...]
    properties: Mapping[str, str]
    """All other properties: ``kernel_id``, ``ramdisk_id``, ``hw_*``, ``os_*``.
    """

    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class NewImage:
    """A private image without data, which a snapshot of a server fills."""

    id: str
    name: str
    owner: str
    container_format: str
    min_disk: int
    min_ram: int
    properties: Mapping[str, str]


class ImageData(Protocol):
    """The data of an image on this host."""

    @property
    def disk_format(self) -> str:
        """The image service's name of the format."""

    @property
    def size(self) -> int:
        """Bytes."""

    def open(self) -> BinaryIO:
        """Open the data at its beginning; OSError."""


class ImageService(Protocol):
    """The interface of an image service."""

    def show(self, context: CallerContext, image_id: str) -> Image:
        """Return an image; ImageNotFound also if the caller cannot see it."""

    def download(
        self, context: CallerContext, image_id: str, path: str
    ) -> None:
        """Write the data of an image to ``path``, complete and verified.

        The image must be visible to the caller, because an image can name any
        other, for example as its kernel. ``path`` is unchanged until the data
        is complete. ImageNotFound, ImageNotActive; Unavailable if the service
        does not reply; OperationFailed if the data does not match the image's
        checksum or cannot be written.
        """

    def reserve(self, image: NewImage) -> None:
        """Create an image without data; nothing if its id exists.

        ImageNotFound for an id that was discarded. Unavailable if the service
        does not reply, another error if it refuses the image.
        """

    def upload_snapshot(
        self, image_id: str, data: ImageData, report: ReportProgress
    ) -> None:
        """Store the data of a reserved image, which becomes active.

        Nothing if the image is active with this size, so that the call can be
        repeated. ``report`` gets the bytes that were sent. ImageNotFound if
        the image was deleted; Unavailable if another upload of the image runs
        or the service does not reply; ImageStorageFull, TooLarge or
        OperationFailed if the service does not take the data, or has stored
        other data.
        """

    def discard(self, image_id: str) -> None:
        """Delete an image, if it exists; its id cannot be reserved again.

        Unavailable if the service does not reply.
        """

    def list_owned(
        self, project_id: str, properties: Mapping[str, str]
    ) -> list[Image]:
        """Return a project's own images with these properties.

        The newest is the first.
        """

    def list_visible(self, context: CallerContext) -> list[Image]:
        """Return the images that are visible to the caller, unordered.

        Glance's client omits images that others share with the project.
        Unavailable if the service does not reply.
        """

    def change_properties(
        self, image_id: str, values: Mapping[str, str], gone: Collection[str]
    ) -> Image:
        """Set and remove properties of an image; return it afterwards.

        ImageNotFound; InvalidInput if the service refuses a value;
        Unavailable if the service does not reply.
        """

    def list_unfinished(self) -> list[Image]:
        """Return the images of servers of all projects that have no data.

        These are the ones with ``SNAPSHOT_PROPERTIES``. Unavailable if the
        service does not reply.
        """

    def delete(self, image_id: str) -> None:
        """Delete an image.

        ImageNotFound if it does not exist, Forbidden if it is protected.
        """


def is_visible(image: Image, context: CallerContext) -> bool:
    """Return whether an image is public or of the caller's project."""
    if context.is_admin or image.visibility in ('public', 'community'):
        return True
    return image.owner is not None and image.owner == context.project_id


def select_owned(
    found: Iterable[Image], project_id: str, properties: Mapping[str, str]
) -> list[Image]:
    """Return the images of a project with these properties, newest first."""
    own = [
        image
        for image in found
        if image.owner == project_id
        and properties.items() <= dict(image.properties).items()
    ]
    return sorted(own, key=lambda one: (one.created_at, one.id), reverse=True)


def select_unfinished(found: Iterable[Image]) -> list[Image]:
    """Return the images of servers that have no data."""
    return [
        image
        for image in found
        if image.status in UNFINISHED
        and SNAPSHOT_PROPERTIES.items() <= dict(image.properties).items()
    ]


def load() -> ImageService:
    """Return the image service that ``[image] service`` names.

    This sends no request. ConfigInvalid if the options are incomplete.
    """
    service = conf.CONF.image.service
    # Only Glance's client needs keystoneauth.
    module = importlib.import_module(f'minova.images.{service}')
    if service == 'glance':
        module.check()
    return cast(ImageService, module.open_images())
