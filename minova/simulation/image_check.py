# SPDX-License-Identifier: Apache-2.0
"""The check of the images that snapshots have made, from outside."""

from collections.abc import Iterable
from collections.abc import Iterator
import json
import sqlite3

from minova.rpc.bus import Json
from minova.simulation import invariants
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.image_service import SimulatedImages


def check(
    raw: sqlite3.Connection,
    images: SimulatedImages,
    world: SimulatedWorld,
    lost: Iterable[str],
) -> Iterator[str]:
    """Yield partial and missing images of snapshots, and frozen guests.

    Of invariant 9: an image of a snapshot is active, or there is none. Of
    invariant 3: a snapshot that is done has an image.
    """
    lost_hosts = set(lost)
    pending = invariants.pending_steps(raw)
    explained = {uuid for uuid, host in pending if host in lost_hosts}
    for uuid, state, params in raw.execute(
        'SELECT instance_uuid, state, params FROM operations '
        "WHERE kind = 'snapshot' AND state != 'running'"
    ):
        image_id = _find_image_id(json.loads(params))
        found = images.records.get(image_id)
        if uuid in explained or image_id in images.deleted_by_users:
            continue
        if state == 'done' and found is None:
            yield f'invariant 3: the snapshot {image_id} of {uuid} is missing'
        if state != 'done' and found is not None:
            yield f'invariant 9: {image_id} of a {state} snapshot remains'
    for image in images.records.values():
        uuid = image.properties.get('instance_uuid', '')
        if image.status != 'active' and uuid not in explained:
            yield f'invariant 9: image {image.id} of {uuid} is {image.status}'
    for host in set(world.list_hosts()) - lost_hosts:
        for uuid in world.store.list_names(f'{host}/guests'):
            if (world.store.get(f'{host}/guests/{uuid}') or {}).get('frozen'):
                yield f'invariant 9: {uuid} is frozen on {host}'


def _find_image_id(params: Json) -> str:
    """Return the id of the image in the parameters of a snapshot."""
    found = params['minova_object.data']['image']
    return str(found['minova_object.data']['id'])
