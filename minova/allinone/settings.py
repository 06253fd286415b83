# SPDX-License-Identifier: Apache-2.0
"""How the options are set when everything runs in one process."""

import os
from typing import Any

from minova.conf import CONF

#: What is set whatever the configuration says: it makes the all-in-one.
_FIXED: dict[str | None, dict[str, Any]] = {
    'api': {'auth_strategy': 'embedded'},
    'image': {'service': 'embedded'},
    'scheduler': {'allow_resize_to_same_host': False},
}


def apply(directory: str, hosts: int, hypervisor: str) -> None:
    """Set the options for an all-in-one in ``directory``."""
    CONF.set_override('state_path', directory)
    for group, options in _FIXED.items():
        for name, value in options.items():
            CONF.set_override(name, value, group)
    # The only host there is must do.
    CONF.set_override('allow_resize_to_same_host', hosts == 1, 'scheduler')
    if hypervisor == 'fake':
        CONF.set_override('compute_driver', 'fake', 'compute')
    else:
        CONF.set_override('compute_driver', 'libvirt', 'compute')
        # Of QEMU hosts each has one of its own, see ``hosts``; and they are
        # several at one address.
        CONF.set_override('transfer_port', 0, 'compute')
        CONF.set_override('connection_uri', 'test:///', 'libvirt')


def database_url(directory: str) -> str:
    """Return the URL of the all-in-one's database."""
    return f'sqlite:///{os.path.join(directory, "minova.sqlite")}'


def write_configuration(directory: str) -> str:
    """Write what minova-manage needs to look at it; return the path."""
    path = os.path.join(directory, 'minova.conf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(
            '# Written by minova-allinone at each start, for minova-manage.\n'
            f'[DEFAULT]\nstate_path = {directory}\n\n'
            f'[database]\nconnection = {database_url(directory)}\n'
        )
    return path
