# SPDX-License-Identifier: Apache-2.0
"""The scenarios: what a user does, for each operation of the state table.

A scenario begins in a prepared cloud with a server in some state and sends
requests. It does not check the outcome; the invariants do.
"""

import dataclasses
from typing import Any
from typing import Final

from minova.simulation.actions import abort
from minova.simulation.actions import act
from minova.simulation.actions import Action
from minova.simulation.actions import add_fixed_ip
from minova.simulation.actions import attach_interface
from minova.simulation.actions import begin_usage_audit
from minova.simulation.actions import boot
from minova.simulation.actions import boot_with_drive
from minova.simulation.actions import delete
from minova.simulation.actions import delete_image
from minova.simulation.actions import detach_interface
from minova.simulation.actions import fail_elsewhere
from minova.simulation.actions import fail_here
from minova.simulation.actions import fill_other_hosts
from minova.simulation.actions import force
from minova.simulation.actions import lose_config_drive
from minova.simulation.actions import lose_disks
from minova.simulation.actions import lose_interface
from minova.simulation.actions import lose_saved_memory
from minova.simulation.actions import plant_stale_guest
from minova.simulation.actions import power
from minova.simulation.actions import remove_fixed_ip
from minova.simulation.actions import require_quiesce
from minova.simulation.actions import sequence
from minova.simulation.actions import set_option
from minova.simulation.actions import settle
from minova.simulation.actions import wait_for
from minova.simulation.actions import wait_until_audited
from minova.simulation.actions import wait_until_deleted
from minova.simulation.actions import wait_until_hour_ends
from minova.simulation.actions import wait_until_idle
from minova.simulation.evacuation import evacuate
from minova.simulation.evacuation import evacuate_by_disk_lock
from minova.simulation.evacuation import evacuate_by_fencing
from minova.simulation.evacuation import evacuate_early
from minova.simulation.evacuation import evacuate_without_proof
from minova.simulation.evacuation import share_storage
from minova.simulation.fencing import FAIL
from minova.simulation.fencing import HANG
from minova.simulation.fencing import SLOW
from minova.simulation.guest_effects import SECRET
from minova.simulation.image_service import OTHER_IMAGE
from minova.simulation.pinned_guests import boot_two_on_host
from minova.simulation.pinned_guests import dedicate
from minova.simulation.resets import crash_host
from minova.simulation.resets import return_crashed
from minova.simulation.resets import wait_for_migration
from minova.simulation.resets import wait_for_task
from minova.simulation.resets import wait_until_free
from minova.simulation.resets import wait_until_moved
from minova.simulation.resets import wait_until_unwinding
from minova.simulation.server_groups import boot_another
from minova.simulation.server_groups import boot_apart
from minova.simulation.server_groups import boot_two
from minova.simulation.server_groups import fill_empty_hosts
from minova.states import PowerState

_HARD: Final = act('reboot', {'type': 'HARD'})
_REBUILD: Final = act('rebuild', {'imageRef': OTHER_IMAGE})
_RESIZE: Final = act('resize', {'flavorRef': 'big'})
_FORCE: Final = act('forceDelete')
#: A delete that can be restored.
_KEEP: Final = set_option('conductor', 'reclaim_instance_interval', 86400)
#: The time to restore a soft-deleted server has passed.
_RECLAIM: Final = set_option('conductor', 'reclaim_instance_interval', 1)
_SHELVE: Final = act('shelve')
_UNSHELVE: Final = act('unshelve')
_OFFLOAD: Final = set_option('conductor', 'shelved_offload_time', 0)
_SNAPSHOT: Final = act('createImage', {'name': 'snapshot'})
_BACKUP: Final = act(
    'createBackup', {'name': 'backup', 'backup_type': 'daily', 'rotation': 2}
)
_NO_BACKUP: Final = act(
    'createBackup', {'name': 'backup', 'backup_type': 'daily', 'rotation': 0}
)

# -- the prepared clouds -----------------------------------------------------

PREPARATIONS: Final[dict[str, Action]] = {
    'nothing': lambda user: None,
    'active': sequence(boot, settle),
    'apart': sequence(boot_apart, settle),
    'pinned': sequence(dedicate, boot, settle),
    'with_config_drive': sequence(boot_with_drive, settle),
    'stopped': sequence(boot, settle, act('os-stop'), settle),
    'paused': sequence(boot, settle, act('pause'), settle),
    'suspended': sequence(boot, settle, act('suspend'), settle),
    'rescued': sequence(boot, settle, act('rescue'), settle),
    'resized': sequence(boot, settle, _RESIZE, settle),
    'shelved': sequence(boot, settle, _SHELVE, settle),
    'offloaded': sequence(boot, settle, _OFFLOAD, _SHELVE, settle),
    'soft_deleted': sequence(_KEEP, boot, settle, delete, settle),
    'migrated': sequence(
        boot, settle, act('os-stop'), settle, act('migrate'), settle
    ),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario; ``kind`` is its operation in the state table."""

    name: str
    kind: str
    starts_from: str
    run: Action


_MIGRATE_LIVE: Final = act(
    'os-migrateLive', {'host': None, 'block_migration': 'auto'}
)
_REBUILDING: Final = (_REBUILD, wait_for('rebuild_spawning'))
_PASSWORD: Final = act('changePassword', {'adminPass': SECRET})
_CRASH_DUMP: Final = act('trigger_crash_dump')
_RESIZING: Final = (_RESIZE, wait_for('resize_migrating'))
_MIGRATING: Final = (
    set_option('fake', 'migration_seconds', 20.0),
    _MIGRATE_LIVE,
    lambda user: user.wait_until_migrating(),
)
_TO_ACTIVE: Final = act('os-resetState', {'state': 'active'})
_TO_ERROR: Final = act('os-resetState', {'state': 'error'})
_STOP_UNEXPECTED: Final = set_option(
    'conductor', 'unexpected_running_instance_action', 'stop'
)
_SAME_HOST: Final = set_option('scheduler', 'allow_resize_to_same_host', True)

# fmt: off
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    # name                          operation              cloud                actions
    ('create',                      'create',              'nothing',           boot),
    ('create_with_config_drive',    'create',              'nothing',           boot_with_drive),
    ('create_rescheduled',          'create',              'nothing',           fail_elsewhere('start', hosts=2), boot),
    ('create_refused',              'create',              'nothing',           fail_elsewhere('define', 'MigrationPreCheckError'), boot),
    ('create_in_group',             'create',              'apart',             boot_two),
    ('create_in_full_group',        'create',              'apart',             fill_empty_hosts, boot_another),
    ('start',                       'start',               'stopped',           act('os-start')),
    ('stop',                        'stop',                'active',            act('os-stop')),
    ('stop_start',                  'start',               'active',            act('os-stop'), wait_until_idle, act('os-start')),
    ('stop_by_guest',               'stop',                'active',            power(PowerState.SHUTDOWN)),
    ('enforce_stop',                'enforce_stop',        'stopped',           _STOP_UNEXPECTED, power(PowerState.RUNNING)),
    ('pause',                       'pause',               'active',            act('pause')),
    ('enforce_pause',               'enforce_pause',       'paused',            _STOP_UNEXPECTED, power(PowerState.RUNNING)),
    ('unpause',                     'unpause',             'paused',            act('unpause')),
    ('suspend',                     'suspend',             'active',            act('suspend')),
    ('suspend_fails',               'suspend',             'active',            fail_here('suspend'), act('suspend')),
    ('resume',                      'resume',              'suspended',         act('resume')),
    ('resume_fails',                'resume',              'suspended',         fail_here('resume'), act('resume')),
    ('resume_without_memory',       'resume',              'suspended',         lose_saved_memory, act('resume')),
    ('rescue',                      'rescue',              'active',            act('rescue')),
    ('rescue_stopped',              'rescue',              'stopped',           act('rescue')),
    ('rescue_fails',                'rescue',              'active',            fail_here('start'), act('rescue')),
    ('rescue_refused',              'rescue',              'active',            fail_here('create_rescue_disk'), act('rescue')),
    ('unrescue',                    'unrescue',            'rescued',           act('unrescue')),
    ('unrescue_fails',              'unrescue',            'rescued',           fail_here('start'), act('unrescue')),
    ('reboot_soft',                 'reboot_soft',         'active',            act('reboot', {'type': 'SOFT'})),
    ('reboot_hard',                 'reboot_hard',         'active',            act('reboot', {'type': 'HARD'})),
    ('reboot_without_config_drive', 'reboot_hard',         'with_config_drive', lose_config_drive, _HARD, settle, _HARD),
    ('reboot_suspended',            'reboot_hard',         'suspended',         act('reboot', {'type': 'HARD'})),
    ('reboot_fails',                'reboot_hard',         'active',            fail_here('define'), act('reboot', {'type': 'HARD'})),
    ('rebuild',                     'rebuild',             'active',            _REBUILD),
    ('rebuild_stopped',             'rebuild',             'stopped',           _REBUILD),
    ('rebuild_with_config_drive',   'rebuild',             'with_config_drive', _REBUILD),
    ('rebuild_fails',               'rebuild',             'active',            fail_here('start'), _REBUILD),
    ('rebuild_undefined',           'rebuild',             'stopped',           fail_here('define'), _REBUILD),
    ('rebuild_refused',             'rebuild',             'active',            fail_here('create_disks'), _REBUILD),
    ('rebuild_not_retained',        'rebuild',             'active',            fail_here('retain_disks'), _REBUILD),
    ('rebuild_again',               'rebuild',             'active',            fail_here('start'), _REBUILD, wait_until_idle, _REBUILD),
    ('rebuild_without_disks',       'rebuild',             'stopped',           lose_disks, fail_here('define'), _REBUILD),
    ('rebuild_from_error',          'rebuild',             'stopped',           lose_disks, fail_here('define'), _REBUILD, settle, _REBUILD),
    ('resize',                      'resize',              'active',            _RESIZE),
    ('resize_in_group',             'resize',              'apart',             _RESIZE, boot_another),
    ('resize_in_full_group',        'resize',              'apart',             fill_empty_hosts, _RESIZE),
    ('resize_fails',                'resize',              'active',            fail_elsewhere('start'), _RESIZE),
    ('resize_rescheduled',          'resize',              'active',            fail_elsewhere('has_retained_disks', hosts=1), _RESIZE),
    ('resize_no_valid_host',        'resize',              'active',            fail_elsewhere('has_retained_disks'), _RESIZE),
    ('resize_unwound',              'resize',              'active',            fail_here('send_disks'), _RESIZE),
    ('resize_transfer_interrupted', 'resize',              'active',            fail_here('send_disks', 'DiskTransferInterrupted', 3), _RESIZE),
    ('resize_peer_unreachable',     'resize',              'active',            fail_here('check_can_send_disks', 'DiskTransferInterrupted', 3), _RESIZE),
    ('resize_same_host',            'resize',              'active',            _SAME_HOST, fill_other_hosts, _RESIZE),
    ('migrate',                     'migrate',             'stopped',           act('migrate')),
    ('confirm_resize',              'confirm_resize',      'resized',           act('confirmResize')),
    ('confirm_migration',           'confirm_resize',      'migrated',          act('confirmResize')),
    ('revert_resize',               'revert_resize',       'resized',           act('revertResize')),
    ('revert_migration',            'revert_resize',       'migrated',          act('revertResize')),
    ('resize_revert',               'revert_resize',       'active',            _RESIZE, wait_until_idle, act('revertResize')),
    ('live_migrate',                'live_migrate',        'active',            _MIGRATE_LIVE),
    ('live_migrate_paused',         'live_migrate',        'paused',            _MIGRATE_LIVE),
    ('live_migrate_in_group',       'live_migrate',        'apart',             _MIGRATE_LIVE, boot_another),
    ('live_migrate_in_full_group',  'live_migrate',        'apart',             fill_empty_hosts, _MIGRATE_LIVE),
    ('live_migrate_fails',          'live_migrate',        'active',            fail_here('start_live_migration'), _MIGRATE_LIVE),
    ('live_migrate_rescheduled',    'live_migrate',        'active',            fail_elsewhere('pre_live_migration', hosts=1), _MIGRATE_LIVE),
    ('live_migrate_unchecked',      'live_migrate',        'active',            fail_elsewhere('check_can_live_migrate_destination', hosts=1), _MIGRATE_LIVE),
    ('live_migrate_refused',        'live_migrate',        'active',            fail_elsewhere('pre_live_migration'), _MIGRATE_LIVE),
    ('abort_live_migrate',          'abort_live_migrate',  'active',            *_MIGRATING, abort),
    ('force_live_migrate',          'force_live_migrate',  'active',            *_MIGRATING, force),
    ('force_and_abort',             'abort_live_migrate',  'active',            *_MIGRATING, force, abort),
    ('create_pinned',               'create',              'nothing',           dedicate, boot_two_on_host),
    ('resize_pinned',               'resize',              'pinned',            _RESIZE),
    ('resize_pinned_same_host',     'resize',              'pinned',            _SAME_HOST, fill_other_hosts, _RESIZE),
    ('revert_pinned',               'revert_resize',       'pinned',            _RESIZE, settle, act('revertResize')),
    ('live_migrate_pinned',         'live_migrate',        'pinned',            _MIGRATE_LIVE),
    ('evacuate_pinned',             'evacuate',            'pinned',            *evacuate()),
    ('unshelve_pinned',             'unshelve',            'pinned',            _OFFLOAD, _SHELVE, settle, _UNSHELVE),
    ('evacuate',                    'evacuate',            'active',            *evacuate()),
    ('evacuate_stopped',            'evacuate',            'stopped',           *evacuate()),
    ('evacuate_fails',              'evacuate',            'active',            fail_elsewhere('start', hosts=1), *evacuate()),
    ('evacuate_shared',             'evacuate',            'active',            share_storage, *evacuate()),
    ('evacuate_shared_fails',       'evacuate',            'active',            share_storage, fail_elsewhere('start', hosts=1), *evacuate()),
    ('evacuate_unproven',           'evacuate',            'active',            *evacuate_without_proof()),
    ('evacuate_disk_lock',          'evacuate',            'active',            *evacuate_by_disk_lock(is_shared=True)),
    ('evacuate_local_disk',         'evacuate',            'active',            *evacuate_by_disk_lock(is_shared=False)),
    ('evacuate_fenced',             'evacuate',            'active',            *evacuate_by_fencing()),
    ('evacuate_fenced_slowly',      'evacuate',            'active',            *evacuate_by_fencing(SLOW)),
    ('evacuate_fence_fails',        'evacuate',            'active',            *evacuate_by_fencing(FAIL)),
    ('evacuate_fence_hangs',        'evacuate',            'active',            *evacuate_by_fencing(HANG)),
    ('evacuate_early',              'evacuate',            'active',            *evacuate_early()),
    ('evacuate_host_returns',       'evacuate',            'active',            *evacuate(returns_early=True)),
    ('delete',                      'delete',              'active',            delete),
    ('delete_resized',              'delete',              'resized',           delete),
    ('delete_suspended',            'delete',              'suspended',         delete),
    ('delete_rescued',              'delete',              'rescued',           delete),
    ('delete_rebuilding',           'delete',              'active',            *_REBUILDING, delete),
    ('delete_resizing',             'delete',              'active',            *_RESIZING, delete),
    ('delete_migrating',            'delete',              'active',            *_MIGRATING, delete),
    ('force_delete',                'force_delete',        'active',            _FORCE),
    ('force_delete_resized',        'force_delete',        'resized',           _FORCE),
    ('force_delete_suspended',      'force_delete',        'suspended',         _FORCE),
    ('force_delete_rebuilding',     'force_delete',        'active',            *_REBUILDING, _FORCE),
    ('force_delete_resizing',       'force_delete',        'active',            *_RESIZING, _FORCE),
    ('force_delete_migrating',      'force_delete',        'active',            *_MIGRATING, _FORCE),
    ('soft_delete',                 'soft_delete',         'active',            _KEEP, delete),
    ('soft_delete_suspended',       'soft_delete',         'suspended',         _KEEP, delete),
    ('soft_delete_resized',         'soft_delete',         'resized',           _KEEP, delete),
    ('soft_delete_fails',           'soft_delete',         'paused',            _KEEP, fail_here('power_off'), delete),
    ('force_delete_soft_deleted',   'force_delete',        'soft_deleted',      _FORCE),
    ('restore',                     'restore',             'soft_deleted',      act('restore')),
    ('restore_suspended',           'restore',             'suspended',         _KEEP, delete, settle, act('restore')),
    ('restore_rescued',             'restore',             'rescued',           _KEEP, delete, settle, act('restore')),
    ('restore_fails',               'restore',             'soft_deleted',      fail_here('start'), act('restore')),
    ('reclaim',                     'delete',              'soft_deleted',      _RECLAIM, wait_until_deleted),
    ('restore_at_reclaim',          'restore',             'soft_deleted',      _RECLAIM, act('restore')),
    ('attach_interface',            'attach_interface',    'active',            attach_interface),
    ('attach_interface_stopped',    'attach_interface',    'stopped',           attach_interface, act('os-start')),
    ('attach_interface_paused',     'attach_interface',    'paused',            attach_interface),
    ('attach_interface_fails',      'attach_interface',    'active',            fail_here('attach_interface'), attach_interface),
    ('attach_interface_migrate',    'attach_interface',    'active',            attach_interface, _MIGRATE_LIVE),
    ('attach_interface_resize',     'attach_interface',    'active',            attach_interface, _RESIZE),
    ('attach_interface_reboot',     'attach_interface',    'with_config_drive', attach_interface, _HARD),
    ('detach_interface',            'detach_interface',    'active',            detach_interface),
    ('detach_interface_stopped',    'detach_interface',    'stopped',           detach_interface, act('os-start')),
    ('detach_interface_fails',      'detach_interface',    'active',            fail_here('detach_interface'), detach_interface),
    ('detach_interface_released',   'detach_interface',    'active',            lose_interface, fail_here('detach_interface'), detach_interface),
    ('attach_and_detach',           'detach_interface',    'active',            attach_interface, detach_interface),
    ('add_fixed_ip',                'add_fixed_ip',        'active',            add_fixed_ip),
    ('remove_fixed_ip',             'remove_fixed_ip',     'active',            add_fixed_ip, settle, remove_fixed_ip),
    ('delete_attaching',            'delete',              'active',            add_fixed_ip, delete),
    ('force_delete_attaching',      'force_delete',        'active',            add_fixed_ip, _FORCE),
    ('delete_detaching',            'delete',              'active',            detach_interface, delete),
    ('crash_dump',                  'trigger_crash_dump',  'active',            _CRASH_DUMP),
    ('crash_dump_fails',            'trigger_crash_dump',  'active',            fail_here('inject_nmi'), _CRASH_DUMP),
    ('crash_dump_paused',           'trigger_crash_dump',  'paused',            _CRASH_DUMP),
    ('change_password',             'set_admin_password',  'active',            _PASSWORD),
    ('change_password_fails',       'set_admin_password',  'active',            fail_here('set_admin_password'), _PASSWORD),
    ('delete_changing_password',    'delete',              'active',            _PASSWORD, delete),
    ('snapshot',                    'snapshot',            'active',            _SNAPSHOT),
    ('snapshot_quiesced',           'snapshot',            'active',            require_quiesce, _SNAPSHOT),
    ('snapshot_stopped',            'snapshot',            'stopped',           _SNAPSHOT),
    ('snapshot_paused',             'snapshot',            'paused',            _SNAPSHOT),
    ('snapshot_suspended',          'snapshot',            'suspended',         _SNAPSHOT),
    ('snapshot_fails',              'snapshot',            'active',            fail_here('take_snapshot'), _SNAPSHOT),
    ('snapshot_of_deleted_image',   'snapshot',            'active',            _SNAPSHOT, delete_image),
    ('snapshot_then_stop',          'stop',                'active',            _SNAPSHOT, wait_until_idle, act('os-stop')),
    ('backup',                      'backup',              'active',            _BACKUP),
    ('backup_rotated',              'backup',              'active',            _BACKUP, wait_until_idle, _BACKUP, wait_until_idle, _BACKUP),
    ('backup_without_rotation',     'backup',              'stopped',           _BACKUP, wait_until_idle, _NO_BACKUP),
    ('delete_snapshotting',         'discard_snapshot',    'active',            _SNAPSHOT, wait_for('image_uploading'), delete),
    ('force_delete_snapshotting',   'discard_snapshot',    'active',            _SNAPSHOT, wait_for('image_uploading'), _FORCE),
    ('delete_pending_snapshot',     'discard_snapshot',    'active',            _SNAPSHOT, delete),
    ('shelve',                      'shelve',              'active',            _OFFLOAD, _SHELVE),
    ('shelve_on_host',              'shelve',              'active',            _SHELVE),
    ('shelve_paused',               'shelve',              'paused',            _SHELVE),
    ('shelve_suspended',            'shelve',              'suspended',         _SHELVE),
    ('shelve_fails',                'shelve',              'active',            fail_here('take_snapshot'), _SHELVE),
    ('shelve_paused_fails',         'shelve',              'paused',            fail_here('take_snapshot'), _SHELVE),
    ('shelve_offload',              'shelve_offload',      'shelved',           act('shelveOffload')),
    ('shelve_offload_fails',        'shelve_offload',      'shelved',           fail_here('destroy'), act('shelveOffload')),
    ('unshelve',                    'unshelve',            'offloaded',         _UNSHELVE),
    ('unshelve_on_host',            'unshelve',            'shelved',           _UNSHELVE),
    ('unshelve_fails',              'unshelve',            'shelved',           fail_here('start'), _UNSHELVE),
    ('unshelve_rescheduled',        'unshelve',            'offloaded',         fail_elsewhere('start', hosts=2), _UNSHELVE),
    ('unshelve_refused',            'unshelve',            'offloaded',         fail_elsewhere('start'), _UNSHELVE),
    ('shelve_unshelve',             'unshelve',            'active',            _OFFLOAD, _SHELVE, settle, _UNSHELVE),
    ('delete_shelving',             'delete',              'active',            _SHELVE, wait_for('shelving_image_uploading'), delete),
    ('delete_shelved',              'delete',              'shelved',           delete),
    ('delete_offloaded',            'delete',              'offloaded',         delete),
    ('force_delete_offloading',     'force_delete',        'shelved',           act('shelveOffload'), _FORCE),
    ('delete_unshelving',           'delete',              'offloaded',         _UNSHELVE, wait_for('spawning'), delete),
    ('restore_shelved',             'restore',             'shelved',           _KEEP, delete, settle, act('restore')),
    ('restore_offloaded',           'restore',             'offloaded',         _KEEP, delete, settle, act('restore')),
    ('reset_idle',                  'reset_state',         'active',            _TO_ERROR, wait_until_idle, _TO_ACTIVE),
    ('reset_twice',                 'reset_state',         'active',            *_MIGRATING, _TO_ERROR, _TO_ACTIVE),
    ('reset_scheduling',            'reset_state',         'nothing',           boot, _TO_ERROR),
    ('reset_creating',              'reset_state',         'nothing',           boot, wait_for_task('spawning'), _TO_ERROR),
    ('reset_rebooting',             'reset_state',         'active',            _HARD, _TO_ACTIVE),
    ('reset_rebuilding',            'reset_state',         'active',            *_REBUILDING, _TO_ACTIVE),
    ('reset_rescuing',              'reset_state',         'active',            act('rescue'), wait_for_task('rescuing'), _TO_ACTIVE),
    ('reset_rebuild_begun',         'reset_state',         'stopped',           _REBUILD, _TO_ERROR),
    ('reset_resized',               'reset_state',         'resized',           _TO_ACTIVE),
    ('reset_confirming',            'reset_state',         'resized',           act('confirmResize'), _TO_ACTIVE),
    ('reset_resize_prep',           'reset_state',         'active',            _RESIZE, wait_for_task('resize_prep'), _TO_ACTIVE),
    ('reset_resizing',              'reset_state',         'active',            *_RESIZING, _TO_ACTIVE),
    ('reset_resize_migrated',       'reset_state',         'active',            _RESIZE, wait_for_task('resize_migrated'), _TO_ACTIVE),
    ('reset_resize_finish',         'reset_state',         'active',            _RESIZE, wait_for_task('resize_finish'), _TO_ACTIVE),
    ('reset_resize_unwinding',      'reset_state',         'active',            fail_elsewhere('start'), _RESIZE, wait_for_task('resize_finish'), wait_until_unwinding, _TO_ACTIVE),
    ('reset_resize_same_host',      'reset_state',         'pinned',            _SAME_HOST, fill_other_hosts, _RESIZE, wait_for_task('resize_finish'), _TO_ACTIVE),
    ('reset_reverting',             'reset_state',         'resized',           act('revertResize'), _TO_ACTIVE),
    ('reset_revert_finishing',      'reset_state',         'resized',           act('revertResize'), wait_until_moved, _TO_ACTIVE),
    ('reset_live_queued',           'reset_state',         'active',            _MIGRATE_LIVE, _TO_ACTIVE),
    ('reset_live_preparing',        'reset_state',         'active',            _MIGRATE_LIVE, wait_for_migration('preparing'), _TO_ACTIVE),
    ('reset_live_running',          'reset_state',         'active',            *_MIGRATING, _TO_ACTIVE),
    ('reset_live_post',             'reset_state',         'active',            _MIGRATE_LIVE, wait_until_moved, _TO_ACTIVE),
    ('reset_live_paused',           'reset_state',         'active',            *_MIGRATING, force, _TO_ACTIVE),
    ('reset_live_host_down',        'reset_state',         'active',            *_MIGRATING, crash_host, _TO_ACTIVE, return_crashed),
    ('reset_resize_host_down',      'reset_state',         'active',            _RESIZE, wait_for_task('resize_finish'), crash_host, _TO_ACTIVE, return_crashed),
    ('reset_host_down',             'reset_state',         'active',            _HARD, crash_host, _TO_ERROR, return_crashed),
    ('reset_evacuating',            'reset_state',         'active',            *evacuate(returns_early=True), _TO_ERROR),
    ('reset_evacuating_shared',     'reset_state',         'active',            share_storage, *evacuate(returns_early=True), _TO_ERROR),
    ('reset_then_delete',           'delete',              'active',            *_MIGRATING, _TO_ERROR, delete),
    ('reset_then_force_delete',     'force_delete',        'active',            _RESIZE, wait_for_task('resize_finish'), _TO_ERROR, _FORCE),
    ('reset_then_reboot',           'reboot_hard',         'active',            *_MIGRATING, _TO_ACTIVE, wait_until_free, _HARD),
    ('lock',                        'lock',                'active',            act('lock')),
    ('lock_migrating',              'lock',                'active',            *_MIGRATING, act('lock')),
    ('unlock',                      'unlock',              'active',            act('lock'), act('unlock')),
    ('power_sync',                  'power_sync',          'stopped',           power(PowerState.RUNNING)),
    ('power_sync_off',              'power_sync',          'paused',            power(PowerState.SHUTDOWN)),
    ('cleanup_stale_guest',         'cleanup_stale_guest', 'active',            plant_stale_guest),
    ('usage_audit',                 'stop',                'active',            begin_usage_audit, act('os-stop'), wait_until_audited),
    ('usage_audit_create',          'create',              'active',            begin_usage_audit, boot, wait_until_audited),
    ('usage_audit_resize',          'resize',              'active',            begin_usage_audit, wait_until_hour_ends, _RESIZE, wait_until_audited),
    ('usage_audit_delete',          'delete',              'active',            begin_usage_audit, delete, wait_until_audited),
)
# fmt: on

SCENARIOS: Final = {
    name: Scenario(name, kind, begins, sequence(*acts))
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

#: The operations whose work ends with the process that has their secret.
NEEDS_SECRET: Final = frozenset({'set_admin_password'})
