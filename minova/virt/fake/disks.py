# SPDX-License-Identifier: Apache-2.0
"""The disks of a fake host: records, with a content that is theirs alone."""

import dataclasses
from typing import Any
from typing import cast

from minova import clock
from minova import exception
from minova.virt.driver import Peer
from minova.virt.driver import Progress
from minova.virt.driver import Spec
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import faulty
from minova.virt.shelf import Record


class FakeDisks(FakeHost):
    """Disks as a driver is asked for them."""

    uses_images = False

    @faulty
    def create_disks(self, spec: Spec, image: str | None) -> None:
        """Make the disks, with a content that is theirs alone."""
        path = f'{self.host}/disks/{spec.uuid}'
        disk = self._shelf.get(path)
        if disk is None:
            disk = {
                'content': clock.uuid4(),
                'image': spec.image_id,
                'root_gb': spec.root_gb,
            }
            self._shelf.put(path, disk)
        if spec.config_drive is not None and 'config_drive' not in disk:
            drive = {'config_drive': dataclasses.asdict(spec.config_drive)}
            self._shelf.put(path, disk | drive)

    @faulty
    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    @faulty
    def has_disks(self, uuid: str) -> bool:
        """Tell whether there is a record."""
        return self._shelf.get(f'{self.host}/disks/{uuid}') is not None

    @faulty
    def grow_disks(self, spec: Spec) -> None:
        """Make the root disk larger."""
        disk = self._require_disk(spec.uuid)
        if spec.root_gb > disk['root_gb']:
            disk['root_gb'] = spec.root_gb
            self._shelf.put(f'{self.host}/disks/{spec.uuid}', disk)

    @faulty
    def create_rescue_disk(self, spec: Spec, image: str | None) -> None:
        """Note it with the other disks, with a content of its own."""
        disk = self._require_disk(spec.uuid)
        if not disk.get('rescue'):
            rescue = spec.rescue or {}
            disk['rescue'] = {
                'content': clock.uuid4(),
                'image': rescue.get('image_id'),
            }
            self._shelf.put(f'{self.host}/disks/{spec.uuid}', disk)

    @faulty
    def remove_rescue_disk(self, uuid: str) -> None:
        """Note that there is none."""
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if disk is not None and disk.pop('rescue', None):
            self._shelf.put(f'{self.host}/disks/{uuid}', disk)

    @faulty
    def remove_disks(self, uuid: str) -> None:
        """Remove the record; nobody is invited any more."""
        self._shelf.delete(f'{self.host}/invited/{uuid}')
        self._shelf.delete(f'{self.host}/disks/{uuid}')

    @faulty
    def prepare_disks(self, spec: Spec) -> dict[str, Any]:
        """Note whom is invited, under a word that is a secret."""
        path = f'{self.host}/invited/{spec.uuid}'
        invited = self._shelf.get(path)
        if invited is None or invited['operation'] != spec.operation:
            invited = {'operation': spec.operation, 'token': clock.uuid4()}
            self._shelf.put(path, invited)
        return {'host': self.host, 'token': invited['token']}

    @faulty
    def check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> None:
        """Require the record, and to be invited."""
        self._check_hand_over(uuid, to, invitation)

    @faulty
    def hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> list[Progress]:
        """Copy the record, in one step."""
        disk = self._check_hand_over(uuid, to, invitation)
        if disk is None:
            return []
        self._shelf.put(f'{to.host}/disks/{uuid}', disk)
        size = int(disk['root_gb']) << 30
        return [Progress(size, size)]

    def _check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> Record | None:
        """Return what is to be copied, None when it has been."""
        if self._shelf.get(f'{self.host}/aside/{uuid}') is not None:
            return None
        disk = self._require_disk(uuid)
        invited = self._shelf.get(f'{to.host}/invited/{uuid}')
        # A destination of the release before invites nobody.
        if (invited and invited['token']) != invitation.get('token'):
            raise exception.DiskFailed(
                instance_id=uuid, reason=f'{to.host} has not invited it'
            )
        return disk

    @faulty
    def accept_disks(self, uuid: str) -> None:
        """Require the record, and forget who was invited."""
        self._require_disk(uuid)
        self._shelf.delete(f'{self.host}/invited/{uuid}')

    @faulty
    def set_aside(self, uuid: str, copy: bool = False) -> None:
        """Move or copy the record."""
        aside = f'{self.host}/aside/{uuid}'
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if self._shelf.get(aside) is None:
            if disk is None:
                self._require_disk(uuid)
            self._shelf.put(aside, cast(Record, disk))
        if not copy:
            self._shelf.delete(f'{self.host}/disks/{uuid}')

    @faulty
    def take_back(self, uuid: str) -> None:
        """Put the record back in its place."""
        aside = self._shelf.get(f'{self.host}/aside/{uuid}')
        if aside is None:
            self._require_disk(uuid)
            return
        self._shelf.put(f'{self.host}/disks/{uuid}', aside)
        self._shelf.delete(f'{self.host}/aside/{uuid}')

    @faulty
    def drop_aside(self, uuid: str) -> None:
        """Remove the record that was set aside."""
        self._shelf.delete(f'{self.host}/aside/{uuid}')

    @faulty
    def has_aside(self, uuid: str) -> bool:
        """Tell whether there is a record set aside."""
        return self._shelf.get(f'{self.host}/aside/{uuid}') is not None

    def _require_disk(self, uuid: str) -> Record:
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if disk is None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=f'its disks are not at {self.host}'
            )
        return disk
