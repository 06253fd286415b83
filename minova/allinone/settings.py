# SPDX-License-Identifier: Apache-2.0
"""The options of an all-in-one that differ from the defaults."""

import os

from minova.conf import CONF

#: Options that have these values whatever the configuration says.
_FIXED: dict[str | None, dict[str, object]] = {
    'api': {'auth_strategy': 'embedded'},
    'image': {'service': 'embedded'},
    'scheduler': {'allow_resize_to_same_host': False},
}


def apply(directory: str, hosts: int, hypervisor: str) -> None:
    """Set the options for an all-in-one in ``directory``."""
    CONF.set_override('state_path', directory)
    CONF.set_default('enabled', True, 'serial_console')
    # The hosts share an address, so each needs a port of its own.
    CONF.set_override('proxyclient_port', 0, 'serial_console')
    for group, options in _FIXED.items():
        for name, value in options.items():
            CONF.set_override(name, value, group)
    # A resize in a cloud with one host needs the same host.
    CONF.set_override('allow_resize_to_same_host', hosts == 1, 'scheduler')
    if hypervisor == 'fake':
        CONF.set_override('compute_driver', 'fake', 'compute')
    else:
        CONF.set_override('compute_driver', 'libvirt', 'compute')
        # ``hosts`` sets the URI of QEMU hosts.
        CONF.set_override('transfer_port', 0, 'compute')
        CONF.set_override('connection_uri', 'test:///', 'libvirt')


def database_url(directory: str) -> str:
    """Return the URL of the database."""
    return f'sqlite:///{os.path.join(directory, "minova.sqlite")}'


def write_configuration(directory: str) -> str:
    """Write a configuration for minova-manage; return its path."""
    path = os.path.join(directory, 'minova.conf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(
            '# Written by minova-allinone at each start, for minova-manage.\n'
            f'[DEFAULT]\nstate_path = {directory}\n\n'
            f'[database]\nconnection = {database_url(directory)}\n'
        )
    return path
