# SPDX-License-Identifier: Apache-2.0
"""The snapshots of a fake host: the content of a disk at one moment."""

from minova import exception
from minova.states import PowerState
from minova.virt.driver import DiskSnapshot
from minova.virt.driver import TransferProgress
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import fault_injectable


class FakeSnapshots(FakeHost):
    """The snapshots of a fake host; see ``driver.SnapshotInterface``."""

    @fault_injectable
    def take_snapshot(
        self, uuid: str, image_id: str, quiesce: bool
    ) -> list[TransferProgress]:
        """Copy the content of the disk; freeze the guest and thaw it."""
        copies = self._snapshots(uuid)
        if image_id in copies:
            return []
        disk = self._store.get(f'{self.host}/disks/{uuid}')
        if disk is None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=f'the disks are not on {self.host}'
            )
        guest = self._get_guest(uuid)
        if quiesce and guest and guest.power is PowerState.RUNNING:
            self._set_frozen(uuid, True)
            self._set_frozen(uuid, False)
        self._put_snapshots(uuid, copies | {image_id: disk['content']})
        size = int(disk['root_gb']) << 30
        return [TransferProgress(size, size)]

    @fault_injectable
    def find_snapshot(self, uuid: str, image_id: str) -> DiskSnapshot | None:
        """Return the content."""
        found = self._snapshots(uuid).get(image_id)
        if found is None:
            return None
        content = found.encode()
        return DiskSnapshot('raw', len(content), content=content)

    @fault_injectable
    def remove_snapshot(self, uuid: str, image_id: str | None) -> None:
        """Forget the content; thaw the guest."""
        guest = self._store.get(f'{self.host}/guests/{uuid}')
        if guest is not None and guest.get('frozen'):
            self._set_frozen(uuid, False)
        copies = self._snapshots(uuid)
        kept = {
            name: content
            for name, content in copies.items()
            if image_id not in (name, None)
        }
        if kept != copies:
            self._put_snapshots(uuid, kept)

    def _snapshots(self, uuid: str) -> dict[str, str]:
        return self._store.get(f'{self.host}/snapshots/{uuid}') or {}

    def _put_snapshots(self, uuid: str, copies: dict[str, str]) -> None:
        path = f'{self.host}/snapshots/{uuid}'
        if copies:
            self._store.put(path, copies)
        else:
            self._store.delete(path)

    def _set_frozen(self, uuid: str, frozen: bool) -> None:
        """Let the guest agent freeze or thaw the file systems."""
        with self._locked_record(uuid) as record:
            record['frozen'] = frozen
