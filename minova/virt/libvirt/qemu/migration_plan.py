# SPDX-License-Identifier: Apache-2.0
"""The check of a block migration's plan, before the destination acts on it.

The plan comes from the source. The destination creates only files that its
own description of the guest has, in the guest's directory, and no larger than
its file system.
"""

import os
import shutil

from minova import exception
from minova.objects.live_migrate_data import QemuMigrateData
from minova.virt.driver import GuestSpec
from minova.virt.libvirt.disks import Disks

_GIB = 1 << 30


def require_safe(disks: Disks, spec: GuestSpec, qemu: QemuMigrateData) -> None:
    """Raise GuestMigrationFailed for a plan that does not fit the guest."""
    formats = {
        os.path.basename(disk.path): disk.format
        for disk in disks.list_disks(spec)
        if not disk.readonly
    }
    names = [disk.name for disk in qemu.disks]
    if not names or len(set(names)) < len(names):
        raise _rejected(spec, f'it names the disks {names[:4]}')
    usage = shutil.disk_usage(disks.directory)
    for disk in qemu.disks:
        if disk.name not in formats:
            raise _rejected(
                spec,
                f'the guest has no disk {disk.name[:64]!r}, only '
                f'{", ".join(sorted(formats))}',
            )
        if disk.format != formats[disk.name]:
            raise _rejected(
                spec, f'{disk.name} has the format {formats[disk.name]}'
            )
        # A root disk never shrinks and other disks keep the size of an
        # earlier flavor.
        root_gb = spec.max_root_gb or spec.root_gb
        is_sized = disk.name == 'disk' and root_gb
        largest = root_gb * _GIB if is_sized else usage.total
        if not 0 < disk.size <= largest:
            raise _rejected(
                spec,
                f'{disk.name} would have {disk.size} bytes; at most '
                f'{largest} are possible',
            )
    if sum(disk.size for disk in qemu.disks) > usage.total:
        raise _rejected(
            spec, f'the disks are larger than the {usage.total} bytes here'
        )


def _rejected(spec: GuestSpec, reason: str) -> exception.GuestMigrationFailed:
    return exception.GuestMigrationFailed(
        instance_id=spec.uuid,
        reason=f'the plan of the source was rejected: {reason}',
    )
