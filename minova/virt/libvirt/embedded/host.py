# SPDX-License-Identifier: Apache-2.0
"""An embedded host; the configuration sets its sizes."""

import libvirt

from minova import clock
from minova.conf import CONF
from minova.numa import host_cells
from minova.numa.host_cells import HostCell
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.embedded.guests import EmbeddedGuests
from minova.virt.libvirt.embedded.host_lock import HostLock
from minova.virt.libvirt.host import Host

#: Seconds between two checks for guests that arrive or leave.
_POLL_INTERVAL = 0.2


class EmbeddedHost(Host):
    """The host itself."""

    def __init__(
        self,
        host: str,
        connection: Connection,
        guests: EmbeddedGuests,
        host_lock: HostLock,
    ) -> None:
        super().__init__(connection, '')
        self._host = host
        self._guests = guests
        self._host_lock = host_lock

    def next_event(self, timeout: float) -> str | None:
        """Wait for a change; apply what is due meanwhile."""
        until = clock.monotonic() + timeout
        while True:
            self._guests.apply_all_due()
            left = max(0.0, until - clock.monotonic())
            uuid = super().next_event(min(left, _POLL_INTERVAL))
            if uuid is not None:
                self._guests.refresh(uuid)
                return uuid
            if left <= _POLL_INTERVAL:
                return None

    def close(self) -> None:
        """Release the host; its guests are stored."""
        super().close()
        self._host_lock.release()

    def _hostname(self, conn: libvirt.virConnect) -> str:
        # libvirt reports the machine's name, which the hosts share.
        return self._host

    def _version(self, conn: libvirt.virConnect) -> int:
        # The version of the test driver itself is always 2.
        return int(conn.getLibVersion())

    def _supported_instances(
        self, capabilities: str
    ) -> tuple[tuple[str, str, str], ...]:
        # The test driver has a list of its own and accepts every guest.
        return tuple(
            (architecture, hypervisor, 'hvm')
            for architecture in ('x86_64', 'i686')
            for hypervisor in ('test', 'qemu', 'kvm')
        )

    def _numa_cells(self, capabilities: str) -> tuple[HostCell, ...]:
        # The test driver has cells of its own.
        options = CONF.libvirt
        return host_cells.divide(
            options.embedded_vcpus,
            options.embedded_memory_mb,
            options.embedded_numa_nodes,
            options.embedded_threads_per_core,
            host_cells.parse_pages(options.embedded_huge_pages),
        )

    def _disk_gb(self) -> int:
        return int(CONF.libvirt.embedded_disk_gb)
