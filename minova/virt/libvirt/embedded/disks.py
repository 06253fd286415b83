# SPDX-License-Identifier: Apache-2.0
"""The disks of an embedded host: plain files beside its records."""

import os

from minova import exception
from minova.objects.transfer_ticket import TransferTicket
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.plain_files import PlainFileBackend


class EmbeddedDisks(Disks):
    """The disks of one embedded host."""

    def __init__(self, store: EmbeddedStore, host: str) -> None:
        super().__init__(
            os.path.join(store.host_directory(host), 'instances'),
            PlainFileBackend(),
        )
        self._store = store
        self._host = host

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Return a ticket without a secret: all hosts share one machine."""
        return TransferTicket(
            host=self._host, operation=spec.operation, token=''
        )

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Require the disks, and a destination on this machine."""
        if not self.has_retained_disks(uuid):
            self.require_disks(uuid)
            self._require_known_host(uuid, dest)

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> list[TransferProgress]:
        """Copy the disks to the directory of the destination in one step."""
        if self.has_retained_disks(uuid):
            return []
        self.copy_to(uuid, dest)
        size = self.bytes_used(uuid)
        return [TransferProgress(size, size)]

    def commit_received_disks(self, uuid: str) -> None:
        """Require the disks; a copy with a final name is complete."""
        self.require_disks(uuid)

    def copy_to(self, uuid: str, dest: Peer) -> None:
        """Copy the disks to the directory of the destination."""
        self.require_disks(uuid)
        self._require_known_host(uuid, dest)
        destination = EmbeddedDisks(self._store, dest.host)
        destination.copy_from(uuid, self.guest_directory(uuid))

    def copy_from(self, uuid: str, folder: str) -> None:
        """Replace the disks by a copy of the directory ``folder``."""
        with translate_os_errors(uuid):
            part = self._copy_directory(uuid, folder)
            self._remove_directory(uuid, self.guest_directory(uuid))
            os.rename(part, self.guest_directory(uuid))

    def _require_known_host(self, uuid: str, dest: Peer) -> None:
        if not self._store.has_host(dest.host):
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'{dest.host} is not an embedded host of this machine; '
                'disks of embedded hosts can only be copied below '
                f'{self._store.directory}',
            )
