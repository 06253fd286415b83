# SPDX-License-Identifier: Apache-2.0
"""Migrations: all of them for administrators, and the live ones of a server.

Of a server only live migrations that are in progress are shown. One of them
can be aborted; its guest then goes on where it is. One that does not come to
an end by itself can be made to, at the cost of the guest.
"""

from typing import Any
from typing import Final

from minova import exception
from minova.api import pages
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import actions as schemas
from minova.api.schemas import queries
from minova.api.schemas import types
from minova.api.schemas.queries import Param
from minova.api.views import migrations as views
from minova.db import history
from minova.db import moves
from minova.db.engine import Connection
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.operations import begin

_LIST: Final = queries.Query(
    {
        'hidden': Param(queries.truth),
        'host': Param(),
        'status': Param(),
        'migration_type': Param(),
        'source_compute': Param(),
        'instance_uuid': Param(),
        'limit': Param(queries.number, since=59),
        'marker': Param(since=59),
        'changes-since': Param(queries.moment, since=59),
        'changes-before': Param(queries.moment, since=66),
        'user_id': Param(since=80),
        'project_id': Param(since=80),
    },
    strict_since=59,
)


def index(ask: Ask) -> Any:
    """List migrations, the newest first."""
    size = pages.limit(ask)
    # None is ever hidden.
    if ask.query.get('hidden') or size == 0:
        return {'migrations': []}
    found = ask.database.read(
        lambda connection: history.moves_page(
            connection, ask.query, size + 1, ask.query.get('marker')
        )
    )
    page, links = pages.cut(ask, 'os-migrations', found, lambda m: m.uuid)
    shown: dict[str, Any] = {
        'migrations': [
            views.listed(move, ask.version, ask.links) for move in page
        ]
    }
    if links and ask.version >= 59:
        shown['migrations_links'] = links
    return shown


def of_server(ask: Ask, server_id: str) -> Any:
    """List the live migrations of a server that are in progress."""
    ask.server(server_id)
    found = ask.database.read(
        lambda connection: history.live_moves(connection, server_id)
    )
    return {
        'migrations': [views.in_progress(move, ask.version) for move in found]
    }


def show(ask: Ask, server_id: str, migration_id: str) -> Any:
    """Show one of them."""
    ask.server(server_id)
    move = ask.database.read(
        lambda connection: _find(connection, server_id, migration_id)
    )
    if move.kind != views.LIVE:
        raise exception.NotFound(
            f'Migration {migration_id} for server {server_id} is not '
            'live-migration.'
        )
    if move.status not in history.IN_PROGRESS:
        raise exception.NotFound(
            f'Live migration {migration_id} for server {server_id} is not in '
            'progress.'
        )
    return {'migration': views.in_progress(move, ask.version)}


def abort(ask: Ask, server_id: str, migration_id: str) -> None:
    """Ask a live migration to stop."""

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        move = _find(connection, server_id, migration_id)
        abortable = {'running'}
        if ask.version >= 65:
            abortable |= {'queued', 'preparing'}
        if move.kind != views.LIVE or move.status not in abortable:
            raise exception.InvalidInput(
                f'Migration {move.id} state of instance {server_id} is '
                f'{move.status}. Cannot abort_live_migrate while the '
                'migration is in this state.'
            )
        return {}

    ask.wake(ask.begin('abort_live_migrate', server_id, prepare))


def force_complete(ask: Ask, server_id: str, migration_id: str) -> None:
    """Ask a live migration to end soon."""

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        move = _find(connection, server_id, migration_id)
        if move.kind != views.LIVE or move.status != 'running':
            raise exception.InvalidInput(
                f'Migration {move.id} state of instance {server_id} is '
                f'{move.status}. Cannot force_complete while the migration '
                'is in this state.'
            )
        return {}

    ask.wake(ask.begin('force_live_migrate', server_id, prepare))


def _find(
    connection: Connection, server_id: str, migration_id: str
) -> Migration:
    found = None
    if migration_id.isdecimal() and len(migration_id) <= 10:
        number = int(migration_id)
        if number <= types.MOST:
            found = moves.get(connection, number)
    if found is None or found.instance_uuid != server_id:
        raise exception.MigrationNotFound(
            migration_id=migration_id[:64], instance_id=server_id
        )
    return found


_RULE: Final = 'os_compute_api:servers:migrations'
_ALL: Final = '/servers/{server_id}/migrations'
_ONE: Final = f'{_ALL}/{{migration_id}}'
ROUTES: Final = (
    Route(
        'GET',
        '/os-migrations',
        index,
        'os_compute_api:os-migrations:index',
        query=_LIST,
    ),
    Route('GET', _ALL, of_server, f'{_RULE}:index', since=23),
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
