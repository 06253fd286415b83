# SPDX-License-Identifier: Apache-2.0
"""The UEFI firmware of a host, from the descriptors of its packages.

The format is that of QEMU's ``docs/interop/firmware.json``. The directories
and their precedence are those of QEMU and libvirt: a descriptor hides one of
the same name in a later directory, an empty one hides without replacing, and
the descriptors count in the order of their names.
"""

import json
import os
from typing import Any
from typing import Final

from oslo_log import log as logging

from minova.virt.libvirt.firmware import Firmware

LOG = logging.getLogger(__name__)

DIRECTORIES: Final = ('/etc/qemu/firmware', '/usr/share/qemu/firmware')


def find(directories: tuple[str, ...] = DIRECTORIES) -> tuple[Firmware, ...]:
    """Return the UEFI firmware of the host, preferred ones first.

    A descriptor that cannot be read is logged and left out, and so is one
    whose files are missing.
    """
    paths: dict[str, str] = {}
    for directory in directories:
        if os.path.isdir(directory):
            for name in os.listdir(directory):
                if name.endswith('.json'):
                    paths.setdefault(name, os.path.join(directory, name))
    found: list[Firmware] = []
    for _, path in sorted(paths.items()):
        try:
            with open(path, encoding='utf-8') as file:
                text = file.read()
            if text.strip():
                found += _parse(json.loads(text))
        except (OSError, ValueError, KeyError, TypeError) as error:
            LOG.warning(
                'The firmware descriptor %s is not used: %r', path, error
            )
    return tuple(found)


def _parse(descriptor: dict[str, Any]) -> list[Firmware]:
    """Return the firmware of a descriptor, one for each architecture.

    Empty for firmware that is not UEFI, or not in flash with own variables.
    """
    mapping = descriptor['mapping']
    if (
        'uefi' not in descriptor['interface-types']
        or mapping['device'] != 'flash'
        or mapping.get('mode', 'split') != 'split'
    ):
        return []
    files = (mapping['executable'], mapping['nvram-template'])
    if any(
        one['format'] != 'raw' or not os.path.exists(one['filename'])
        for one in files
    ):
        return []
    features = set(descriptor['features'])
    is_secure = 'secure-boot' in features
    if is_secure and 'enrolled-keys' not in features:
        # Without keys it boots everything, and needs what Secure Boot needs.
        return []
    if {'amd-sev-snp', 'intel-tdx'} & features:
        # For encrypted guests only.
        return []
    return [
        Firmware(
            code=files[0]['filename'],
            template=files[1]['filename'],
            architecture=target['architecture'],
            machines=tuple(target['machines']),
            is_secure=is_secure,
            needs_smm='requires-smm' in features,
        )
        for target in descriptor['targets']
    ]
