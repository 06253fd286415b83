# SPDX-License-Identifier: Apache-2.0
"""POST /servers/{id}/action: one table from an action to its handler."""

from collections.abc import Callable
import dataclasses
from typing import Final

from minova import exception
from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import admin_password
from minova.api.resources import consoles
from minova.api.resources import crash_dump
from minova.api.resources import create_image
from minova.api.resources import deferred_delete
from minova.api.resources import evacuate
from minova.api.resources import floating_ips
from minova.api.resources import gone
from minova.api.resources import interfaces
from minova.api.resources import lock
from minova.api.resources import migrate_server
from minova.api.resources import rebuild
from minova.api.resources import rescue
from minova.api.resources import reset_state
from minova.api.resources import security_groups
from minova.api.resources import shelve
from minova.api.schemas import bodies
from minova.api.schemas import floating_ips as floating_ip_schemas
from minova.api.schemas import rebuild as rebuild_schemas
from minova.api.schemas import server_actions as schemas
from minova.api.schemas.bodies import BodySchema
from minova.api.views import Document
from minova.engine import begin

#: Returns the document of the reply, or None for an empty reply.
ActionHandler = Callable[[ApiRequest, str], Document | None]


@dataclasses.dataclass(frozen=True)
class Action:
    """One action: its policy rule, body schema and handler."""

    rule: str
    body: BodySchema
    handler: ActionHandler
    status: int = 202
    since: int = microversion.MINIMUM
    until: int = microversion.MAXIMUM


def _begin_handler(
    kind: str, prepare: begin.Prepare | None = None
) -> ActionHandler:
    """Return a handler that begins an operation and wakes its first step."""

    def run(request: ApiRequest, server_id: str) -> None:
        request.wake(request.begin(kind, server_id, prepare))

    return run


def _reboot(request: ApiRequest, server_id: str) -> None:
    kind = f'reboot_{request.body["reboot"]["type"].lower()}'
    request.wake(request.begin(kind, server_id))


def _action(
    rule: str,
    body: BodySchema,
    handler_or_kind: str | ActionHandler,
    status: int = 202,
    since: int = microversion.MINIMUM,
    until: int = microversion.MAXIMUM,
) -> Action:
    """Return an action that begins an operation or calls a function."""
    run = (
        _begin_handler(handler_or_kind)
        if isinstance(handler_or_kind, str)
        else handler_or_kind
    )
    return Action(f'os_compute_api:{rule}', body, run, status, since, until)


def _console(body: BodySchema) -> Action:
    """Return an action of a remote console, before 2.6."""
    return _action(
        'os-remote-consoles', body, consoles.get_console, 200, until=5
    )


_MIGRATE: Final = 'os-migrate-server:migrate'
_SUSPEND: Final = 'os-suspend-server'
_LOCK: Final = 'os-lock-server'
_MULTINIC: Final = 'os-multinic'
_GROUPS: Final = 'os-security-groups'
ACTIONS: Final = {
    'os-start': _action('servers:start', schemas.START, 'start'),
    'os-stop': _action('servers:stop', schemas.STOP, 'stop'),
    'reboot': _action('servers:reboot', schemas.REBOOT, _reboot),
    'pause': _action('os-pause-server:pause', schemas.PAUSE, 'pause'),
    'unpause': _action('os-pause-server:unpause', schemas.UNPAUSE, 'unpause'),
    'suspend': _action(f'{_SUSPEND}:suspend', schemas.SUSPEND, 'suspend'),
    'resume': _action(f'{_SUSPEND}:resume', schemas.RESUME, 'resume'),
    'lock': _action(f'{_LOCK}:lock', schemas.LOCK, lock.lock),
    'unlock': _action(f'{_LOCK}:unlock', schemas.UNLOCK, lock.unlock),
    'os-resetState': _action(
        'os-admin-actions:reset_state',
        schemas.RESET_STATE,
        reset_state.reset_state,
    ),
    'createImage': _action(
        'servers:create_image', schemas.CREATE_IMAGE, create_image.create_image
    ),
    'createBackup': _action(
        'os-create-backup', schemas.CREATE_BACKUP, create_image.create_backup
    ),
    'rescue': _action('os-rescue', schemas.RESCUE, rescue.rescue, 200),
    'unrescue': _action('os-unrescue', schemas.UNRESCUE, rescue.unrescue),
    'rebuild': _action(
        'servers:rebuild', rebuild_schemas.REBUILD, rebuild.rebuild
    ),
    'resize': _action('servers:resize', schemas.RESIZE, migrate_server.resize),
    'confirmResize': _action(
        'servers:confirm_resize',
        schemas.CONFIRM,
        migrate_server.confirm_resize,
        204,
    ),
    'revertResize': _action(
        'servers:revert_resize', schemas.REVERT, migrate_server.revert_resize
    ),
    'migrate': _action(_MIGRATE, schemas.MIGRATE, migrate_server.migrate),
    'os-migrateLive': _action(
        f'{_MIGRATE}_live', schemas.MIGRATE_LIVE, migrate_server.migrate_live
    ),
    'evacuate': _action(
        'os-evacuate', schemas.EVACUATE, evacuate.evacuate, 200
    ),
    'forceDelete': _action(
        'os-deferred-delete:force',
        schemas.FORCE_DELETE,
        deferred_delete.force_delete,
    ),
    'restore': _action(
        'os-deferred-delete:restore',
        schemas.RESTORE,
        deferred_delete.restore,
    ),
    'addFixedIp': _action(
        f'{_MULTINIC}:add',
        schemas.ADD_FIXED_IP,
        interfaces.add_fixed_ip,
        until=43,
    ),
    'removeFixedIp': _action(
        f'{_MULTINIC}:remove',
        schemas.REMOVE_FIXED_IP,
        interfaces.remove_fixed_ip,
        until=43,
    ),
    'changePassword': _action(
        'os-admin-password',
        schemas.CHANGE_PASSWORD,
        admin_password.change_password,
    ),
    'trigger_crash_dump': _action(
        'servers:trigger_crash_dump',
        schemas.TRIGGER_CRASH_DUMP,
        crash_dump.trigger_crash_dump,
        since=17,
    ),
    'addFloatingIp': _action(
        'os-floating-ips:add',
        floating_ip_schemas.ADD,
        floating_ips.associate,
        until=43,
    ),
    'removeFloatingIp': _action(
        'os-floating-ips:remove',
        floating_ip_schemas.REMOVE,
        floating_ips.associate,
        until=43,
    ),
    'addSecurityGroup': _action(
        f'{_GROUPS}:add',
        schemas.ADD_SECURITY_GROUP,
        security_groups.change_server,
    ),
    'removeSecurityGroup': _action(
        f'{_GROUPS}:remove',
        schemas.REMOVE_SECURITY_GROUP,
        security_groups.change_server,
    ),
    'injectNetworkInfo': _action(
        'extensions', schemas.INJECT_NETWORK_INFO, gone.refuse_action
    ),
    'resetNetwork': _action(
        'extensions', schemas.RESET_NETWORK, gone.refuse_action
    ),
    'shelve': _action('os-shelve:shelve', schemas.SHELVE, shelve.shelve),
    'shelveOffload': _action(
        'os-shelve:shelve_offload',
        schemas.SHELVE_OFFLOAD,
        shelve.shelve_offload,
    ),
    'unshelve': _action(
        'os-shelve:unshelve', schemas.UNSHELVE, shelve.unshelve
    ),
    'os-getConsoleOutput': _action(
        'os-console-output',
        schemas.CONSOLE_OUTPUT,
        consoles.get_console_output,
        200,
    ),
    'os-getVNCConsole': _console(schemas.VNC_CONSOLE),
    'os-getSPICEConsole': _console(schemas.SPICE_CONSOLE),
    'os-getRDPConsole': _console(schemas.RDP_CONSOLE),
    'os-getSerialConsole': _console(schemas.SERIAL_CONSOLE),
}


def run_action(request: ApiRequest, server_id: str) -> Document | None:
    """Run the action that the single key of the body names."""
    name = bodies.get_action_name(request.body, ACTIONS)
    action = ACTIONS[name]
    if request.version < action.since:
        raise exception.NotFound(
            f'There is no action {name} before microversion '
            f'{microversion.to_string(action.since)}.'
        )
    if request.version > action.until:
        raise exception.NotFound(
            f'There is no action {name} after microversion '
            f'{microversion.to_string(action.until)}.'
        )
    request.validate_body(action.body)
    request.rule = action.rule
    request.status = action.status
    return action.handler(request, server_id)


ROUTES: Final = (
    Route(
        'POST',
        '/servers/{server_id}/action',
        run_action,
        None,  # each action has its own
        202,
        body=bodies.ANY,
    ),
)
