# SPDX-License-Identifier: Apache-2.0
"""The configuration of a QEMU host: paths, addresses, emulator."""

import dataclasses
import ipaddress
import os
import re
from typing import Final
from xml.etree import ElementTree

import libvirt

from minova.conf import CONF
from minova.virt import qemu_version
from minova.virt.libvirt.qemu import acceleration

_HOST_NAME: Final = re.compile('[A-Za-z0-9][A-Za-z0-9._-]{0,252}')


@dataclasses.dataclass(frozen=True)
class HostConfig:
    """One host; see the options with the same names in [libvirt]."""

    host: str
    #: The directories of the disks and of their images.
    instances_path: str
    image_cache_path: str
    connection_uri: str
    #: The URI of the libvirt of a destination, with %s for its address.
    live_migration_uri: str
    #: The address of this host as a destination.
    live_migration_inbound_addr: str
    #: 'kvm' or 'qemu'.
    virt_type: str
    #: '' for libvirt's choice.
    emulator: str

    def destination_uri(self, address: str) -> str:
        """Return the URI of the libvirt of a destination.

        Everything but the address is from the configuration of this host: a
        URI may name a program to run. ValueError for an invalid address.
        """
        return self.live_migration_uri.replace('%s', quote_address(address))

    def qemu_version(self, conn: libvirt.virConnect) -> int:
        """Return the version of the QEMU of new guests.

        It counts as in ``virt.qemu_version``. Without a configured emulator
        libvirt's choice counts. OSError when QEMU does not report a version.
        """
        path = self.emulator
        if not path:
            capabilities = conn.getDomainCapabilities(
                None, 'x86_64', None, self.virt_type
            )
            # libvirt wrote the text.
            root = ElementTree.fromstring(capabilities)  # noqa: S314
            path = str(root.findtext('path'))
        return qemu_version.get_version(path)


def from_config(host: str) -> HostConfig:
    """Return the configured host.

    May run a guest to find out whether KVM works.
    """
    options = CONF.libvirt
    virt_type = options.virt_type
    if virt_type == 'auto':
        virt_type = acceleration.detect_virt_type(options.emulator)
    return HostConfig(
        host=host,
        instances_path=os.path.abspath(options.instances_path),
        image_cache_path=os.path.abspath(CONF.compute.image_cache_directory),
        connection_uri=options.connection_uri,
        live_migration_uri=options.live_migration_uri,
        live_migration_inbound_addr=options.live_migration_inbound_addr,
        virt_type=virt_type,
        emulator=options.emulator,
    )


def quote_address(address: str) -> str:
    """Return the address of another host as it stands in a URI.

    ValueError unless it is an IP address or a host name.
    """
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        if not _HOST_NAME.fullmatch(address):
            raise ValueError(
                f'{address[:64]!r} is neither an IP address nor a host name'
            ) from None
        return address
    return f'[{address}]' if version == 6 else address
