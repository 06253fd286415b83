# SPDX-License-Identifier: Apache-2.0
"""The checks of shelved servers and their images, from outside."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import json
import sqlite3

from minova.images import Image
from minova.simulation.hypervisor import SimulatedWorld

#: The states in which a server may have an image to be unshelved from.
_WITH_IMAGE = ('shelved', 'shelved_offloaded', 'soft-delete')


def check(
    raw: sqlite3.Connection,
    records: Mapping[str, Image],
    world: SimulatedWorld,
    lost: Iterable[str],
) -> Iterator[str]:
    """Yield lost and left images of shelved servers: invariant 9.

    A server that was offloaded runs from its own image, not from the one that
    it was created from.
    """
    lost_hosts = set(lost)
    needed = set()
    for uuid, vm_state, host, image_id in raw.execute(
        'SELECT uuid, vm_state, host, shelved_image_id FROM instances'
    ):
        if vm_state == 'shelved_offloaded' and host is not None:
            yield f'invariant 2: {uuid} is offloaded and on {host}'
        if vm_state in ('shelved', 'shelved_offloaded') and image_id is None:
            yield f'invariant 9: {uuid} is {vm_state} without an image'
        if image_id is None or vm_state == 'deleted':
            continue
        if vm_state not in (*_WITH_IMAGE, 'error'):
            yield f'invariant 9: {uuid} is {vm_state} and has {image_id}'
        needed.add(image_id)
        found = records.get(image_id)
        if found is None or found.status != 'active':
            status = 'missing' if found is None else found.status
            yield f'invariant 9: image {image_id} of {uuid} is {status}'
    pending = {
        uuid
        for uuid, host in raw.execute(
            'SELECT instance_uuid, host FROM steps WHERE state IN '
            "('pending', 'running')"
        )
        if host in lost_hosts
    }
    for image in records.values():
        uuid = image.properties.get('instance_uuid', '')
        is_shelved = (image.name or '').endswith('-shelved')
        if is_shelved and image.id not in needed and uuid not in pending:
            yield f'invariant 9: the image {image.id} of {uuid} remains'
    yield from _check_unshelved(raw, world, lost_hosts)


def _check_unshelved(
    raw: sqlite3.Connection, world: SimulatedWorld, lost_hosts: set[str]
) -> Iterator[str]:
    for uuid, host, image_ref in raw.execute(
        'SELECT i.uuid, i.host, i.image_ref FROM instances i '
        "WHERE i.vm_state = 'active' AND EXISTS (SELECT 1 FROM operations o "
        "WHERE o.instance_uuid = i.uuid AND o.kind = 'unshelve' "
        "AND o.state = 'done' AND o.old_vm_state = 'shelved_offloaded')"
    ):
        disks = world.store.get(f'{host}/disks/{uuid}')
        if host in lost_hosts or disks is None:
            continue
        if disks['image'] == image_ref:
            yield f'invariant 9: {uuid} was unshelved with an old disk'


def check_disk(
    world: SimulatedWorld, raw: sqlite3.Connection, host: str, uuid: str
) -> Iterator[str]:
    """Yield a root disk that is from another image than the instance has.

    The image of a shelve that was not followed by a rebuild is its own too.
    """
    (wanted,) = raw.execute(
        'SELECT image_ref FROM instances WHERE uuid = ?', (uuid,)
    ).fetchone()
    own = {wanted}
    for kind, params in raw.execute(
        'SELECT kind, params FROM operations WHERE instance_uuid = ? AND '
        "state = 'done' AND kind IN ('shelve', 'rebuild') ORDER BY started_at",
        (uuid,),
    ):
        image = json.loads(params)['minova_object.data'].get('image')
        own = {wanted}
        if kind == 'shelve':
            own.add(image['minova_object.data']['id'])
    disks = world.store.get(f'{host}/disks/{uuid}')
    if disks is not None and disks['image'] not in own:
        yield (
            f'invariant 9: {host}/disks/{uuid} is from image '
            f'{disks["image"]}, not {wanted}'
        )
