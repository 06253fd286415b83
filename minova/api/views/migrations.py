# SPDX-License-Identifier: Apache-2.0
"""Moves, as the two kinds of document in which clients know migrations."""

from typing import Any
from typing import Final

from minova.api.views import times
from minova.api.views.links import Links
from minova.db import history
from minova.objects.migration import Migration

Shown = dict[str, Any]

LIVE: Final = 'live-migration'


def listed(move: Migration, version: int, links: Links) -> Shown:
    """Return what a list of all migrations shows of one."""
    shown = _common(move, version) | {
        'instance_uuid': move.instance_uuid,
        'old_instance_type_id': move.old_flavor.id,
        'new_instance_type_id': move.new_flavor.id,
    }
    if version >= 23:
        shown['migration_type'] = move.kind
        if move.kind == LIVE and move.status in history.IN_PROGRESS:
            collection = f'servers/{move.instance_uuid}/migrations'
            shown['links'] = links.to(collection, str(move.id))
    return shown


def in_progress(move: Migration, version: int) -> Shown:
    """Return what is shown of a live migration while it goes on."""
    return _common(move, version) | {
        'server_uuid': move.instance_uuid,
        'memory_total_bytes': move.memory_total,
        'memory_processed_bytes': move.memory_processed,
        'memory_remaining_bytes': move.memory_remaining,
        'disk_total_bytes': move.disk_total,
        'disk_processed_bytes': move.disk_processed,
        'disk_remaining_bytes': move.disk_remaining,
    }


def _common(move: Migration, version: int) -> Shown:
    shown = {
        'id': move.id,
        'status': move.status,
        'source_compute': move.source_host,
        'source_node': move.source_node,
        'dest_compute': move.dest_host,
        'dest_node': move.dest_node,
        'dest_host': move.dest_ip,
        'created_at': times.plain(move.created_at),
        'updated_at': times.plain(move.updated_at),
    }
    if version >= 59:
        shown['uuid'] = move.uuid
    if version >= 80:
        shown['user_id'] = move.user_id
        shown['project_id'] = move.project_id
    return shown
