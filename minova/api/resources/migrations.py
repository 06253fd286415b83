# SPDX-License-Identifier: Apache-2.0
"""Migrations, and the live migrations of a server.

The migrations of a server include live migrations in progress only. An abort
leaves the guest on the source. A force-complete ends a migration that does not
converge; it pauses the guest or switches to post-copy.
"""

from collections.abc import Set
from typing import Final

from minova import exception
from minova import migration_states
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas import server_actions as schemas
from minova.api.schemas import types
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.api.views import migrations as views
from minova.db.connections.engine import Connection
from minova.db.queries import api_history
from minova.db.queries import migrations
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import NoParams

_LIST: Final = queries.QuerySchema(
    {
        'hidden': Param(queries.parse_boolean),
        'host': Param(),
        'status': Param(),
        'migration_type': Param(),
        'source_compute': Param(),
        'instance_uuid': Param(),
        'limit': Param(queries.parse_number, since=59),
        'marker': Param(since=59),
        'changes-since': Param(queries.parse_time, since=59),
        'changes-before': Param(queries.parse_time, since=66),
        'user_id': Param(since=80),
        'project_id': Param(since=80),
    },
    strict_since=59,
)
_LIST_RULE: Final = 'os_compute_api:os-migrations:index'
_RULE: Final = 'os_compute_api:servers:migrations'
#: The filters that tell where a server is.
_HOST_FILTERS: Final = frozenset({'host', 'source_compute'})


def index(request: ApiRequest) -> Document:
    """List migrations, newest first: of the own project, or of all."""
    shows_hosts = request.allows(f'{_LIST_RULE}:host')
    if not shows_hosts and _HOST_FILTERS & set(request.query):
        request.require(f'{_LIST_RULE}:host')
    scope = _get_scope(request)
    size = pagination.get_page_size(request)
    # No migration is ever hidden.
    if request.query.get('hidden') or size == 0:
        return {'migrations': []}
    found = request.database.read(
        lambda connection: api_history.list_migrations(
            connection,
            request.query,
            size + 1,
            request.query.get('marker'),
            scope,
        )
    )
    page, links = pagination.paginate(
        request, 'os-migrations', found, lambda m: m.uuid
    )
    result = [
        views.list_entry(
            migration, request.version, request.links, shows_hosts
        )
        for migration in page
    ]
    return pagination.make_list(
        'migrations', result, links if request.version >= 59 else []
    )


def _get_scope(request: ApiRequest) -> str | None:
    """Return the project whose servers' migrations are visible, or None."""
    rule = f'{_LIST_RULE}:all_projects'
    if request.allows(rule):
        return None
    if request.query.get('project_id', request.project) != request.project:
        request.require(rule)
    return request.project


def list_for_server(request: ApiRequest, server_id: str) -> Document:
    """List the live migrations of a server that are in progress."""
    row = request.get_server(server_id)
    shows_hosts = request.allows(
        f'{_RULE}:index:host', row.project_id, row.user_id
    )
    found = request.database.read(
        lambda connection: api_history.list_live_migrations(
            connection, server_id
        )
    )
    return {
        'migrations': [
            views.in_progress(migration, request.version, shows_hosts)
            for migration in found
        ]
    }


def show(request: ApiRequest, server_id: str, migration_id: str) -> Document:
    """Show a live migration in progress."""
    request.get_server(server_id)
    migration = request.database.read(
        lambda connection: _find(connection, server_id, migration_id)
    )
    if migration.kind != migration_states.LIVE_MIGRATION:
        raise exception.NotFound(
            f'Migration {migration_id} for server {server_id} is not '
            'live-migration.'
        )
    if migration.status not in migration_states.LIVE_IN_PROGRESS:
        raise exception.NotFound(
            f'Live migration {migration_id} for server {server_id} is not in '
            'progress.'
        )
    return {
        'migration': views.in_progress(
            migration, request.version, shows_hosts=True
        )
    }


def abort(request: ApiRequest, server_id: str, migration_id: str) -> None:
    """Request the abort of a live migration."""

    def prepare(connection: Connection, instance: Instance) -> NoParams:
        migration = _find(connection, server_id, migration_id)
        abortable = {'running'}
        if request.version >= 65:
            abortable |= {'queued', 'preparing'}
        _require_status(migration, abortable, 'abort_live_migrate')
        return NoParams()

    request.wake(request.begin('abort_live_migrate', server_id, prepare))


def force_complete(
    request: ApiRequest, server_id: str, migration_id: str
) -> None:
    """Request the completion of a live migration."""

    def prepare(connection: Connection, instance: Instance) -> NoParams:
        migration = _find(connection, server_id, migration_id)
        _require_status(migration, {'running'}, 'force_complete')
        return NoParams()

    request.wake(request.begin('force_live_migrate', server_id, prepare))


def _require_status(
    migration: Migration, statuses: Set[str], action: str
) -> None:
    if (
        migration.kind != migration_states.LIVE_MIGRATION
        or migration.status not in statuses
    ):
        raise exception.InvalidInput(
            f'Migration {migration.id} state of instance '
            f'{migration.instance_uuid} is {migration.status}. Cannot '
            f'{action} while the migration is in this state.'
        )


def _find(
    connection: Connection, server_id: str, migration_id: str
) -> Migration:
    found = None
    if migration_id.isdecimal() and len(migration_id) <= 10:
        number = int(migration_id)
        if number <= types.MAX_INT:
            found = migrations.get(connection, number)
    if found is None or found.instance_uuid != server_id:
        raise exception.MigrationNotFound(
            migration_id=migration_id[:64], instance_id=server_id
        )
    return found


_ALL: Final = '/servers/{server_id}/migrations'
_ONE: Final = f'{_ALL}/{{migration_id}}'
ROUTES: Final = (
    Route('GET', '/os-migrations', index, _LIST_RULE, query=_LIST),
    Route('GET', _ALL, list_for_server, f'{_RULE}:index', since=23),
    Route('GET', _ONE, show, f'{_RULE}:show', since=23),
    Route(
        'POST',
        f'{_ONE}/action',
        force_complete,
        f'{_RULE}:force_complete',
        202,
        body=schemas.FORCE_COMPLETE,
        since=22,
    ),
    Route('DELETE', _ONE, abort, f'{_RULE}:delete', 202, since=24),
)
