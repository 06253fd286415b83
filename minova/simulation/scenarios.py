# SPDX-License-Identifier: Apache-2.0
"""The scenarios: what a user does, for each operation of the state table.

A scenario begins in a prepared cloud with a server in some state and sends
requests. It does not check the outcome; the invariants do.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import Final

from minova.conf import CONF
from minova.rpc.bus import Json
from minova.simulation.cloud import Cloud
from minova.simulation.cloud import IMAGE
from minova.simulation.cloud import Reply
from minova.states import PowerState

#: The attempts of a client, five seconds apart.
_MAX_ATTEMPTS = 10


class User:
    """A client of the api, who can also change guests on the hosts."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        #: The server of the scenario.
        self.server = ''

    def request(
        self, method: str, path: str, body: Json | None = None
    ) -> Reply | None:
        """Send a request; retry after a lost connection or a 503."""
        reply = None
        for _ in range(_MAX_ATTEMPTS):
            reply = self.cloud.request(method, path, body)
            if reply is not None and reply.status != 503:
                return reply
            self.cloud.scheduler.wait(5.0)
        return reply

    def create(self, host: str | None = None, drive: bool = False) -> str:
        """Create a server; return its id, '' if it is unknown.

        With ``drive`` it has a config drive.
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
        reply = self.request('POST', '/servers', {'server': body})
        if reply is None or reply.status != 202:
            return ''
        return str(reply.get('server')['id'])

    def act(self, name: str, value: object = None) -> Reply | None:
        """Request an action on the server."""
        path = f'/servers/{self.server}/action'
        return self.request('POST', path, {name: value})

    def get_states(self) -> tuple[str, str | None, str | None]:
        """Return vm_state, task_state and host of the server."""
        found = self.cloud.storage.raw.execute(
            'SELECT vm_state, task_state, host FROM instances WHERE uuid = ?',
            (self.server,),
        ).fetchone()
        return tuple(found) if found else ('', None, None)

    def get_host(self) -> str:
        """Return the host of the server, which must be on one."""
        host = self.get_states()[2]
        assert host is not None
        return host

    def wait_for_task_state(
        self, task_state: str, seconds: float = 60
    ) -> None:
        """Wait for a task state, at most ``seconds``."""
        self.cloud.wait(lambda: self.get_states()[1] == task_state, seconds)

    def wait_until_migrating(self, seconds: float = 60) -> None:
        """Wait for a running live migration, at most ``seconds``."""
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

    def set_power(self, power: PowerState) -> None:
        """Change the power of the guest on its host, then synchronize."""
        self.cloud.world.set_power(self.get_host(), self.server, power)
        self.sync_power()

    def sync_power(self) -> None:
        """Synchronize power states; wait for an operation that it begins."""
        before = self._count_operations()
        self.cloud.sync_power_states()
        self.cloud.wait(lambda: self._count_operations() > before, 45.0)

    def _count_operations(self) -> int:
        query = 'SELECT count(*) FROM operations'
        (count,) = self.cloud.storage.raw.execute(query).fetchone()
        return int(count)


Action = Callable[[User], object]


def _boot(user: User) -> None:
    user.server = user.create()


def _boot_with_drive(user: User) -> None:
    user.server = user.create(drive=True)


def _lose_config_drive(user: User) -> None:
    """Remove the config drive on the host."""
    path = f'{user.get_host()}/disks/{user.server}'
    store = user.cloud.world.store
    disk = store.get(path)
    assert disk is not None
    del disk['config_drive']
    store.put(path, disk)


def _act(name: str, value: object = None) -> Action:
    def act(user: User) -> None:
        user.act(name, value)

    return act


def _sequence(*actions: Action) -> Action:
    def act(user: User) -> None:
        for action in actions:
            action(user)

    return act


def _settle(user: User) -> None:
    user.cloud.settle()


def _wait_for(task_state: str) -> Action:
    return lambda user: user.wait_for_task_state(task_state)


def _fail_elsewhere(
    method: str, kind: str = 'GuestFailed', hosts: int = 3
) -> Action:
    """Let a method fail once on ``hosts`` hosts other than the server's."""

    def act(user: User) -> None:
        own = user.get_states()[2]
        others = [h for h in user.cloud.world.list_hosts() if h != own]
        for host in others[:hosts]:
            user.cloud.world.inject_fault(host, method, kind=kind)

    return act


def _fail_here(
    method: str, kind: str = 'GuestFailed', times: int = 1
) -> Action:
    """Let a method fail ``times`` times on the server's host."""
    return lambda user: user.cloud.world.inject_fault(
        user.get_host(), method, times=times, kind=kind
    )


def _set_option(group: str, name: str, value: object) -> Action:
    return lambda user: CONF.set_override(name, value, group)


def _abort(user: User) -> None:
    (migration,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    user.request('DELETE', f'/servers/{user.server}/migrations/{migration}')


def _force(user: User) -> None:
    (migration,) = user.cloud.storage.raw.execute(
        'SELECT max(id) FROM migrations WHERE instance_uuid = ?',
        (user.server,),
    ).fetchone()
    path = f'/servers/{user.server}/migrations/{migration}/action'
    user.request('POST', path, {'force_complete': None})


def _lose_saved_memory(user: User) -> None:
    """Remove the saved memory of the guest."""
    path = f'{user.get_host()}/guests/{user.server}'
    store = user.cloud.world.store
    record = store.get(path)
    assert record is not None
    store.put(path, record | {'saved': None})


def _delete(user: User) -> None:
    user.request('DELETE', f'/servers/{user.server}')


def _power(power: PowerState) -> Action:
    return lambda user: user.set_power(power)


def _plant_stale_guest(user: User) -> None:
    """Put a copy of the guest, powered off, on another host."""
    host = user.get_host()
    (other, *_) = [h for h in user.cloud.world.list_hosts() if h != host]
    store = user.cloud.world.store
    record = store.get(f'{host}/guests/{user.server}')
    assert record is not None
    store.put(
        f'{other}/guests/{user.server}',
        record | {'power': int(PowerState.SHUTDOWN)},
    )
    user.sync_power()


_HARD: Final = _act('reboot', {'type': 'HARD'})
_RESIZE: Final = _act('resize', {'flavorRef': 'big'})
_FORCE: Final = _act('forceDelete')

# -- the prepared clouds -----------------------------------------------------

PREPARATIONS: Final[dict[str, Action]] = {
    'nothing': lambda user: None,
    'active': _sequence(_boot, _settle),
    'with_config_drive': _sequence(_boot_with_drive, _settle),
    'stopped': _sequence(_boot, _settle, _act('os-stop'), _settle),
    'paused': _sequence(_boot, _settle, _act('pause'), _settle),
    'suspended': _sequence(_boot, _settle, _act('suspend'), _settle),
    'rescued': _sequence(_boot, _settle, _act('rescue'), _settle),
    'resized': _sequence(_boot, _settle, _RESIZE, _settle),
    'migrated': _sequence(
        _boot, _settle, _act('os-stop'), _settle, _act('migrate'), _settle
    ),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario; ``kind`` is its operation in the state table."""

    name: str
    kind: str
    starts_from: str
    run: Action


def _wait_until_idle(user: User) -> None:
    """Wait until the server has no task state, at most a minute."""
    user.cloud.wait(lambda: user.get_states()[1] is None, 60.0)


def _fill_other_hosts(user: User) -> None:
    """Reserve all memory of the other hosts."""
    user.cloud.storage.raw.execute(
        'UPDATE hosts SET reserved_memory_mb = memory_mb WHERE host != ?',
        (user.get_host(),),
    )
    user.cloud.storage.raw.commit()


_MIGRATE_LIVE: Final = _act(
    'os-migrateLive', {'host': None, 'block_migration': 'auto'}
)
_RESIZING: Final = (_RESIZE, _wait_for('resize_migrating'))
_MIGRATING: Final = (
    _set_option('fake', 'migration_seconds', 20.0),
    _MIGRATE_LIVE,
    lambda user: user.wait_until_migrating(),
)
_STOP_UNEXPECTED: Final = _set_option(
    'conductor', 'unexpected_running_instance_action', 'stop'
)
_SAME_HOST: Final = _set_option('scheduler', 'allow_resize_to_same_host', True)

# fmt: off
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    # name                          operation              cloud                actions
    ('create',                      'create',              'nothing',           _boot),
    ('create_with_config_drive',    'create',              'nothing',           _boot_with_drive),
    ('create_rescheduled',          'create',              'nothing',           _fail_elsewhere('start', hosts=2), _boot),
    ('create_refused',              'create',              'nothing',           _fail_elsewhere('define', 'MigrationPreCheckError'), _boot),
    ('start',                       'start',               'stopped',           _act('os-start')),
    ('stop',                        'stop',                'active',            _act('os-stop')),
    ('stop_start',                  'start',               'active',            _act('os-stop'), _wait_until_idle, _act('os-start')),
    ('stop_by_guest',               'stop',                'active',            _power(PowerState.SHUTDOWN)),
    ('enforce_stop',                'enforce_stop',        'stopped',           _STOP_UNEXPECTED, _power(PowerState.RUNNING)),
    ('pause',                       'pause',               'active',            _act('pause')),
    ('enforce_pause',               'enforce_pause',       'paused',            _STOP_UNEXPECTED, _power(PowerState.RUNNING)),
    ('unpause',                     'unpause',             'paused',            _act('unpause')),
    ('suspend',                     'suspend',             'active',            _act('suspend')),
    ('suspend_fails',               'suspend',             'active',            _fail_here('suspend'), _act('suspend')),
    ('resume',                      'resume',              'suspended',         _act('resume')),
    ('resume_fails',                'resume',              'suspended',         _fail_here('resume'), _act('resume')),
    ('resume_without_memory',       'resume',              'suspended',         _lose_saved_memory, _act('resume')),
    ('rescue',                      'rescue',              'active',            _act('rescue')),
    ('rescue_stopped',              'rescue',              'stopped',           _act('rescue')),
    ('rescue_fails',                'rescue',              'active',            _fail_here('start'), _act('rescue')),
    ('rescue_refused',              'rescue',              'active',            _fail_here('create_rescue_disk'), _act('rescue')),
    ('unrescue',                    'unrescue',            'rescued',           _act('unrescue')),
    ('unrescue_fails',              'unrescue',            'rescued',           _fail_here('start'), _act('unrescue')),
    ('reboot_soft',                 'reboot_soft',         'active',            _act('reboot', {'type': 'SOFT'})),
    ('reboot_hard',                 'reboot_hard',         'active',            _act('reboot', {'type': 'HARD'})),
    ('reboot_without_config_drive', 'reboot_hard',         'with_config_drive', _lose_config_drive, _HARD, _settle, _HARD),
    ('reboot_suspended',            'reboot_hard',         'suspended',         _act('reboot', {'type': 'HARD'})),
    ('reboot_fails',                'reboot_hard',         'active',            _fail_here('define'), _act('reboot', {'type': 'HARD'})),
    ('resize',                      'resize',              'active',            _RESIZE),
    ('resize_fails',                'resize',              'active',            _fail_elsewhere('start'), _RESIZE),
    ('resize_rescheduled',          'resize',              'active',            _fail_elsewhere('has_retained_disks', hosts=1), _RESIZE),
    ('resize_no_valid_host',        'resize',              'active',            _fail_elsewhere('has_retained_disks'), _RESIZE),
    ('resize_unwound',              'resize',              'active',            _fail_here('send_disks'), _RESIZE),
    ('resize_transfer_interrupted', 'resize',              'active',            _fail_here('send_disks', 'DiskTransferInterrupted', 3), _RESIZE),
    ('resize_peer_unreachable',     'resize',              'active',            _fail_here('check_can_send_disks', 'DiskTransferInterrupted', 3), _RESIZE),
    ('resize_same_host',            'resize',              'active',            _SAME_HOST, _fill_other_hosts, _RESIZE),
    ('migrate',                     'migrate',             'stopped',           _act('migrate')),
    ('confirm_resize',              'confirm_resize',      'resized',           _act('confirmResize')),
    ('confirm_migration',           'confirm_resize',      'migrated',          _act('confirmResize')),
    ('revert_resize',               'revert_resize',       'resized',           _act('revertResize')),
    ('revert_migration',            'revert_resize',       'migrated',          _act('revertResize')),
    ('resize_revert',               'revert_resize',       'active',            _RESIZE, _wait_until_idle, _act('revertResize')),
    ('live_migrate',                'live_migrate',        'active',            _MIGRATE_LIVE),
    ('live_migrate_paused',         'live_migrate',        'paused',            _MIGRATE_LIVE),
    ('live_migrate_fails',          'live_migrate',        'active',            _fail_here('start_live_migration'), _MIGRATE_LIVE),
    ('live_migrate_rescheduled',    'live_migrate',        'active',            _fail_elsewhere('pre_live_migration', hosts=1), _MIGRATE_LIVE),
    ('live_migrate_unchecked',      'live_migrate',        'active',            _fail_elsewhere('check_can_live_migrate_destination', hosts=1), _MIGRATE_LIVE),
    ('live_migrate_refused',        'live_migrate',        'active',            _fail_elsewhere('pre_live_migration'), _MIGRATE_LIVE),
    ('abort_live_migrate',          'abort_live_migrate',  'active',            *_MIGRATING, _abort),
    ('force_live_migrate',          'force_live_migrate',  'active',            *_MIGRATING, _force),
    ('force_and_abort',             'abort_live_migrate',  'active',            *_MIGRATING, _force, _abort),
    ('delete',                      'delete',              'active',            _delete),
    ('delete_resized',              'delete',              'resized',           _delete),
    ('delete_suspended',            'delete',              'suspended',         _delete),
    ('delete_rescued',              'delete',              'rescued',           _delete),
    ('delete_resizing',             'delete',              'active',            *_RESIZING, _delete),
    ('delete_migrating',            'delete',              'active',            *_MIGRATING, _delete),
    ('force_delete',                'force_delete',        'active',            _FORCE),
    ('force_delete_resized',        'force_delete',        'resized',           _FORCE),
    ('force_delete_suspended',      'force_delete',        'suspended',         _FORCE),
    ('force_delete_resizing',       'force_delete',        'active',            *_RESIZING, _FORCE),
    ('force_delete_migrating',      'force_delete',        'active',            *_MIGRATING, _FORCE),
    ('lock',                        'lock',                'active',            _act('lock')),
    ('lock_migrating',              'lock',                'active',            *_MIGRATING, _act('lock')),
    ('unlock',                      'unlock',              'active',            _act('lock'), _act('unlock')),
    ('power_sync',                  'power_sync',          'stopped',           _power(PowerState.RUNNING)),
    ('power_sync_off',              'power_sync',          'paused',            _power(PowerState.SHUTDOWN)),
    ('cleanup_stale_guest',         'cleanup_stale_guest', 'active',            _plant_stale_guest),
)
# fmt: on

SCENARIOS: Final = {
    name: Scenario(name, kind, begins, _sequence(*acts))
    for name, kind, begins, *acts in _ROWS
}

#: The scenarios that begin with a change that a power sync must detect.
NEEDS_POWER_SYNC: Final = frozenset(
    {
        'stop_by_guest',
        'enforce_stop',
        'enforce_pause',
        'power_sync',
        'power_sync_off',
        'cleanup_stale_guest',
    }
)
