# SPDX-License-Identifier: Apache-2.0
"""POST /servers/{id}/action: one table, from a name to what it begins."""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import Final

from minova import exception
from minova.api import consoles
from minova.api import microversion
from minova.api import moves
from minova.api import rescue
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import actions as schemas
from minova.api.schemas.bodies import Body
from minova.operations import begin

#: Returns the document of the reply, None for a reply without one.
Run = Callable[[Ask, str], dict[str, Any] | None]


@dataclasses.dataclass(frozen=True)
class Action:
    """What may be asked under one name."""

    rule: str
    body: Body
    run: Run
    status: int = 202
    until: int = microversion.MAXIMUM


def _begin(kind: str, prepare: begin.Prepare | None = None) -> Run:
    """Return what begins an operation of one kind and wakes its host."""

    def run(ask: Ask, server_id: str) -> None:
        ask.wake(ask.begin(kind, server_id, prepare))

    return run


def _reboot(ask: Ask, server_id: str) -> None:
    kind = f'reboot_{ask.body["reboot"]["type"].lower()}'
    ask.wake(ask.begin(kind, server_id))


def _action(
    rule: str,
    body: Body,
    what: str | Run,
    status: int = 202,
    until: int = microversion.MAXIMUM,
) -> Action:
    """Return an action that begins a kind of operation, or runs a function."""
    run = _begin(what) if isinstance(what, str) else what
    return Action(f'os_compute_api:{rule}', body, run, status, until)


_force_delete = _begin('force_delete', begin.deletion)

_MIGRATE: Final = 'os-migrate-server:migrate'
_SUSPEND: Final = 'os-suspend-server'
ACTIONS: Final = {
    'os-start': _action('servers:start', schemas.START, 'start'),
    'os-stop': _action('servers:stop', schemas.STOP, 'stop'),
    'reboot': _action('servers:reboot', schemas.REBOOT, _reboot),
    'pause': _action('os-pause-server:pause', schemas.PAUSE, 'pause'),
    'unpause': _action('os-pause-server:unpause', schemas.UNPAUSE, 'unpause'),
    'suspend': _action(f'{_SUSPEND}:suspend', schemas.SUSPEND, 'suspend'),
    'resume': _action(f'{_SUSPEND}:resume', schemas.RESUME, 'resume'),
    'rescue': _action('os-rescue', schemas.RESCUE, rescue.rescue, 200),
    'unrescue': _action('os-unrescue', schemas.UNRESCUE, rescue.unrescue),
    'resize': _action('servers:resize', schemas.RESIZE, moves.resize),
    'confirmResize': _action(
        'servers:confirm_resize', schemas.CONFIRM, moves.confirm, 204
    ),
    'revertResize': _action(
        'servers:revert_resize', schemas.REVERT, moves.revert
    ),
    'migrate': _action(_MIGRATE, schemas.MIGRATE, moves.migrate),
    'os-migrateLive': _action(
        f'{_MIGRATE}_live', schemas.MIGRATE_LIVE, moves.migrate_live
    ),
    'forceDelete': _action(
        'os-deferred-delete:force', schemas.FORCE_DELETE, _force_delete
    ),
    'os-getConsoleOutput': _action(
        'os-console-output', schemas.CONSOLE_OUTPUT, consoles.output, 200
    ),
    'os-getVNCConsole': _action(
        'os-remote-consoles', schemas.VNC_CONSOLE, consoles.vnc, 200, until=5
    ),
}


def act(ask: Ask, server_id: str) -> dict[str, Any] | None:
    """Do what the body's one key names."""
    name = _name(ask.body)
    action = ACTIONS[name]
    if ask.version > action.until:
        raise exception.NotFound(
            f'There is no action {name} after microversion '
            f'{microversion.text(action.until)}.'
        )
    action.body.check(ask.body, ask.version)
    ask.rule = action.rule
    ask.status = action.status
    return action.run(ask, server_id)


def _name(body: Any) -> str:
    """Return the action's name; InvalidInput unless there is one we know."""
    known = ', '.join(sorted(ACTIONS))
    if not isinstance(body, dict) or len(body) != 1:
        raise exception.InvalidInput(
            'Malformed request body: it must be an object with one key, the '
            f'action; there are {known}.'
        )
    (name,) = body
    if name not in ACTIONS:
        raise exception.InvalidInput(
            f'There is no such action: {name[:64]}. There are {known}.'
        )
    return str(name)


#: Of any shape: the schema depends on the action.
_ANY: Final = Body({1: {}})

ROUTES: Final = (
    Route(
        'POST',
        '/servers/{server_id}/action',
        act,
        None,  # each action has its own
        202,
        body=_ANY,
    ),
)
