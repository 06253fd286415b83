# SPDX-License-Identifier: Apache-2.0
"""What a QEMU host is by its configuration: where, with what, reached how."""

import dataclasses
import os
from typing import Any
from xml.etree import ElementTree

from minova import emulators
from minova.conf import CONF
from minova.virt.libvirt import acceleration


@dataclasses.dataclass(frozen=True)
class Site:
    """One host; see the options of the same names in [libvirt]."""

    host: str
    #: Where the disks of guests are, and where the images that they are over.
    instances: str
    images: str
    #: How libvirt is reached from here, and by the libvirt of others.
    connection_uri: str
    uri: str
    #: Where guests that move arrive.
    address: str
    #: 'kvm' or 'qemu'.
    virt_type: str
    #: '': the one that libvirt chooses.
    emulator: str

    @property
    def places(self) -> tuple[str, str]:
        """The directories in which a guest's files are."""
        return self.instances, self.images

    def version(self, opened: Any) -> int:
        """Return the version of the QEMU that new guests get.

        Counted as in ``minova.emulators``; ``opened`` is a connection, since
        libvirt chooses where nothing is configured. OSError when QEMU does
        not say.
        """
        path = self.emulator
        if not path:
            told = opened.getDomainCapabilities(
                None, 'x86_64', None, self.virt_type
            )
            root = ElementTree.fromstring(told)  # noqa: S314  libvirt wrote it
            path = str(root.findtext('path'))
        return emulators.version(path)


def configured(host: str) -> Site:
    """Return the host that the configuration describes.

    May run a guest, to find out whether KVM works.
    """
    options = CONF.libvirt
    virt_type = options.virt_type
    if virt_type == 'auto':
        virt_type = acceleration.virt_type(options.emulator)
    return Site(
        host=host,
        instances=os.path.abspath(options.instances_directory),
        images=os.path.abspath(CONF.compute.image_cache_directory),
        connection_uri=options.connection_uri,
        uri=options.migration_uri,
        address=options.migration_address,
        virt_type=virt_type,
        emulator=options.emulator,
    )
