# SPDX-License-Identifier: Apache-2.0
"""The names of steps as events of instance actions."""

from minova import flows
from minova.flows import interfaces
from minova.flows.base import ConductorStep
from tests import base

_ATTACH = ('compute_attach_interface', 'compute_undo_attach_interface')
_DETACH = ('compute_detach_interface', 'compute_undo_detach_interface')

#: The events of each kind of operation. Nova has all of them but those that
#: undo a step or remove a stale guest.
EVENTS = {
    'create': (
        'conductor_schedule_and_build_instances',
        'compute__do_build_and_run_instance',
        'compute_unbuild_instance',
    ),
    'start': ('compute_start_instance',),
    'stop': ('compute_stop_instance',),
    'enforce_stop': ('compute_stop_instance',),
    'pause': ('compute_pause_instance',),
    'enforce_pause': ('compute_pause_instance',),
    'unpause': ('compute_unpause_instance',),
    'suspend': ('compute_suspend_instance',),
    'resume': ('compute_resume_instance',),
    'soft_delete': (
        'compute_soft_delete_instance',
        'compute_power_off_soft_deleted',
    ),
    'restore': (
        'compute_restore_instance',
        'compute_undo_restore_instance',
        'compute_discard_image',
    ),
    'shelve': (
        'compute_shelve_instance',
        'compute_undo_shelve_instance',
        'compute_discard_image',
    ),
    'shelve_offload': (
        'compute_shelve_offload_instance',
        'compute_cleanup_stale_guest',
    ),
    'unshelve': (
        'conductor_unshelve_instance',
        'compute_unshelve_instance',
        'compute_undo_unshelve_instance',
        'compute_discard_image',
    ),
    'rescue': ('compute_rescue_instance', 'compute_undo_rescue_instance'),
    'unrescue': (
        'compute_unrescue_instance',
        'compute_undo_unrescue_instance',
    ),
    'attach_interface': _ATTACH,
    'add_fixed_ip': _ATTACH,
    'detach_interface': _DETACH,
    'remove_fixed_ip': _DETACH,
    'reboot_soft': ('compute_reboot_instance',),
    'reboot_hard': ('compute_reboot_instance',),
    'rebuild': (
        'conductor_rebuild_server',
        'compute_rebuild_instance',
        'compute_undo_rebuild_instance',
        'compute_cleanup_stale_guest',
    ),
    'set_admin_password': ('compute_set_admin_password',),
    'trigger_crash_dump': ('compute_trigger_crash_dump',),
    'resize': (
        'conductor_migrate_server',
        'compute_prep_resize',
        'compute_resize_instance',
        'compute_finish_resize',
        'compute_undo_prep_resize',
        'compute_undo_resize_instance',
        'compute_undo_finish_resize',
    ),
    'migrate': (
        'conductor_migrate_server',
        'compute_prep_resize',
        'compute_resize_instance',
        'compute_finish_resize',
        'compute_undo_prep_resize',
        'compute_undo_resize_instance',
        'compute_undo_finish_resize',
    ),
    'confirm_resize': ('compute_confirm_resize',),
    'revert_resize': (
        'compute_revert_resize',
        'compute_finish_revert_resize',
    ),
    'live_migrate': (
        'conductor_live_migrate_instance',
        'compute_live_migration',
        'compute_pre_live_migration',
        'compute_post_live_migration_at_destination',
        'compute_rollback_live_migration_at_destination',
    ),
    'abort_live_migrate': ('compute_live_migration_abort',),
    'force_live_migrate': ('compute_live_migration_force_complete',),
    'evacuate': (
        'conductor_fence_host',
        'conductor_rebuild_server',
        'compute_rebuild_instance',
        'compute_undo_rebuild_evacuated_instance',
        'compute_destroy_evacuated_instance',
    ),
    'delete': ('compute_terminate_instance', 'compute_cleanup_stale_guest'),
    'force_delete': ('compute_cleanup_stale_guest',),
    'snapshot': (
        'compute_snapshot_instance',
        'compute_undo_snapshot_instance',
        'compute_discard_image',
    ),
    'backup': (
        'compute_backup_instance',
        'compute_undo_snapshot_instance',
        'compute_discard_image',
    ),
    'discard_snapshot': (
        'compute_undo_snapshot_instance',
        'compute_discard_image',
    ),
    'reset_state': (
        'compute_settle_guest',
        'compute_settle_at_source',
        'compute_settle_at_destination',
        'compute_remove_leftovers',
        'compute_cleanup_stale_guest',
        'compute_destroy_evacuated_instance',
    ),
    'lock': (),
    'unlock': (),
    'power_sync': (),
    'cleanup_stale_guest': ('compute_cleanup_stale_guest',),
}


class EventNameTest(base.TestCase):
    """Every step of every flow."""

    def test_names(self):
        found = {
            kind: tuple(
                interfaces.get_event_name(
                    kind,
                    'conductor'
                    if issubclass(step, ConductorStep)
                    else 'compute',
                    step.method,
                )
                for step in flow.steps
            )
            for kind, flow in flows.FLOWS.items()
        }
        self.assertEqual(set(EVENTS), set(found))
        for kind, names in EVENTS.items():
            self.assertCountEqual(names, found[kind], kind)

    def test_step_of_an_older_release(self):
        self.assertEqual(
            'compute_gone',
            interfaces.get_event_name('stop', 'compute', 'gone'),
        )
