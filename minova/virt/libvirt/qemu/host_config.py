# SPDX-License-Identifier: Apache-2.0
"""What a QEMU host is by its configuration: where, with what, reached how."""

import dataclasses
import os
from typing import Any
from xml.etree import ElementTree

from minova.conf import CONF
from minova.virt import qemu_version
from minova.virt.libvirt.qemu import acceleration


@dataclasses.dataclass(frozen=True)
class HostConfig:
    """One host; see the options of the same names in [libvirt]."""

    host: str
    #: Where the disks of guests are, and where the images that they are over.
    instances_path: str
    image_cache_path: str
    #: How libvirt is reached from here, and by the libvirt of others.
    connection_uri: str
    live_migration_uri: str
    #: Where guests that move arrive.
    live_migration_inbound_addr: str
    #: 'kvm' or 'qemu'.
    virt_type: str
    #: '': the one that libvirt chooses.
    emulator: str

    @property
    def file_directories(self) -> tuple[str, str]:
        """The directories in which a guest's files are."""
        return self.instances_path, self.image_cache_path

    def qemu_version(self, conn: Any) -> int:
        """Return the version of the QEMU that new guests get.

        Counted as in ``minova.virt.qemu_version``; ``opened`` is a connection, since
        libvirt chooses where nothing is configured. OSError when QEMU does
        not say.
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
    """Return the host that the configuration describes.

    May run a guest, to find out whether KVM works.
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
