# SPDX-License-Identifier: Apache-2.0
"""The flows: the steps of each kind of operation, one module each.

================= ===========================================================
module            what it holds
================= ===========================================================
base              the base classes of flows and steps
build             create
delete            delete, force_delete, cleanup_stale_guest
soft_delete       soft_delete, restore
lifecycle         start, stop, pause, suspend, reboot and their opposites;
                  power_sync
rescue            rescue, unrescue
attach_interface  attach_interface, detach_interface, add_fixed_ip,
                  remove_fixed_ip
rebuild           rebuild
admin_password    set_admin_password
crash_dump        trigger_crash_dump
reset_state       reset_state
lock              lock, unlock
evacuate          evacuate
snapshot          snapshot, backup, discard_snapshot
shelve            shelve, shelve_offload, unshelve
resize            resize, migrate
confirm_resize    confirm_resize
revert_resize     revert_resize
live_migration    live_migrate
abort             abort_live_migrate
force_complete    force_live_migrate
power_actions     parts of steps: power actions on a guest
retries           parts of flows: the selection of another host
migration_monitor parts of steps: the monitor of a running live migration
interfaces        the RPC interfaces with the methods of all steps
================= ===========================================================
"""

from typing import Final

from minova.flows import abort
from minova.flows import admin_password
from minova.flows import attach_interface
from minova.flows import build
from minova.flows import confirm_resize
from minova.flows import crash_dump
from minova.flows import delete
from minova.flows import evacuate
from minova.flows import force_complete
from minova.flows import lifecycle
from minova.flows import live_migration
from minova.flows import lock
from minova.flows import rebuild
from minova.flows import rescue
from minova.flows import reset_state
from minova.flows import resize
from minova.flows import revert_resize
from minova.flows import shelve
from minova.flows import snapshot
from minova.flows import soft_delete
from minova.flows.base import AnyStep
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Flow

#: The flow of each kind of operation in the state table.
FLOWS: Final[dict[str, Flow]] = {
    'create': build.Create(),
    'start': lifecycle.Start(),
    'stop': lifecycle.Stop(),
    'enforce_stop': lifecycle.Stop(),
    'pause': lifecycle.Pause(),
    'enforce_pause': lifecycle.Pause(),
    'unpause': lifecycle.Unpause(),
    'suspend': lifecycle.Suspend(),
    'resume': lifecycle.Resume(),
    'rescue': rescue.Rescue(),
    'unrescue': rescue.Unrescue(),
    'rebuild': rebuild.Rebuild(),
    'reboot_soft': lifecycle.Reboot(),
    'reboot_hard': lifecycle.Reboot(),
    'resize': resize.Resize(),
    'migrate': resize.ResizeOrMigrate(),
    'confirm_resize': confirm_resize.Confirm(),
    'revert_resize': revert_resize.Revert(),
    'live_migrate': live_migration.LiveMigrate(),
    'abort_live_migrate': abort.Abort(),
    'force_live_migrate': force_complete.ForceComplete(),
    'evacuate': evacuate.Evacuate(),
    'delete': delete.Delete(),
    'force_delete': delete.ForceDelete(),
    'soft_delete': soft_delete.SoftDelete(),
    'restore': soft_delete.Restore(),
    'attach_interface': attach_interface.Attach(),
    'detach_interface': attach_interface.Detach(),
    'add_fixed_ip': attach_interface.Attach(),
    'remove_fixed_ip': attach_interface.Detach(),
    'set_admin_password': admin_password.AdminPassword(),
    'trigger_crash_dump': crash_dump.CrashDump(),
    'snapshot': snapshot.Snapshot(),
    'backup': snapshot.Backup(),
    'shelve': shelve.Shelve(),
    'shelve_offload': shelve.ShelveOffload(),
    'unshelve': shelve.Unshelve(),
    'discard_snapshot': snapshot.DiscardSnapshot(),
    'reset_state': reset_state.ResetState(),
    'lock': lock.Lock(),
    'unlock': lock.Unlock(),
    'power_sync': lifecycle.PowerSync(),
    'cleanup_stale_guest': delete.CleanupStaleGuestFlow(),
}

_STEPS: Final = {
    kind: {step.method: step() for step in flow.steps}
    for kind, flow in FLOWS.items()
}

_COMPUTE_STEPS: Final = [
    step
    for steps in _STEPS.values()
    for step in steps.values()
    if isinstance(step, ComputeStep)
]
#: The methods of the steps that remove guests.
URGENT_METHODS: Final = frozenset(
    step.method for step in _COMPUTE_STEPS if step.urgent
)
#: The methods of the steps whose operation can end before them.
METHODS_WITHOUT_HOST: Final = frozenset(
    step.method for step in _COMPUTE_STEPS if step.can_finish_without_host
)
#: The methods of the steps of conductors that run programs.
PROGRAM_METHODS: Final = frozenset(
    step.method
    for steps in _STEPS.values()
    for step in steps.values()
    if isinstance(step, ConductorStep) and step.runs_program
)


def get_step(kind: str, method: str) -> AnyStep:
    """Return the step whose method is ``method`` in the flow of ``kind``."""
    return _STEPS[kind][method]
