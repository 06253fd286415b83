# SPDX-License-Identifier: Apache-2.0
"""The UEFI firmware of a guest, and its elements in a definition.

Pure functions. The code of the firmware is a file of the host that all guests
read; its variables (NVRAM) are a file among the disks of each guest, which a
template of the host fills first.
"""

import dataclasses
import fnmatch
import os
from typing import Final
from xml.etree import ElementTree

from minova import exception
from minova.extra_specs.parser import GuestRequirements
from minova.virt.libvirt.xml_elements import add
from minova.virt.libvirt.xml_elements import add_text

#: The files of the variables. Those with the keys of Secure Boot have a name
#: of their own: another template fills them.
NVRAM: Final = 'nvram'
SECURE_NVRAM: Final = 'nvram.secure'
#: The first part of the versioned names that a machine type stands for.
_ALIASES: Final = {'q35': 'pc-q35-', 'pc': 'pc-i440fx-', 'virt': 'virt-'}


@dataclasses.dataclass(frozen=True)
class Firmware:
    """A UEFI firmware of a host.

    ``machines`` are patterns of machine types with their version, such as
    ``pc-q35-*``. ``is_secure``: the template has keys and enables Secure Boot.
    ``needs_smm``: the machine must have the System Management Mode.
    """

    code: str
    template: str
    architecture: str
    machines: tuple[str, ...]
    is_secure: bool = False
    needs_smm: bool = False

    @property
    def nvram_name(self) -> str:
        """The name of the file of the variables."""
        return SECURE_NVRAM if self.is_secure else NVRAM

    def supports(self, architecture: str, machine: str | None) -> bool:
        """Return whether it boots a machine type; None for libvirt's."""
        if architecture != self.architecture:
            return False
        name = machine or 'pc'
        if name in _ALIASES:
            return any(
                pattern.startswith(_ALIASES[name]) for pattern in self.machines
            )
        return any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.machines
        )


def choose(
    uuid: str,
    firmwares: tuple[Firmware, ...] | None,
    requirements: GuestRequirements,
    architecture: str,
    machine: str | None,
) -> Firmware | None:
    """Return the firmware of a guest; None for that of the machine type.

    ``firmwares`` is None for a hypervisor that has no firmware. Raises
    GuestFailed when the host has none that the guest requires.
    """
    if firmwares is None or requirements.firmware != 'uefi':
        return None
    usable = [one for one in firmwares if one.supports(architecture, machine)]
    wanted = requirements.secure_boot
    if wanted in ('required', 'optional'):
        for one in usable:
            if one.is_secure:
                return one
    if wanted != 'required':
        for one in usable:
            if not one.is_secure:
                return one
    kind = 'UEFI firmware'
    if wanted == 'required':
        kind += ' with Secure Boot'
    raise exception.GuestFailed(
        instance_id=uuid,
        reason=f'this host has no {kind} for {architecture} and the machine '
        f'type {machine or "pc"}; install the firmware (package ovmf), and '
        'restart its compute service',
    )


def add_loader(
    made: ElementTree.Element, firmware: Firmware, directory: str
) -> None:
    """Add the firmware to ``os``; its variables are below ``directory``."""
    loader = add(
        made,
        'loader',
        readonly='yes',
        type='pflash',
        secure='yes' if firmware.is_secure else 'no',
    )
    loader.text = firmware.code
    add_text(
        made,
        'nvram',
        os.path.join(directory, firmware.nvram_name),
        template=firmware.template,
    )


def add_smm(features: ElementTree.Element, firmware: Firmware | None) -> None:
    """Add the System Management Mode where the firmware needs it."""
    if firmware is not None and firmware.needs_smm:
        add(features, 'smm', state='on')
