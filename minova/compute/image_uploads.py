# SPDX-License-Identifier: Apache-2.0
"""The images that a step stores, with the rights of the image service's user.

The token of the user who asked for a snapshot may have expired when the copy
of the disk is complete, or when a restarted compute resumes the step. So the
service user of ``[image]`` creates the image for the project of the server.
"""

from oslo_log import log as logging

from minova import exception
from minova.context import get_admin_context
from minova.images import ImageService
from minova.images import NewImage
from minova.images import ReportProgress
from minova.objects.snapshot_image import SnapshotImage
from minova.virt.driver import DiskSnapshot

LOG = logging.getLogger(__name__)


class ImageUploads:
    """The writing part of the image service, as the flows see it."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    def reserve(self, image: SnapshotImage) -> None:
        """Create an image without data, unless it exists.

        Raises OperationFailed for an image that was deleted.
        """
        try:
            self._images.reserve(NewImage(**image.as_dict()))
        except exception.ImageNotFound as error:
            raise _deleted(image.id) from error

    def upload(
        self, image_id: str, data: DiskSnapshot, report: ReportProgress
    ) -> None:
        """Store the data; the image becomes active.

        Raises OperationFailed for an image that was deleted.
        """
        try:
            self._images.upload_snapshot(image_id, data, report)
        except exception.ImageNotFound as error:
            raise _deleted(image_id) from error

    def require_active(self, image_id: str) -> None:
        """Raise OperationFailed unless the image has its data."""
        try:
            image = self._images.show(get_admin_context(), image_id)
        except exception.ImageNotFound as error:
            raise _deleted(image_id) from error
        if image.status != 'active':
            raise exception.OperationFailed(
                cause=f'Upload of image {image_id}',
                reason=f'the image is {image.status}, and the copy of the '
                'disk is not on this host any more.',
            )

    def discard(self, image_id: str) -> None:
        """Delete an image for good."""
        self._images.discard(image_id)

    def rotate(
        self, project_id: str, instance_uuid: str, kind: str, rotation: int
    ) -> None:
        """Delete the oldest backups of an instance beyond ``rotation``.

        A backup that its project has protected stays.
        """
        found = self._images.list_owned(
            project_id,
            {
                'image_type': 'backup',
                'backup_type': kind,
                'instance_uuid': instance_uuid,
            },
        )
        stored = [image for image in found if image.status == 'active']
        for image in stored[rotation:]:
            try:
                self._images.delete(image.id)
            except exception.ImageNotFound:
                continue
            except exception.Forbidden as error:
                LOG.warning(
                    'Backup %s of instance %s stays: %s',
                    image.id,
                    instance_uuid,
                    error,
                )


def _deleted(image_id: str) -> exception.OperationFailed:
    return exception.OperationFailed(
        cause=f'Upload of image {image_id}',
        reason='the image was deleted meanwhile. Create another snapshot.',
    )
