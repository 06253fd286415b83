# SPDX-License-Identifier: Apache-2.0
"""Migrations, and live migrations in progress."""

from minova import migration_states
from minova.api.views import Document
from minova.api.views import times
from minova.api.views.links import Links
from minova.objects.migration import Migration


def list_entry(
    migration: Migration, version: int, links: Links, shows_hosts: bool
) -> Document:
    """Return a migration for the list of all migrations."""
    result = _common(migration, version, shows_hosts) | {
        'instance_uuid': migration.instance_uuid,
        'old_instance_type_id': migration.old_flavor.id,
        'new_instance_type_id': migration.new_flavor.id,
    }
    if version >= 23:
        result['migration_type'] = migration.kind
        if (
            migration.kind == migration_states.LIVE_MIGRATION
            and migration.status in migration_states.LIVE_IN_PROGRESS
        ):
            collection = f'servers/{migration.instance_uuid}/migrations'
            result['links'] = links.resource_links(
                collection, str(migration.id)
            )
    return result


def in_progress(
    migration: Migration, version: int, shows_hosts: bool
) -> Document:
    """Return a live migration in progress."""
    return _common(migration, version, shows_hosts) | {
        'server_uuid': migration.instance_uuid,
        'memory_total_bytes': migration.memory_total,
        'memory_processed_bytes': migration.memory_processed,
        'memory_remaining_bytes': migration.memory_remaining,
        'disk_total_bytes': migration.disk_total,
        'disk_processed_bytes': migration.disk_processed,
        'disk_remaining_bytes': migration.disk_remaining,
    }


def _common(migration: Migration, version: int, shows_hosts: bool) -> Document:
    hosts = {
        'source_compute': migration.source_host,
        'source_node': migration.source_node,
        'dest_compute': migration.dest_host,
        'dest_node': migration.dest_node,
        'dest_host': migration.dest_ip,
    }
    result: Document = {
        'id': migration.id,
        'status': migration.status,
        **(hosts if shows_hosts else dict.fromkeys(hosts)),
        'created_at': times.strtime(migration.created_at),
        'updated_at': times.strtime(migration.updated_at),
    }
    if version >= 59:
        result['uuid'] = migration.uuid
    if version >= 80:
        result['user_id'] = migration.user_id
        result['project_id'] = migration.project_id
    return result
