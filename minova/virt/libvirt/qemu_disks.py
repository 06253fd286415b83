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
        return super().has_disks(uuid) and self._has_base(uuid)

    def _has_base(self, uuid: str) -> bool:
        path = os.path.join(self.folder(uuid), 'disk')
        with failures(uuid):
            base = backing.backing_file(path)
        return base is None or os.path.exists(base)

    def make_room(self, uuid: str) -> str:
        """Return a guest's directory, made for disks that are copied here."""
        folder = self.folder(uuid)
        os.makedirs(folder, exist_ok=True)
        write_owner(folder, self.host)
        return folder

    def require_shared(self, uuid: str) -> None:
        """Require that disks of another host are seen, with their image."""
        path = os.path.join(self.folder(uuid), 'disk')
        if not os.path.exists(path):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'{self.host} does not see {path}, which it shares',
            )
        if not self._has_base(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'{self.host} does not see the image that {path} is '
                'over: hosts that share disks must share [compute] '
                'image_cache_directory too',
            )

    def take_over(self, uuid: str) -> None:
        """Own the disks of a guest that runs here, as it came running."""
        if os.path.isdir(self.folder(uuid)) and not self.is_own(uuid):
            with failures(uuid):
                self.give(uuid, self.host)
