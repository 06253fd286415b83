# SPDX-License-Identifier: Apache-2.0
"""The traits of a QEMU host: the firmware and the TPM that it can give."""

from collections.abc import Iterable
from xml.etree import ElementTree

from minova.extra_specs import traits
from minova.virt.libvirt.firmware import Firmware


def of_firmware(firmwares: Iterable[Firmware]) -> set[str]:
    """Return the traits of the firmware for the processor of x86_64 guests."""
    found = set()
    for one in firmwares:
        if one.architecture == 'x86_64':
            found.add(traits.SECURE_BOOT if one.is_secure else traits.UEFI)
    return found


def of_tpm(capabilities: str) -> set[str]:
    """Return the traits of emulated TPMs, from domain capabilities.

    libvirt lists the emulator when swtpm and swtpm_setup are installed. A
    release that does not list versions supports both.
    """
    root = ElementTree.fromstring(capabilities)  # noqa: S314  libvirt's
    device = root.find("devices/tpm[@supported='yes']")
    if device is None:
        return set()
    values = {
        str(one.get('name')): {value.text for value in one.findall('value')}
        for one in device.findall('enum')
    }
    if 'emulator' not in values.get('backendModel', ()):
        return set()
    versions = values.get('backendVersion', traits.TPM_VERSIONS)
    models = values.get('model', ())
    return {
        *(
            traits.TPM_VERSIONS[one]
            for one in traits.TPM_VERSIONS
            if one in versions
        ),
        *(
            traits.TPM_MODELS[one]
            for one in traits.TPM_MODELS
            if one in models
        ),
    }
