# SPDX-License-Identifier: Apache-2.0
"""The checkpoints of steps: a class for each, with the facts it saves.

``run`` of a step saves a checkpoint in the middle of its work. An attempt
that resumes the step reads the checkpoints that earlier attempts passed.
The undo of the step reads them too.
"""

from collections.abc import Iterable
from typing import TypeVar

from minova.objects import base

CheckpointT = TypeVar('CheckpointT', bound='Checkpoint')


@base.register
class Checkpoint(base.Object):
    """The base class of all checkpoints."""

    VERSION = '1.0'


@base.register
class GuestUntouched(Checkpoint):
    """Any step that failed: the attempt has not changed its guest.

    The undo of the step leaves the guest alone.
    """

    VERSION = '1.0'


@base.register
class RebootStarted(Checkpoint):
    """reboot_instance: the number of the boot that ends, None without one."""

    VERSION = '1.0'

    boot: int | None


@base.register
class OldDisksRetained(Checkpoint):
    """rebuild_instance: the old disks, if they exist, are retained."""

    VERSION = '1.0'

    exists: bool


@base.register
class CrashDumpTriggered(Checkpoint):
    """trigger_crash_dump: the boot of the guest that is interrupted."""

    VERSION = '1.0'

    boot: int | None


@base.register
class UnrescuedGuestStarted(Checkpoint):
    """unrescue_instance: the guest runs from its own disk."""

    VERSION = '1.0'


@base.register
class SharedDisksTaken(Checkpoint):
    """rebuild_evacuated_instance: the destination keeps the shared disks."""

    VERSION = '1.0'


@base.register
class GuestMigrated(Checkpoint):
    """live_migration: the guest runs on the destination."""

    VERSION = '1.0'


@base.register
class SnapshotTaken(Checkpoint):
    """snapshot_instance: the copy of the disk is complete on the host."""

    VERSION = '1.0'


@base.register
class UploadStarted(Checkpoint):
    """snapshot_instance: the copy is on its way to the image service."""

    VERSION = '1.0'


def find(
    passed: Iterable[Checkpoint], kind: type[CheckpointT]
) -> CheckpointT | None:
    """Return the checkpoint of a class that was passed, None without one."""
    for checkpoint in passed:
        if isinstance(checkpoint, kind):
            return checkpoint
    return None
