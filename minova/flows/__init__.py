# SPDX-License-Identifier: Apache-2.0
"""The stories, one file each; this is their table of contents.

``chain`` says what stories and steps are made of. ``power`` and ``watching``
are parts of several steps: power states, and a live migration under way.
"""

from typing import Final

from minova.flows import abort
from minova.flows import build
from minova.flows import delete
from minova.flows import force_complete
from minova.flows import lifecycle
from minova.flows import live_migration
from minova.flows import rescue
from minova.flows import resize
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Flow

#: What happens for each kind of operation of the state table.
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
    'reboot_soft': lifecycle.Reboot(),
    'reboot_hard': lifecycle.Reboot(),
    'resize': resize.Resize(),
    'migrate': resize.ResizeOrMigrate(),
    'confirm_resize': resize.Confirm(),
    'revert_resize': resize.Revert(),
    'live_migrate': live_migration.LiveMigrate(),
    'abort_live_migrate': abort.Abort(),
    'force_live_migrate': force_complete.ForceComplete(),
    'delete': delete.Delete(),
    'force_delete': delete.ForceDelete(),
    'power_sync': lifecycle.PowerSync(),
    'cleanup_stale_guest': delete.CleanupStaleGuestFlow(),
}

_STEPS: Final = {
    kind: {step.method: step() for step in story.steps}
    for kind, story in FLOWS.items()
}


def get_step(kind: str, method: str) -> ComputeStep | ConductorStep:
    """Return the step that ``method`` is in an operation of ``kind``."""
    return _STEPS[kind][method]
