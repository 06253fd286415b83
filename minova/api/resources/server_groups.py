# SPDX-License-Identifier: Apache-2.0
"""Server groups: servers that shall be on one host, or on different hosts.

The scheduler and every claim keep the policy of a group: see
``db/queries/server_groups.py``.
"""

from typing import Final

from minova import clock
from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import server_groups as schemas
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import server_groups
from minova.db.queries.server_groups import ServerGroup
from minova.engine import outbox_rows
from minova.notifications import events
from minova.notifications.payload import Payload
from minova.quotas import checks

#: The version since which a group shows its owner.
_OWNER_SINCE: Final = 13

# -- read --------------------------------------------------------------------


def index(request: ApiRequest) -> Document:
    """List the groups of the project, or of all projects."""
    project: str | None = request.project
    if 'all_projects' in request.query:
        request.require(f'{_RULE}:index:all_projects')
        project = None
    size = pagination.get_page_size(request)

    def read(
        connection: Connection,
    ) -> tuple[list[ServerGroup], dict[int, list[str]]]:
        offset = request.query.get('offset', 0)
        page = server_groups.list_page(connection, project, size, offset)
        return page, server_groups.list_members(connection, page)

    found, members = request.database.read(read)
    return {
        'server_groups': [
            _view(group, members[group.id], request.version) for group in found
        ]
    }


def show(request: ApiRequest, group_id: str) -> Document:
    """Show a group."""

    def read(connection: Connection) -> tuple[ServerGroup, list[str]]:
        group = server_groups.get(connection, group_id)
        if group is None or request.scope not in (None, group.project_id):
            raise exception.ServerGroupNotFound(group_id=group_id[:64])
        _require_owner(request, group)
        return group, server_groups.list_members(connection, [group])[group.id]

    group, members = request.database.read(read)
    return {'server_group': _view(group, members, request.version)}


def _require_owner(request: ApiRequest, group: ServerGroup) -> None:
    assert request.rule is not None
    request.require(request.rule, group.project_id, group.user_id)


def _view(group: ServerGroup, members: list[str], version: int) -> Document:
    result: Document = {
        'id': group.uuid,
        'name': group.name,
        'members': members,
    }
    if version >= schemas.RULES_SINCE:
        result |= {'policy': group.policy, 'rules': group.rules}
    else:
        result |= {'policies': [group.policy], 'metadata': {}}
    if version >= _OWNER_SINCE:
        result |= {'project_id': group.project_id, 'user_id': group.user_id}
    return result


# -- create, delete ----------------------------------------------------------


def create(request: ApiRequest) -> Document:
    """Create a group."""
    given = request.body['server_group']
    policy = given['policy'] if 'policy' in given else given['policies'][0]
    uuid = clock.uuid4()
    values = {
        'uuid': uuid,
        'project_id': request.project,
        'user_id': request.context.user_id or '',
        'name': given['name'],
        'policy': policy,
        'rules': _parse_rules(given, policy),
    }

    def work(connection: Connection) -> ServerGroup:
        checks.require_server_group(
            connection, request.project, str(values['user_id'])
        )
        server_groups.insert(
            connection,
            {
                **values,
                'notification_seq': 0,
                'claims': 0,
                'created_at': clock.now(),
            },
        )
        made = server_groups.get(connection, uuid)
        assert made is not None
        content: Payload = {
            'server_group_id': uuid,
            'name': made.name,
            'policies': [policy],
            'project_id': made.project_id,
            'user_id': made.user_id,
        }
        notify(connection, request, made, 'create', content)
        return made

    made = request.database.write(work)
    return {'server_group': _view(made, [], request.version)}


def _parse_rules(given: Json, policy: str) -> dict[str, int]:
    rules = given.get('rules', {})
    if rules and policy != server_groups.ANTI_AFFINITY:
        raise exception.InvalidInput(
            'Only anti-affinity policy supports rules.'
        )
    return {
        name: types.to_int(
            value, schemas.MAX_PER_HOST, f'server_group.rules.{name}'
        )
        for name, value in rules.items()
    }


def delete(request: ApiRequest, group_id: str) -> None:
    """Delete a group; its servers stay, without its policy."""

    def work(connection: Connection) -> None:
        group = server_groups.lock(connection, group_id)
        if group is None or request.scope not in (None, group.project_id):
            raise exception.ServerGroupNotFound(group_id=group_id[:64])
        _require_owner(request, group)
        notify(
            connection, request, group, 'delete', {'server_group_id': group_id}
        )
        server_groups.delete(connection, group)

    request.database.write(work)


# -- members -----------------------------------------------------------------


def lock_for_create(
    connection: Connection, request: ApiRequest, hint: str | None, more: int
) -> ServerGroup | None:
    """Return the group that new servers join, locked; None without a hint.

    InvalidInput for an unknown group, QuotaExceeded for too many members.
    """
    if hint is None:
        return None
    group = server_groups.lock(connection, hint)
    if group is None or request.scope not in (None, group.project_id):
        raise exception.InvalidInput(
            f'Instance group {hint[:64]} could not be found.'
        )
    checks.require_group_members(
        connection, request.project, request.context.user_id or '', group, more
    )
    return group


def join(
    connection: Connection,
    request: ApiRequest,
    group: ServerGroup | None,
    uuids: list[str],
) -> None:
    """Add new servers to a group, which is locked, if there is one."""
    if group is None:
        return
    server_groups.add_members(connection, group, uuids)
    content: Payload = {
        'server_group_id': group.uuid,
        'instance_uuids': uuids,
    }
    notify(connection, request, group, 'addmember', content)


def notify(
    connection: Connection,
    request: ApiRequest,
    group: ServerGroup,
    event: str,
    content: Payload,
) -> None:
    """Write the notification of a change of a locked group."""
    newest = outbox_rows.write_notices(
        connection,
        group,
        events.publisher_id('servergroup', request.backend.host),
        request.context.to_dict(),
        [(events.server_group_event_type(event), content)],
    )
    server_groups.set_notification_seq(connection, group, newest)


_RULE: Final = 'os_compute_api:os-server-groups'
_ALL: Final = '/os-server-groups'
_ONE: Final = f'{_ALL}/{{group_id}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index', query=schemas.LIST),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.CREATE),
    Route('GET', _ONE, show, f'{_RULE}:show'),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 204),
)
