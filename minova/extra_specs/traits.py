# SPDX-License-Identifier: Apache-2.0
"""The traits of hosts that the firmware and the TPM of a guest need.

Their names are those of os-traits. A host reports the traits that it has; the
filters compare them with those that the requirements of a guest need.
"""

from typing import Final

from minova.extra_specs.parser import GuestRequirements

UEFI: Final = 'COMPUTE_FIRMWARE_UEFI'
SECURE_BOOT: Final = 'COMPUTE_SECURITY_UEFI_SECURE_BOOT'
TPM_VERSIONS: Final = {
    '1.2': 'COMPUTE_SECURITY_TPM_1_2',
    '2.0': 'COMPUTE_SECURITY_TPM_2_0',
}
TPM_MODELS: Final = {
    'tpm-tis': 'COMPUTE_SECURITY_TPM_TIS',
    'tpm-crb': 'COMPUTE_SECURITY_TPM_CRB',
}
#: Those of a host that supports everything.
ALL: Final = (UEFI, SECURE_BOOT, *TPM_VERSIONS.values(), *TPM_MODELS.values())


def required_by(requirements: GuestRequirements) -> dict[str, str]:
    """Return the traits that a guest needs, with what lacks without each.

    A noun phrase: the host has no such thing.
    """
    found = {}
    if requirements.firmware == 'uefi':
        found[UEFI] = 'UEFI firmware (hw_firmware_type)'
        if requirements.secure_boot == 'required':
            found[SECURE_BOOT] = (
                'UEFI firmware with Secure Boot (os_secure_boot)'
            )
    version, model = requirements.tpm_version, requirements.tpm_model
    if version is not None:
        found[TPM_VERSIONS[version]] = f'TPM {version} (hw_tpm_version)'
        found[TPM_MODELS[model]] = f'TPM model {model} (hw_tpm_model)'
    return found
