# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of guests, from libvirt's definitions and statistics.

The definition lists the devices; libvirt has statistics of some of them: none
of an interface in QEMU's user network, and none at all in its test driver.
"""

import contextlib
import dataclasses
from typing import Any
from typing import Final
from xml.etree import ElementTree

import libvirt

from minova import exception
from minova.objects.diagnostics import CpuDiagnostics
from minova.objects.diagnostics import Diagnostics
from minova.objects.diagnostics import DiskDiagnostics
from minova.objects.diagnostics import NicDiagnostics
from minova.states import PowerState
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.guests import Guests

_KIB_PER_MIB: Final = 1024
_STATS: Final = (
    libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
#: The names of the fields of an interface and of a disk in the statistics.
_NIC_FIELDS: Final = {
    'rx_octets': 'rx.bytes',
    'rx_packets': 'rx.pkts',
    'rx_errors': 'rx.errs',
    'rx_drop': 'rx.drop',
    'tx_octets': 'tx.bytes',
    'tx_packets': 'tx.pkts',
    'tx_errors': 'tx.errs',
    'tx_drop': 'tx.drop',
}
_DISK_FIELDS: Final = {
    'read_bytes': 'rd.bytes',
    'read_requests': 'rd.reqs',
    'write_bytes': 'wr.bytes',
    'write_requests': 'wr.reqs',
}
#: The position of the errors in the statistics of one disk.
_ERRORS: Final = 4


@dataclasses.dataclass(frozen=True)
class Statistics:
    """The statistics of a domain.

    ``stats`` is libvirt's flat dictionary. ``memory`` is in KiB, except the
    counts of pages. ``disk_errors`` has the errors by device name.
    """

    stats: dict[str, Any] = dataclasses.field(default_factory=dict)
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    disk_errors: dict[str, int] = dataclasses.field(default_factory=dict)


class DomainDiagnostics:
    """The diagnostics of the guests of one libvirt."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Read the definition and the statistics of a running domain.

        The statistics need an answer of QEMU, which may hang.
        """
        power = require_on(self._guests, uuid)
        domain = self._guests.require(uuid)
        with translate_errors(uuid):
            definition = domain.XMLDesc()
            statistics = self._guests.request(domain, _read_statistics)
        return describe(definition, power, statistics)


def require_on(guests: Guests, uuid: str) -> PowerState:
    """Return the power state of a guest; InstanceNotReady when it is off."""
    guest = guests.guest(uuid)
    if guest is None or not guest.is_on:
        raise exception.InstanceNotReady(
            instance_id=uuid, reason='the guest does not run'
        )
    return guest.power


def describe(
    definition: str, power: PowerState, statistics: Statistics
) -> Diagnostics:
    """Return the diagnostics of a domain with this definition."""
    root = ElementTree.fromstring(definition)  # noqa: S314  libvirt wrote it
    stats, memory = statistics.stats, statistics.memory
    cpu_count = int(root.findtext('vcpu') or 0)
    return Diagnostics(
        power_state=int(power),
        driver='libvirt',
        hypervisor=str(root.get('type')),
        cpus=[
            CpuDiagnostics(number=n, time=stats.get(f'vcpu.{n}.time'))
            for n in range(cpu_count)
        ],
        nics=[
            _nic(interface, stats)
            for interface in root.findall('./devices/interface')
        ],
        disks=[
            _disk(str(target.get('dev')), statistics)
            for target in root.findall('./devices/disk/target')
        ],
        memory_mb=int(root.findtext('memory') or 0) // _KIB_PER_MIB,
        memory_used_mb=_used_mb(memory),
        memory_stats=memory,
    )


def _read_statistics(domain: libvirt.virDomain) -> Statistics:
    ((_, stats),) = domain.connect().domainListGetStats([domain], _STATS)
    errors = {}
    for number in range(stats.get('block.count', 0)):
        name = stats[f'block.{number}.name']
        with contextlib.suppress(libvirt.libvirtError):
            # A drive without a medium has no statistics.
            count = domain.blockStats(name)[_ERRORS]
            if count >= 0:
                errors[name] = count
    return Statistics(stats, domain.memoryStats(), errors)


def _nic(
    interface: ElementTree.Element, stats: dict[str, Any]
) -> NicDiagnostics:
    mac, target = interface.find('mac'), interface.find('target')
    name = None if target is None else target.get('dev')
    return NicDiagnostics(
        name=name,
        mac_address='' if mac is None else str(mac.get('address')),
        **_values(stats, 'net', name, _NIC_FIELDS),
    )


def _disk(name: str, statistics: Statistics) -> DiskDiagnostics:
    return DiskDiagnostics(
        name=name,
        errors_count=statistics.disk_errors.get(name),
        **_values(statistics.stats, 'block', name, _DISK_FIELDS),
    )


def _values(
    stats: dict[str, Any], kind: str, name: str | None, fields: dict[str, str]
) -> dict[str, int | None]:
    """Return the fields of the device that has ``name`` in the statistics."""
    for number in range(stats.get(f'{kind}.count', 0)):
        prefix = f'{kind}.{number}'
        if name is not None and stats.get(f'{prefix}.name') == name:
            return {
                field: stats.get(f'{prefix}.{suffix}')
                for field, suffix in fields.items()
            }
    return {}


def _used_mb(memory: dict[str, int]) -> int | None:
    """Return what the guest uses; None without a driver in the guest."""
    if 'available' not in memory or 'unused' not in memory:
        return None
    return (memory['available'] - memory['unused']) // _KIB_PER_MIB
