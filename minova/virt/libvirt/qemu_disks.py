# SPDX-License-Identifier: Apache-2.0
"""The disks of one QEMU host: overlays of images, here or shared."""

import os

from minova import exception
from minova.virt.libvirt import backing
from minova.virt.libvirt.disks import failures
from minova.virt.libvirt.overlays import Overlays
from minova.virt.libvirt.owned import write_owner
from minova.virt.libvirt.qcow2 import OverlayFiles
from minova.virt.libvirt.qcow2 import ROOTS
from minova.virt.libvirt.remote import RemoteDisks
from minova.virt.libvirt.site import Site


def without_base(host: str, base: str) -> str:
    """Return what is wrong with a host that sees disks but not their image."""
    return (
        f'{host} sees the disk, but not {base}, the image that it is over: '
        'hosts that have [libvirt] instances_directory in common must have '
        '[compute] image_cache_directory in common too, at the same path'
    )


class QemuDisks(RemoteDisks):
    """The disks of the guests of a site."""

    def __init__(self, site: Site) -> None:
        super().__init__(
            site.instances,
            OverlayFiles(),
            site.host,
            Overlays(site.images, ROOTS),
        )

    def has_disks(self, uuid: str) -> bool:
        """Tell whether the root disk is here, and the image it is over."""
        return super().has_disks(uuid) and not self.missing_base(uuid)

    def sees_disks(self, uuid: str) -> bool:
        """Tell whether the root disk is here, whosever it is."""
        return os.path.exists(self._root(uuid))

    def missing_base(self, uuid: str) -> str | None:
        """Return the image that the root disk is over and that is not here.

        None where it is here, or there is none, or no disk either.
        """
        if not self.sees_disks(uuid):
            return None
        with failures(uuid):
            base = backing.backing_file(self._root(uuid))
        return None if base is None or os.path.exists(base) else base

    def make_room(self, uuid: str) -> str:
        """Return a guest's directory, made for disks that are copied here."""
        folder = self.folder(uuid)
        os.makedirs(folder, exist_ok=True)
        write_owner(folder, self.host)
        return folder

    def require_shared(self, uuid: str) -> None:
        """Require that disks of another host are seen, with their image."""
        if not self.sees_disks(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'{self.host} does not see {self._root(uuid)}, which '
                'it shares',
            )
        base = self.missing_base(uuid)
        if base is not None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=without_base(self.host, base)
            )

    def take_over(self, uuid: str) -> None:
        """Own the disks of a guest that runs here, as it came running."""
        if os.path.isdir(self.folder(uuid)) and not self.is_own(uuid):
            with failures(uuid):
                self.give(uuid, self.host)
