# SPDX-License-Identifier: Apache-2.0
"""The root disk of a guest, as its definition has it."""

import dataclasses
from typing import Final
from xml.etree import ElementTree

import libvirt

from minova import exception
from minova.virt.libvirt.disks import Disks
from minova.virt.libvirt.errors import translate_errors

#: The formats that an image may have.
_FORMATS: Final = ('raw', 'qcow2')


@dataclasses.dataclass(frozen=True)
class RootDisk:
    """The file of a root disk, its format, and its name in the guest.

    ``others`` are the names of the other disks of the guest.
    """

    path: str
    disk_format: str
    device: str
    others: tuple[str, ...]


def find_root_disk(domain: libvirt.virDomain, disks: Disks) -> RootDisk:
    """Return the root disk of a guest.

    The definition has the format, never the file: a guest can write anything
    to a raw disk. GuestFailed for a guest without it.
    """
    uuid = domain.UUIDString()
    with translate_errors(uuid):
        text = domain.XMLDesc(0)
    path = disks.root_disk(uuid)
    found, others = None, []
    definition = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    for disk in definition.iterfind('devices/disk'):
        source, driver = disk.find('source'), disk.find('driver')
        target = disk.find('target')
        device = '' if target is None else str(target.get('dev'))
        is_root = source is not None and source.get('file') == path
        if is_root and driver is not None and driver.get('type') in _FORMATS:
            found = device, str(driver.get('type'))
        elif device:
            others.append(device)
    if found is None:
        raise exception.GuestFailed(
            instance_id=uuid,
            reason=f'its definition has no disk {path} in a format that an '
            'image can have',
        )
    device, disk_format = found
    return RootDisk(path, disk_format, device, tuple(others))
