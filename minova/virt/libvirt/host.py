# SPDX-License-Identifier: Apache-2.0
"""One libvirt host: its resources and the events of its guests."""

import shutil
from typing import Any
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import cpu_set
from minova import exception
from minova.extra_specs import traits
from minova.numa.host_cells import HostCell
from minova.virt.driver import Inventory
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import unreachable
from minova.virt.libvirt.events import ChangedGuests

LOG = logging.getLogger(__name__)


class Host:
    """The host whose libvirt ``connection`` reaches.

    ``directory`` holds the disks of its guests.
    """

    uses_images = True

    def __init__(self, connection: Connection, directory: str) -> None:
        self._connection = connection
        self._directory = directory
        self._changes = ChangedGuests()
        self._last_error: str | None = None
        connection.add_listener(self._changes.put)

    def inventory(self) -> Inventory:
        """Read the resources of the host from libvirt."""
        conn = self._connection.get()
        try:
            processor, memory_mb, vcpus, *_ = conn.getInfo()
            capabilities = conn.getCapabilities()
            return Inventory(
                hypervisor_hostname=self._hostname(conn),
                hypervisor_type=conn.getType(),
                version=self._version(conn),
                cpu_info=cpu_info(capabilities, processor),
                vcpus=vcpus,
                memory_mb=memory_mb,
                disk_gb=self._disk_gb(),
                supported_instances=self._supported_instances(capabilities),
                traits=self._traits(conn),
                numa_cells=tuple(
                    cell.to_json() for cell in self._numa_cells(capabilities)
                ),
            )
        except libvirt.libvirtError as error:
            raise exception.GuestFailed(
                f'libvirt at {self._connection.uri}: {error_message(error)}'
            ) from error

    def check_health(self) -> None:
        """Ask the hypervisor driver of libvirt how many guests run."""
        try:
            self._connection.get().numOfDomains()
        except libvirt.libvirtError as error:
            raise unreachable(
                self._connection.uri, error_message(error)
            ) from error

    def next_event(self, timeout: float) -> str | None:
        """Wait for an event of a guest; never raises.

        Reopens a dead connection, because a dead connection has no events.
        """
        try:
            self._connection.get()
        except exception.GuestFailed as error:
            if self._last_error != str(error):
                LOG.error('No events of guests arrive; retrying: %s', error)
                self._last_error = str(error)
            clock.sleep(timeout)
            return None
        self._last_error = None
        return self._changes.take(timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- what kinds of hosts answer differently ------------------------------

    def _hostname(self, conn: libvirt.virConnect) -> str:
        return str(conn.getHostname())

    def _version(self, conn: libvirt.virConnect) -> int:
        """Return the hypervisor's version, which limits migrations."""
        return int(conn.getVersion())

    def _supported_instances(
        self, capabilities: str
    ) -> tuple[tuple[str, str, str], ...]:
        """Return all that libvirt offers."""
        root = ElementTree.fromstring(capabilities)  # noqa: S314  libvirt's
        return tuple(
            (
                str(arch.get('name')),
                str(domain.get('type')),
                str(guest.findtext('os_type')),
            )
            for guest in root.findall('guest')
            for arch in guest.findall('arch')
            for domain in arch.findall('domain')
        )

    def _traits(self, conn: libvirt.virConnect) -> tuple[str, ...]:
        """Return the traits of the host, here all: guests are not real."""
        return traits.ALL

    def _numa_cells(self, capabilities: str) -> tuple[HostCell, ...]:
        """Return the cells of the machine."""
        return parse_numa_cells(capabilities)

    def _disk_gb(self) -> int:
        return shutil.disk_usage(self._directory).total // (1 << 30)


def parse_numa_cells(capabilities: str) -> tuple[HostCell, ...]:
    """Return the NUMA cells in libvirt's capabilities.

    A machine without NUMA has one. The normal pages of a cell, the first of
    libvirt's, are no huge pages.
    """
    root = ElementTree.fromstring(capabilities)  # noqa: S314  libvirt's
    return tuple(
        _numa_cell(cell)
        for cell in root.iterfind('./host/topology/cells/cell')
    )


def _numa_cell(cell: ElementTree.Element) -> HostCell:
    cpus = cell.findall('./cpus/cpu')
    siblings = {
        cpu_set.parse(str(cpu.get('siblings')))
        for cpu in cpus
        if cpu.get('siblings')
    }
    pages = {
        int(str(one.get('size'))): int(one.text or 0)
        for one in cell.findall('pages')
    }
    return HostCell(
        id=int(str(cell.get('id'))),
        cpus=frozenset(int(str(cpu.get('id'))) for cpu in cpus),
        memory_mb=int(cell.findtext('memory') or 0) // 1024,
        siblings=tuple(
            sorted((one for one in siblings if len(one) > 1), key=sorted)
        ),
        pages={
            size: count for size, count in pages.items() if size != min(pages)
        },
    )


def cpu_info(capabilities: str, arch: str) -> dict[str, Any]:
    """Return the host's processor from libvirt's capabilities.

    Keys: arch, model, vendor, topology and features. model and vendor are
    None and topology is empty when libvirt does not report them.
    """
    root = ElementTree.fromstring(capabilities)  # noqa: S314  libvirt's
    cpu = root.find('./host/cpu')
    if cpu is None:
        cpu = ElementTree.Element('cpu')
    topology = cpu.find('topology')
    return {
        'arch': arch,
        'model': cpu.findtext('model'),
        'vendor': cpu.findtext('vendor'),
        'topology': {} if topology is None else dict(topology.attrib),
        'features': sorted(
            str(feature.get('name')) for feature in cpu.findall('feature')
        ),
    }
