# SPDX-License-Identifier: Apache-2.0
"""What a user does in a simulation: every operation of the state table.

A scenario begins in a prepared cloud, where a server is in some state, and
asks for something. It does not look at how that ends: the laws do.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import Final

from minova.conf import CONF
from minova.simulation.cloud import Cloud
from minova.simulation.cloud import IMAGE
from minova.simulation.cloud import Reply
from minova.states import Power

#: How often a client asks, every five seconds, until it gives up.
_TRIES = 10


class User:
    """A client of the api, and somebody who has access to the hosts."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        #: The server that the scenario is about.
        self.server = ''

    def ask(self, method: str, path: str, body: Any = None) -> Reply | None:
        """Ask, as clients do, again when cut off or told to come later."""
        reply = None
        for _ in range(_TRIES):
            reply = self.cloud.ask(method, path, body)
            if reply is not None and reply.status != 503:
                return reply
            self.cloud.scheduler.wait(5.0)
        return reply

    def create(self, host: str | None = None, drive: bool = False) -> str:
        """Ask for a server; return its id, '' when that is not known.

        With ``drive`` it is one that has a config drive.
        """
        body = {
            'name': 'server',
            'flavorRef': 'small',
            'imageRef': IMAGE,
            'networks': 'auto',
            'config_drive': drive,
        }
        if host is not None:
            body['host'] = host
        reply = self.ask('POST', '/servers', {'server': body})
        if reply is None or reply.status != 202:
            return ''
        return str(reply.get('server')['id'])

    def act(self, name: str, value: Any = None) -> Reply | None:
        """Ask for something to be done to the server."""
        path = f'/servers/{self.server}/action'
        return self.ask('POST', path, {name: value})

    def row(self) -> tuple[Any, ...]:
        """Return vm_state, task_state and host of the server."""
        found = self.cloud.storage.raw.execute(
            'SELECT vm_state, task_state, host FROM instances WHERE uuid = ?',
            (self.server,),
        ).fetchone()
        return tuple(found) if found else ('', None, None)

    def until(self, task_state: str, seconds: float = 60) -> None:
        """Let time pass until a task state is reached, or not."""
        self.cloud.wait(lambda: self.row()[1] == task_state, seconds)

    def until_moving(self, seconds: float = 60) -> None:
        """Let time pass until the guest is on its way, or not."""
        self.cloud.wait(
            lambda: bool(
                self.cloud.storage.raw.execute(
                    'SELECT 1 FROM migrations WHERE instance_uuid = ? AND '
                    "status = 'running'",
                    (self.server,),
                ).fetchone()
            ),
            seconds,
        )

    def switch(self, power: Power) -> None:
        """Let the guest change behind our back, and be looked at soon."""
        host = self.row()[2]
        self.cloud.world.set_power(host, self.server, power)
        self.look()

    def look(self) -> None:
        """Have guests compared, until something comes of it, or not."""
        before = self._count()
        self.cloud.look_at_guests()
        self.cloud.wait(lambda: self._count() > before, 45.0)

    def _count(self) -> int:
        query = 'SELECT count(*) FROM operations'
        (count,) = self.cloud.storage.raw.execute(query).fetchone()
        return int(count)


Act = Callable[[User], object]


def _boot(user: User) -> None:
    user.server = user.create()


def _boot_with_drive(user: User) -> None:
    user.server = user.create(drive=True)


def _lose_drive(user: User) -> None:
    """Let somebody remove the config drive."""
    path = f'{user.row()[2]}/disks/{user.server}'
    shelf = user.cloud.world.shelf
    disk = shelf.get(path)
    assert disk is not None
    del disk['config_drive']
    shelf.put(path, disk)


def _act(name: str, value: Any = None) -> Act:
    def act(user: User) -> None:
        user.act(name, value)

    return act


def _then(*acts: Act) -> Act:
    def act(user: User) -> None:
        for one in acts:
            one(user)

    return act


def _settled(user: User) -> None:
    user.cloud.settle()


def _reached(task_state: str) -> Act:
    return lambda user: user.until(task_state)


def _breaking(method: str, kind: str = 'GuestFailed', hosts: int = 3) -> Act:
    """Let a method fail once at so many hosts that the server is not on."""

    def act(user: User) -> None:
        own = user.row()[2]
        others = [h for h in user.cloud.world.shelf_hosts() if h != own]
        for host in others[:hosts]:
            user.cloud.world.break_(host, method, kind=kind)

    return act


def _breaking_here(
    method: str, kind: str = 'GuestFailed', times: int = 1
) -> Act:
    """Let a method fail so often at the host that the server is on."""
    return lambda user: user.cloud.world.break_(
        user.row()[2], method, times=times, kind=kind
    )


def _option(group: str, name: str, value: Any) -> Act:
    return lambda user: CONF.set_override(name, value, group)


def _abort(user: User) -> None:
    (move,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    user.ask('DELETE', f'/servers/{user.server}/migrations/{move}')


def _force(user: User) -> None:
    (move,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    path = f'/servers/{user.server}/migrations/{move}/action'
    user.ask('POST', path, {'force_complete': None})


def _forget_memory(user: User) -> None:
    """Let what was saved of the guest's memory be lost."""
    path = f'{user.row()[2]}/guests/{user.server}'
    shelf = user.cloud.world.shelf
    record = shelf.get(path)
    assert record is not None
    shelf.put(path, record | {'saved': None})


def _delete(user: User) -> None:
    user.ask('DELETE', f'/servers/{user.server}')


def _power(power: Power) -> Act:
    return lambda user: user.switch(power)


def _stray(user: User) -> None:
    """Let a copy of the guest turn up, switched off, where it is not."""
    host = user.row()[2]
    (other, *_) = [h for h in user.cloud.world.shelf_hosts() if h != host]
    shelf = user.cloud.world.shelf
    record = shelf.get(f'{host}/guests/{user.server}')
    assert record is not None
    shelf.put(
        f'{other}/guests/{user.server}',
        record | {'power': int(Power.SHUTDOWN)},
    )
    user.look()


_RESIZE: Final = _act('resize', {'flavorRef': 'big'})
_FORCE: Final = _act('forceDelete')

# -- in what state a scenario begins -----------------------------------------

PREPARED: Final[dict[str, Act]] = {
    'nothing': lambda user: None,
    'active': _then(_boot, _settled),
    'with_drive': _then(_boot_with_drive, _settled),
    'stopped': _then(_boot, _settled, _act('os-stop'), _settled),
    'paused': _then(_boot, _settled, _act('pause'), _settled),
    'suspended': _then(_boot, _settled, _act('suspend'), _settled),
    'rescued': _then(_boot, _settled, _act('rescue'), _settled),
    'resized': _then(_boot, _settled, _RESIZE, _settled),
    'migrated': _then(
        _boot, _settled, _act('os-stop'), _settled, _act('migrate'), _settled
    ),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One thing that is asked for.

    ``kind`` is the operation of the state table that it is about.
    """

    name: str
    kind: str
    begins: str
    act: Act


def _free(user: User) -> None:
    """Let time pass until the server may be asked for something, or not."""
    user.cloud.wait(lambda: user.row()[1] is None, 60.0)


def _full_elsewhere(user: User) -> None:
    """Let there be no room but where the server is."""
    user.cloud.storage.raw.execute(
        'UPDATE hosts SET reserved_memory_mb = memory_mb WHERE host != ?',
        (user.row()[2],),
    )
    user.cloud.storage.raw.commit()


_MIGRATE_LIVE: Final = _act(
    'os-migrateLive', {'host': None, 'block_migration': 'auto'}
)
_MOVING: Final = (_RESIZE, _reached('resize_migrating'))
_MIGRATING: Final = (
    _option('fake', 'migration_seconds', 20.0),
    _MIGRATE_LIVE,
    lambda user: user.until_moving(),
)
_SAY_STOP: Final = _option('conductor', 'unexpected_running', 'stop')
_SAME_HOST: Final = _option('scheduler', 'allow_resize_to_same_host', True)

# fmt: off
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    # name                    operation             begins     what is done
    ('create',                 'create',             'nothing',  _boot),
    ('create_with_drive',      'create',             'nothing',  _boot_with_drive),
    ('create_elsewhere',       'create',             'nothing',  _breaking('start', hosts=2), _boot),
    ('create_refused',         'create',             'nothing',  _breaking('define', 'MigrationRefused'), _boot),
    ('start',                  'start',              'stopped',  _act('os-start')),
    ('stop',                   'stop',               'active',   _act('os-stop')),
    ('stop_start',             'start',              'active',   _act('os-stop'), _free, _act('os-start')),
    ('stop_by_itself',         'stop',               'active',   _power(Power.SHUTDOWN)),
    ('stop_again',             'stop_again',         'stopped',  _SAY_STOP, _power(Power.RUNNING)),
    ('pause',                  'pause',              'active',   _act('pause')),
    ('pause_again',            'pause_again',        'paused',   _SAY_STOP, _power(Power.RUNNING)),
    ('unpause',                'unpause',            'paused',   _act('unpause')),
    ('suspend',                'suspend',            'active',   _act('suspend')),
    ('suspend_fails',          'suspend',            'active',   _breaking_here('suspend'), _act('suspend')),
    ('resume',                 'resume',             'suspended', _act('resume')),
    ('resume_fails',           'resume',             'suspended', _breaking_here('resume'), _act('resume')),
    ('resume_anew',            'resume',             'suspended', _forget_memory, _act('resume')),
    ('rescue',                 'rescue',             'active',   _act('rescue')),
    ('rescue_stopped',         'rescue',             'stopped',  _act('rescue')),
    ('rescue_fails',           'rescue',             'active',   _breaking_here('start'), _act('rescue')),
    ('rescue_refused',         'rescue',             'active',   _breaking_here('create_rescue_disk'), _act('rescue')),
    ('unrescue',               'unrescue',           'rescued',  _act('unrescue')),
    ('unrescue_fails',         'unrescue',           'rescued',  _breaking_here('start'), _act('unrescue')),
    ('reboot_soft',            'reboot_soft',        'active',   _act('reboot', {'type': 'SOFT'})),
    ('reboot_hard',            'reboot_hard',        'active',   _act('reboot', {'type': 'HARD'})),
    ('reboot_without_drive',   'reboot_hard',        'with_drive', _lose_drive, _act('reboot', {'type': 'HARD'})),
    ('reboot_suspended',       'reboot_hard',        'suspended', _act('reboot', {'type': 'HARD'})),
    ('reboot_fails',           'reboot_hard',        'active',   _breaking_here('define'), _act('reboot', {'type': 'HARD'})),
    ('resize',                 'resize',             'active',   _RESIZE),
    ('resize_fails',           'resize',             'active',   _breaking('start'), _RESIZE),
    ('resize_elsewhere',       'resize',             'active',   _breaking('has_aside', hosts=1), _RESIZE),
    ('resize_nowhere',         'resize',             'active',   _breaking('has_aside'), _RESIZE),
    ('resize_taken_back',      'resize',             'active',   _breaking_here('hand_over'), _RESIZE),
    ('resize_cut_off',         'resize',             'active',   _breaking_here('hand_over', 'HandOverInterrupted', 3), _RESIZE),
    ('resize_not_reached',     'resize',             'active',   _breaking_here('check_hand_over', 'HandOverInterrupted', 3), _RESIZE),
    ('resize_same_host',       'resize',             'active',   _SAME_HOST, _full_elsewhere, _RESIZE),
    ('migrate',                'migrate',            'stopped',  _act('migrate')),
    ('confirm_resize',         'confirm_resize',     'resized',  _act('confirmResize')),
    ('confirm_migration',      'confirm_resize',     'migrated', _act('confirmResize')),
    ('revert_resize',          'revert_resize',      'resized',  _act('revertResize')),
    ('revert_migration',       'revert_resize',      'migrated', _act('revertResize')),
    ('resize_revert',          'revert_resize',      'active',   _RESIZE, _free, _act('revertResize')),
    ('live_migrate',           'live_migrate',       'active',   _MIGRATE_LIVE),
    ('live_migrate_paused',    'live_migrate',       'paused',   _MIGRATE_LIVE),
    ('live_migrate_fails',     'live_migrate',       'active',   _breaking_here('migrate'), _MIGRATE_LIVE),
    ('live_migrate_refused',   'live_migrate',       'active',   _breaking('prepare_reception'), _MIGRATE_LIVE),
    ('abort_live_migrate',     'abort_live_migrate', 'active',   *_MIGRATING, _abort),
    ('force_live_migrate',     'force_live_migrate', 'active',   *_MIGRATING, _force),
    ('force_and_abort',        'abort_live_migrate', 'active',   *_MIGRATING, _force, _abort),
    ('delete',                 'delete',             'active',   _delete),
    ('delete_resized',         'delete',             'resized',  _delete),
    ('delete_suspended',       'delete',             'suspended', _delete),
    ('delete_rescued',         'delete',             'rescued',  _delete),
    ('delete_moving',          'delete',             'active',   *_MOVING, _delete),
    ('delete_migrating',       'delete',             'active',   *_MIGRATING, _delete),
    ('force_delete',           'force_delete',       'active',   _FORCE),
    ('force_delete_resized',   'force_delete',       'resized',  _FORCE),
    ('force_delete_suspended', 'force_delete',       'suspended', _FORCE),
    ('force_delete_moving',    'force_delete',       'active',   *_MOVING, _FORCE),
    ('force_delete_migrating', 'force_delete',       'active',   *_MIGRATING, _FORCE),
    ('power_sync',             'power_sync',         'stopped',  _power(Power.RUNNING)),
    ('power_sync_off',         'power_sync',         'paused',   _power(Power.SHUTDOWN)),
    ('put_away',               'put_away',           'active',   _stray),
)
# fmt: on

SCENARIOS: Final = {
    name: Scenario(name, kind, begins, _then(*acts))
    for name, kind, begins, *acts in _ROWS
}

#: Those in which a guest changes by itself, which somebody must see first.
BY_COMPARING: Final = frozenset(
    {
        'stop_by_itself',
        'stop_again',
        'pause_again',
        'power_sync',
        'power_sync_off',
        'put_away',
    }
)
