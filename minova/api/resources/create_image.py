# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup: a server's disk becomes an image.

The id of the image is drawn here, so that the reply can name it. The image
service gets its record at once, if it replies in time, and else from the host.
"""

from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.schemas import server_actions as schemas
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.engine import begin
from minova.images import documents
from minova.images import NewImage
from minova.images import SNAPSHOT_PROPERTIES
from minova.objects.instance import Instance
from minova.objects.operation_params import BackupParams
from minova.objects.operation_params import SnapshotParams
from minova.objects.snapshot_image import SnapshotImage
from minova.quotas import checks

LOG = logging.getLogger(__name__)

#: What an image does not pass on: what describes its own data.
_NOT_INHERITED: Final = frozenset(
    {
        'cache_in_nova',
        'bittorrent',
        'img_signature',
        'img_signature_hash_method',
        'img_signature_key_type',
        'img_signature_certificate_uuid',
        'cinder_encryption_key_id',
        'cinder_encryption_key_deletion_policy',
    }
)
_TRUE: Final = frozenset({'1', 'on', 't', 'true', 'y', 'yes'})


def create_image(request: ApiRequest, server_id: str) -> Document | None:
    """Begin a snapshot; return the id of the image."""
    requested = request.body['createImage']
    image_id = clock.uuid4()

    def prepare(connection: Connection, instance: Instance) -> SnapshotParams:
        metadata = _get_metadata(request, connection, requested)
        return SnapshotParams(
            image=describe_image(
                request,
                instance,
                image_id,
                requested['name'],
                'snapshot',
                metadata,
            ),
            quiesce=requires_quiesce(instance),
        )

    begun = request.begin('snapshot', server_id, prepare)
    params = SnapshotParams.narrow(begun.operation.params)
    return _accept(request, begun, params.image)


def create_backup(request: ApiRequest, server_id: str) -> Document | None:
    """Begin a backup; return the id of the image, if there will be one."""
    requested = request.body['createBackup']
    path = 'createBackup.rotation'
    rotation = types.to_int(requested['rotation'], schemas.ROTATION, path)
    image_id = clock.uuid4()

    def prepare(connection: Connection, instance: Instance) -> BackupParams:
        metadata = _get_metadata(request, connection, requested)
        image = describe_image(
            request,
            instance,
            image_id,
            requested['name'],
            'backup',
            metadata,
            backup_type=requested['backup_type'],
        )
        return BackupParams(
            image=image if rotation else None,
            quiesce=requires_quiesce(instance),
            project_id=instance.project_id,
            backup_type=requested['backup_type'],
            rotation=rotation,
        )

    begun = request.begin('backup', server_id, prepare)
    params = BackupParams.narrow(begun.operation.params)
    return _accept(request, begun, params.image)


def _accept(
    request: ApiRequest, begun: begin.Begun, image: SnapshotImage | None
) -> Document | None:
    """Wake the host; return the reply of the request's version."""
    if image is not None:
        _reserve(request, begun, image)
    request.wake(begun)
    if image is None:
        return None
    if request.version >= 45:
        return {'image_id': image.id}
    request.location = f'{CONF.notifications.image_url}/images/{image.id}'
    return None


def _reserve(
    request: ApiRequest, begun: begin.Begun, image: SnapshotImage
) -> None:
    """Create the record of the image; the host does it otherwise."""
    new = NewImage(**image.as_dict())
    try:
        request.backend.timed_calls.call(
            CONF.api.conductor_timeout,
            lambda: request.backend.images.reserve(new),
            'The image service',
        )
    except exception.MinovaException as error:
        LOG.warning(
            'Operation %s %s instance=%s: image %s is not created yet; the '
            'host creates it: %s',
            begun.operation.id,
            begun.operation.kind,
            begun.instance.uuid,
            image.id,
            error,
        )


def _get_metadata(
    request: ApiRequest, connection: Connection, requested: Json
) -> dict[str, str]:
    """Return the metadata of the image.

    QuotaExceeded for too many items, InvalidInput for the name of an
    attribute, which is no property.
    """
    metadata: dict[str, str] = requested.get('metadata', {})
    checks.require_image_metadata(
        connection,
        request.project,
        str(request.context.user_id),
        len(metadata),
    )
    for name in metadata:
        if name in documents.RESERVED:
            raise exception.InvalidInput(
                f'Invalid input for field/attribute metadata: {name} is an '
                'attribute of images; name the property otherwise.'
            )
    return metadata


def describe_image(
    request: ApiRequest,
    instance: Instance,
    image_id: str,
    name: str,
    image_type: str,
    metadata: dict[str, str],
    **more: str,
) -> SnapshotImage:
    """Return the record of the image that an instance's disk becomes.

    It has the properties of the instance's image, ``metadata``, and ``more``
    with those that name its origin. The names are Nova's.
    """
    meta = instance.image_meta
    inherited = {
        key: str(value)
        for key, value in meta.items()
        if key not in documents.RESERVED and key not in _NOT_INHERITED
    }
    found = {
        **SNAPSHOT_PROPERTIES,
        'base_image_ref': instance.image_ref,
        'image_state': 'available',
        'image_type': image_type,
        'instance_uuid': instance.uuid,
        'owner_id': instance.project_id,
        'user_id': str(request.context.user_id),
        'kernel_id': instance.kernel_id,
        'ramdisk_id': instance.ramdisk_id,
        'os_type': instance.os_type or '',
        **more,
    }
    return SnapshotImage(
        id=image_id,
        name=name,
        owner=instance.project_id,
        container_format='bare',
        min_disk=max(
            instance.flavor.max_root_gb, int(meta.get('min_disk') or 0)
        ),
        min_ram=int(meta.get('min_ram') or 0),
        properties=inherited
        | metadata
        | {key: value for key, value in found.items() if value},
    )


def requires_quiesce(instance: Instance) -> bool:
    """Tell whether the guest agent must freeze the file systems."""
    return all(
        str(instance.image_meta.get(name, '')).lower() in _TRUE
        for name in ('hw_qemu_guest_agent', 'os_require_quiesce')
    )
