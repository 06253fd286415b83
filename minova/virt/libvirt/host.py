# SPDX-License-Identifier: Apache-2.0
"""One libvirt host: what it has, and word of what changes on it."""

import shutil
from typing import Any
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.virt.driver import Inventory
from minova.virt.libvirt.connection import Changes
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import words

LOG = logging.getLogger(__name__)


class Host:
    """The host whose libvirt ``connection`` reaches.

    ``directory`` is where the disks of its guests are.
    """

    uses_images = True

    def __init__(self, connection: Connection, directory: str) -> None:
        self._connection = connection
        self._directory = directory
        self._changes = Changes()
        self._deaf: str | None = None
        connection.listen(self._changes.put)

    def inventory(self) -> Inventory:
        """Ask libvirt what the host has."""
        opened = self._connection.use()
        try:
            processor, memory_mb, vcpus, *_ = opened.getInfo()
            return Inventory(
                hypervisor_hostname=self._hostname(opened),
                hypervisor_type=opened.getType(),
                version=self._version(opened),
                cpu_info=cpu_info(opened.getCapabilities(), processor),
                vcpus=vcpus,
                memory_mb=memory_mb,
                disk_gb=self._disk_gb(),
            )
        except libvirt.libvirtError as error:
            raise exception.GuestFailed(
                f'libvirt at {self._connection.uri}: {words(error)}'
            ) from error

    def next_event(self, timeout: float) -> str | None:
        """Wait for libvirt to tell of a guest; never raises.

        A connection that died is opened again on the way, because a dead one
        tells nothing.
        """
        try:
            self._connection.use()
        except exception.GuestFailed as error:
            if self._deaf != str(error):
                LOG.error('No events are heard: %s', error)
                self._deaf = str(error)
            clock.sleep(timeout)
            return None
        self._deaf = None
        return self._changes.take(timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- what kinds of hosts answer differently ------------------------------

    def _hostname(self, opened: Any) -> str:
        return str(opened.getHostname())

    def _version(self, opened: Any) -> int:
        """The hypervisor's, to which a guest is bound, not libvirt's."""
        return int(opened.getVersion())

    def _disk_gb(self) -> int:
        return shutil.disk_usage(self._directory).total // (1 << 30)


def cpu_info(capabilities: str, processor: str) -> dict[str, Any]:
    """Return what libvirt's capabilities tell of the host's processor.

    Keys: arch, model, vendor, topology and features; model and vendor are
    None, and topology is empty, where libvirt does not say.
    """
    root = ElementTree.fromstring(capabilities)  # noqa: S314  libvirt's
    cpu = root.find('./host/cpu')
    if cpu is None:
        cpu = ElementTree.Element('cpu')
    topology = cpu.find('topology')
    return {
        'arch': processor,
        'model': cpu.findtext('model'),
        'vendor': cpu.findtext('vendor'),
        'topology': {} if topology is None else dict(topology.attrib),
        'features': sorted(
            str(feature.get('name')) for feature in cpu.findall('feature')
        ),
    }
