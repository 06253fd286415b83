# SPDX-License-Identifier: Apache-2.0
"""The rules that combine firmware, Secure Boot and TPM of flavor and image."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Final

#: What flavor and image must not set differently: field, extra spec, property.
_UNIQUE: Final = (
    ('secure_boot', 'os:secure_boot', 'os_secure_boot'),
    ('tpm_version', 'hw:tpm_version', 'hw_tpm_version'),
    ('tpm_model', 'hw:tpm_model', 'hw_tpm_model'),
)
#: The machine types without the SMM that Secure Boot needs.
_WITHOUT_SMM: Final = ('pc', 'pc-i440fx')


def build(
    flavor: Mapping[str, Any],
    image: Mapping[str, Any],
    add_error: Callable[[str], None],
) -> dict[str, Any]:
    """Return the fields that are not simply those of the table.

    ``add_error`` gets a sentence for each contradiction, which has no effect.
    """
    values = {**flavor, **image}
    for field, extra_spec, image_property in _UNIQUE:
        if {flavor.get(field), image.get(field)} - {None, values.get(field)}:
            add_error(
                f'The extra spec {extra_spec}={flavor[field]} contradicts the '
                f'image property {image_property}={image[field]}; remove one.'
            )
            # The flavor is the operator's.
            values[field] = flavor[field]
    return {
        'secure_boot': _secure_boot(values, add_error),
        **_tpm(values, add_error),
    }


def _secure_boot(
    values: Mapping[str, Any], add_error: Callable[[str], None]
) -> str | None:
    wanted: str | None = values.get('secure_boot')
    if wanted != 'required':
        return wanted
    if values.get('firmware') != 'uefi':
        add_error(
            'os_secure_boot=required (os:secure_boot) needs the image '
            'property hw_firmware_type=uefi.'
        )
        return None
    machine = values.get('machine')
    if machine is not None and machine.rpartition('-')[0] in _WITHOUT_SMM:
        machine = 'pc'
    if machine == 'pc':
        add_error(
            'os_secure_boot=required (os:secure_boot) needs the machine type '
            f'q35; the image has hw_machine_type={values["machine"]}.'
        )
        return None
    return wanted


def _tpm(
    values: Mapping[str, Any], add_error: Callable[[str], None]
) -> dict[str, Any]:
    version, model = values.get('tpm_version'), values.get('tpm_model')
    if version is None:
        if model is not None:
            add_error(
                f'hw_tpm_model={model} (hw:tpm_model) needs hw:tpm_version.'
            )
        return {'tpm_version': None, 'tpm_model': 'tpm-tis'}
    if version == '1.2' and model == 'tpm-crb':
        add_error(
            'hw_tpm_model=tpm-crb (hw:tpm_model) needs hw:tpm_version=2.0.'
        )
        model = None
    return {'tpm_version': version, 'tpm_model': model or 'tpm-tis'}
