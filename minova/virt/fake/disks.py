# SPDX-License-Identifier: Apache-2.0
"""The disks of a fake host: records with unique content."""

import dataclasses
from typing import cast

from minova import clock
from minova import exception
from minova.objects.transfer_ticket import TransferTicket
from minova.states import POWERED_ON
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import fault_injectable
from minova.virt.record_store import Record


class FakeDisks(FakeHost):
    """The disks of a fake host; see ``driver.DiskInterface``."""

    uses_images = False

    @fault_injectable
    def create_disks(
        self,
        spec: GuestSpec,
        image: str | None,
        reuse_ephemeral: bool = False,
    ) -> None:
        """Create the record, with unique content."""
        path = f'{self.host}/disks/{spec.uuid}'
        disk = self._store.get(path)
        if disk is None:
            disk = {
                'content': clock.uuid4(),
                'image': spec.image_id,
                'root_gb': spec.root_gb,
            }
            if spec.ephemeral_gb:
                disk['ephemeral'] = clock.uuid4()
            retained = self._store.get(f'{self.host}/retained/{spec.uuid}')
            if reuse_ephemeral and retained and 'ephemeral' in retained:
                disk['ephemeral'] = retained['ephemeral']
            self._store.put(path, disk)
        if spec.config_drive is not None and 'config_drive' not in disk:
            self._store.put(path, disk | _drive_content(spec))

    @fault_injectable
    def refresh_config_drive(self, spec: GuestSpec) -> None:
        """Replace the content in the record."""
        if spec.config_drive is not None:
            disk = self._require_disks(spec.uuid)
            path = f'{self.host}/disks/{spec.uuid}'
            self._store.put(path, disk | _drive_content(spec))

    @fault_injectable
    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    @fault_injectable
    def has_disks(self, uuid: str) -> bool:
        """Return whether a record exists."""
        return self._store.get(f'{self.host}/disks/{uuid}') is not None

    @fault_injectable
    def grow_disks(self, spec: GuestSpec) -> None:
        """Raise the size of the root disk."""
        disk = self._require_disks(spec.uuid)
        if spec.root_gb > disk['root_gb']:
            disk['root_gb'] = spec.root_gb
            self._store.put(f'{self.host}/disks/{spec.uuid}', disk)

    @fault_injectable
    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Add a rescue disk to the record, with unique content."""
        disk = self._require_disks(spec.uuid)
        if not disk.get('rescue'):
            rescue = spec.rescue or {}
            disk['rescue'] = {
                'content': clock.uuid4(),
                'image': rescue.get('image_id'),
            }
            self._store.put(f'{self.host}/disks/{spec.uuid}', disk)

    @fault_injectable
    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove the rescue disk from the record."""
        disk = self._store.get(f'{self.host}/disks/{uuid}')
        if disk is not None and disk.pop('rescue', None):
            self._store.put(f'{self.host}/disks/{uuid}', disk)

    @fault_injectable
    def remove_disks(self, uuid: str) -> None:
        """Delete the record, the ticket and the snapshots."""
        self._store.delete(f'{self.host}/tickets/{uuid}')
        self._store.delete(f'{self.host}/snapshots/{uuid}')
        self._store.delete(f'{self.host}/disks/{uuid}')

    @fault_injectable
    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Issue a ticket; the same one for the same operation."""
        path = f'{self.host}/tickets/{spec.uuid}'
        ticket = self._store.get(path)
        if ticket is None or ticket['operation'] != spec.operation:
            ticket = {'operation': spec.operation, 'token': clock.uuid4()}
            self._store.put(path, ticket)
        return TransferTicket(host=self.host, **ticket)

    @fault_injectable
    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Require the record and a valid ticket."""
        self._check_can_send_disks(uuid, dest, transfer_ticket)

    @fault_injectable
    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> list[TransferProgress]:
        """Copy the record in one step."""
        disk = self._check_can_send_disks(uuid, dest, transfer_ticket)
        if disk is None:
            return []
        self._store.put(f'{dest.host}/disks/{uuid}', disk)
        size = int(disk['root_gb']) << 30
        return [TransferProgress(size, size)]

    def _check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Record | None:
        """Return the record to copy, None when it was copied before."""
        if self._store.get(f'{self.host}/retained/{uuid}') is not None:
            return None
        disk = self._require_disks(uuid)
        ticket = self._store.get(f'{dest.host}/tickets/{uuid}')
        if ticket is None or ticket['token'] != transfer_ticket.token:
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'the transfer ticket of {dest.host} is not valid',
            )
        return disk

    @fault_injectable
    def commit_received_disks(self, uuid: str) -> None:
        """Require the record; delete the ticket."""
        self._require_disks(uuid)
        self._store.delete(f'{self.host}/tickets/{uuid}')

    @fault_injectable
    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Move or copy the record."""
        retained = f'{self.host}/retained/{uuid}'
        disk = self._store.get(f'{self.host}/disks/{uuid}')
        if self._store.get(retained) is None:
            if disk is None:
                self._require_disks(uuid)
            self._store.put(retained, cast(Record, disk))
        if not copy:
            self._store.delete(f'{self.host}/disks/{uuid}')

    @fault_injectable
    def restore_disks(self, uuid: str) -> None:
        """Move the retained record back."""
        retained = self._store.get(f'{self.host}/retained/{uuid}')
        if retained is None:
            self._require_disks(uuid)
            return
        self._store.put(f'{self.host}/disks/{uuid}', retained)
        self._store.delete(f'{self.host}/retained/{uuid}')

    @fault_injectable
    def discard_disks(self, uuid: str) -> None:
        """Delete the retained record."""
        self._store.delete(f'{self.host}/retained/{uuid}')

    @fault_injectable
    def has_retained_disks(self, uuid: str) -> bool:
        """Return whether a record is retained."""
        return self._store.get(f'{self.host}/retained/{uuid}') is not None

    @fault_injectable
    def has_shared_disks(self, uuid: str) -> bool:
        """Return whether another host has the record, on shared storage."""
        return self._find_shared_owner(uuid) not in (None, self.host)

    @fault_injectable
    def set_disk_owner(self, uuid: str, host: str) -> None:
        """Rename the record: the host in its name is the owner."""
        owner = self._find_shared_owner(uuid)
        if owner == host:
            return
        if owner is None:
            self._require_disks(uuid)
            return
        with self._store.lock(uuid):
            self._require_unlocked(owner, uuid)
            self._store.rename(f'{owner}/disks/{uuid}', f'{host}/disks/{uuid}')

    def _require_unlocked(self, owner: str, uuid: str) -> None:
        """Raise DiskFailed while a guest has the shared disks open."""
        guest = self._world.apply_due(owner, uuid)
        if guest is not None and guest['power'] in POWERED_ON:
            raise exception.DiskFailed(
                instance_id=uuid,
                reason=f'a guest on {owner} has locked its disks',
            )

    def _find_shared_owner(self, uuid: str) -> str | None:
        if not self._world.has_shared_storage():
            return None
        for host in self._world.list_hosts():
            if self._store.get(f'{host}/disks/{uuid}') is not None:
                return host
        return None

    def _require_disks(self, uuid: str) -> Record:
        disk = self._store.get(f'{self.host}/disks/{uuid}')
        if disk is None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=f'the disks are not on {self.host}'
            )
        return disk


def _drive_content(spec: GuestSpec) -> Record:
    """Return the content of the config drive, with the MACs in it."""
    assert spec.config_drive is not None
    macs = [nic['mac'] for nic in spec.nics]
    return {
        'config_drive': dataclasses.asdict(spec.config_drive) | {'macs': macs}
    }
