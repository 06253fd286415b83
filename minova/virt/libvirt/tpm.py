# SPDX-License-Identifier: Apache-2.0
"""The emulated TPM of a guest in its definition: a pure function."""

from xml.etree import ElementTree

from minova.extra_specs.parser import GuestRequirements
from minova.virt.libvirt.xml_elements import add


def add_tpm(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the TPM that swtpm emulates."""
    if requirements.tpm_version is None:
        return
    device = add(devices, 'tpm', model=requirements.tpm_model)
    add(device, 'backend', type='emulator', version=requirements.tpm_version)
