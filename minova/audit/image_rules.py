# SPDX-License-Identifier: Apache-2.0
"""Rules about images: each image without data has a snapshot that fills it.

The operation of a snapshot owns its image from before the image exists until
the image has its data or is deleted. An operation that gave up, because the
image service was away for too long, leaves the image behind. Images of servers
that the database does not know may be those of another cloud.
"""

from collections.abc import Iterator
from collections.abc import Sequence

from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.images import Image
from minova.objects import operation as records
from minova.objects.operation_params import BackupParams
from minova.objects.operation_params import DiscardSnapshotParams
from minova.objects.operation_params import OperationParams
from minova.objects.operation_params import ShelveParams
from minova.objects.operation_params import SnapshotParams
from minova.objects.step_args import SnapshotArgs


def find(snapshot: Snapshot, images: Sequence[Image]) -> Iterator[Finding]:
    """Compare the images without data with the operations."""
    wanted = set(_list_wanted(snapshot))
    for image in images:
        uuid = image.properties.get('instance_uuid', '')
        if image.id in wanted or uuid not in snapshot.database.instances:
            continue
        yield snapshot.instance_finding(
            'partial_image',
            f'The image {image.id} ({image.name}) is {image.status} since '
            f'{image.created_at:%Y-%m-%d %H:%M:%S} UTC, and no operation '
            'uploads its data.',
            uuid,
            subject=image.id,
        )


def _list_wanted(snapshot: Snapshot) -> Iterator[str | None]:
    """Yield the images that an operation fills or deletes."""
    for operation in snapshot.running_operations.values():
        yield _get_image(operation.params)
    for step in snapshot.database.steps:
        if step.state in records.OPEN and isinstance(step.args, SnapshotArgs):
            yield step.args.image_id


def _get_image(params: OperationParams) -> str | None:
    if isinstance(params, SnapshotParams | ShelveParams):
        return params.image.id
    if isinstance(params, BackupParams) and params.image is not None:
        return params.image.id
    if isinstance(params, DiscardSnapshotParams):
        return params.image_id
    return None
