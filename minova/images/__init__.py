# SPDX-License-Identifier: Apache-2.0
"""Images: what the rest of Minova may ask of them, and what it gets.

Two things implement ``Images``: ``embedded`` over a directory of our own,
``glance`` over HTTP. Nobody outside this package says which; they ask
``load``. An image cannot be made or changed through the interface: that is
the image service's business (``routes`` for the embedded one).
"""

from collections.abc import Mapping
import dataclasses
import datetime
import importlib
from typing import cast
from typing import Protocol

from minova import conf


class CallerContext(Protocol):
    """For whom an image is wanted: a request context, or an API caller."""

    @property
    def project_id(self) -> str | None:
        """The project asked for; None has no images of its own."""

    @property
    def is_admin(self) -> bool | None:
        """Whether everything may be seen."""


@dataclasses.dataclass(frozen=True)
class Image:
    """What the image service says about an image at one moment."""

    id: str
    name: str | None
    status: str
    """``active`` if it can be booted; ``queued`` before its data is there."""

    disk_format: str | None
    container_format: str | None
    size: int | None
    """Bytes of the data; None before it is there."""

    virtual_size: int | None
    """Bytes of the disk in it, where that is known."""

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
    """Everything else: ``kernel_id``, ``ramdisk_id``, ``hw_*``, ``os_*``."""

    created_at: datetime.datetime
    updated_at: datetime.datetime


class ImageService(Protocol):
    """What is asked of images."""

    def show(self, context: CallerContext, image_id: str) -> Image:
        """Return an image; ImageNotFound also if the asker may not see it."""

    def download(
        self, context: CallerContext, image_id: str, path: str
    ) -> None:
        """Write the data of an image to ``path``, whole and verified.

        The asker must be able to see it: an image may name others, such as
        its kernel, that it has no right to. Until all is there ``path`` is
        not touched. ImageNotFound, ImageNotActive, Unavailable if the service
        does not answer, OperationFailed if the data is not what the service
        says it is or cannot be written.
        """


def is_visible(image: Image, context: CallerContext) -> bool:
    """Tell whether an image is public, of the asker's project, or all are."""
    if context.is_admin or image.visibility in ('public', 'community'):
        return True
    return image.owner is not None and image.owner == context.project_id


def load() -> ImageService:
    """Return the image service that ``[image] service`` names.

    Nothing is asked of it yet. Raises ConfigInvalid if it could not be asked.
    """
    service = conf.CONF.image.service
    # Glance's client brings keystoneauth, which the embedded one never needs.
    module = importlib.import_module(f'minova.images.{service}')
    if service == 'glance':
        module.check()
    return cast(ImageService, module.open_images())
