# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of a running guest, as its hypervisor counts them.

A count is None when the hypervisor does not have it. Counts begin at zero with
each start of the guest.
"""

from minova.objects import base


@base.register
class CpuDiagnostics(base.Object):
    """A processor: its number and its time in nanoseconds."""

    VERSION = '1.0'

    number: int
    time: int | None


@base.register
class NicDiagnostics(base.Object):
    """A network interface: its name on the host, its MAC, and its traffic."""

    VERSION = '1.0'

    name: str | None
    mac_address: str
    rx_octets: int | None = None
    rx_packets: int | None = None
    rx_errors: int | None = None
    rx_drop: int | None = None
    tx_octets: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    tx_drop: int | None = None


@base.register
class DiskDiagnostics(base.Object):
    """A disk: its device name and its traffic."""

    VERSION = '1.0'

    name: str
    read_bytes: int | None = None
    read_requests: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None
    errors_count: int | None = None


@base.register
class Diagnostics(base.Object):
    """A guest: its power state, hypervisor, devices and memory.

    ``driver`` is one of Nova's names of drivers. ``memory_stats`` has all
    that the hypervisor knows of the memory, in KiB by the hypervisor's names.
    """

    VERSION = '1.0'

    power_state: int
    driver: str
    hypervisor: str
    cpus: list[CpuDiagnostics]
    nics: list[NicDiagnostics]
    disks: list[DiskDiagnostics]
    memory_mb: int
    memory_used_mb: int | None = None
    memory_stats: dict[str, int]
