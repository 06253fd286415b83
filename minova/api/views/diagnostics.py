# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of a server: free keys before 2.48, the same for all after.

Before 2.48 the keys name the devices of the hypervisor, and a count that the
hypervisor does not have has no key. From 2.48 it is null.
"""

import datetime
from typing import Final

from minova.api.views import Document
from minova.objects.diagnostics import Diagnostics
from minova.objects.diagnostics import DiskDiagnostics
from minova.objects.diagnostics import NicDiagnostics
from minova.objects.instance import Instance
from minova.states import PowerState

_POWER_NAMES: Final = {
    PowerState.NOSTATE: 'pending',
    PowerState.RUNNING: 'running',
    PowerState.PAUSED: 'paused',
    PowerState.SHUTDOWN: 'shutdown',
    PowerState.CRASHED: 'crashed',
    PowerState.SUSPENDED: 'suspended',
}
_KIB_PER_MIB: Final = 1024
#: The suffixes of the keys before 2.48, by the field.
_NIC_SUFFIXES: Final = {
    'rx_octets': 'rx',
    'rx_packets': 'rx_packets',
    'rx_errors': 'rx_errors',
    'rx_drop': 'rx_drop',
    'tx_octets': 'tx',
    'tx_packets': 'tx_packets',
    'tx_errors': 'tx_errors',
    'tx_drop': 'tx_drop',
}
_DISK_SUFFIXES: Final = {
    'read_bytes': 'read',
    'read_requests': 'read_req',
    'write_bytes': 'write',
    'write_requests': 'write_req',
    'errors_count': 'errors',
}


def free_form(found: Diagnostics) -> Document:
    """Return the document before 2.48."""
    document: dict[str, int | None] = {
        f'cpu{cpu.number}_time': cpu.time for cpu in found.cpus
    }
    document |= _prefixed(found.disks, _DISK_SUFFIXES)
    document |= _prefixed(found.nics, _NIC_SUFFIXES)
    document['memory'] = found.memory_mb * _KIB_PER_MIB
    document |= {
        f'memory-{name}': value for name, value in found.memory_stats.items()
    }
    return {
        name: value for name, value in document.items() if value is not None
    }


def _prefixed(
    devices: list[DiskDiagnostics] | list[NicDiagnostics],
    suffixes: dict[str, str],
) -> dict[str, int | None]:
    return {
        f'{device.name}_{suffix}': getattr(device, field)
        for device in devices
        if device.name is not None
        for field, suffix in suffixes.items()
    }


def standard_form(
    found: Diagnostics, instance: Instance, now: datetime.datetime
) -> Document:
    """Return the document from 2.48."""
    started = instance.launched_at
    uptime = None if started is None else (now - started).total_seconds()
    return {
        'state': _POWER_NAMES[PowerState(found.power_state)],
        'driver': found.driver,
        'hypervisor': found.hypervisor,
        'hypervisor_os': 'linux',
        'uptime': None if uptime is None else int(uptime),
        'config_drive': instance.config_drive,
        'num_cpus': len(found.cpus),
        'num_nics': len(found.nics),
        'num_disks': len(found.disks),
        'cpu_details': [
            {'id': cpu.number, 'time': cpu.time, 'utilisation': None}
            for cpu in found.cpus
        ],
        'nic_details': [_nic(nic) for nic in found.nics],
        'disk_details': [
            {field: getattr(disk, field) for field in _DISK_SUFFIXES}
            for disk in found.disks
        ],
        'memory_details': {
            'maximum': found.memory_mb,
            'used': found.memory_used_mb,
        },
    }


def _nic(nic: NicDiagnostics) -> Document:
    counts = {field: getattr(nic, field) for field in _NIC_SUFFIXES}
    return {
        'mac_address': nic.mac_address,
        **counts,
        'rx_rate': None,
        'tx_rate': None,
    }
