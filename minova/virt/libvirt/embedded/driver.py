# SPDX-License-Identifier: Apache-2.0
"""An embedded host: libvirt's test driver, made to outlive its process.

While the host is run libvirt is asked and told like any other. What the test
driver would forget with the process is kept in a directory, which also is the
way from one such host to another. One process runs a host at a time.

The guests have no processors, no memory and no system: they obey at once.
"""

import os
from typing import Any
import urllib.parse

from minova import clock
from minova.conf import CONF
from minova.virt.driver import Driver
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.consoles import Consoles
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.embedded.guests import EmbeddedGuests
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.live_migration import SimulatedLiveMigration
from minova.virt.libvirt.embedded.store import EmbeddedDisks
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.embedded.store import HostLock
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.host import Host

#: Seconds between two looks for guests that come or go.
_POLL_INTERVAL = 0.2

# https://libvirt.org/drvtest.html
_NODE_XML = """\
<node>
  <cpu>
    <model>x86_64</model>
    <active>{vcpus}</active>
    <mhz>2000</mhz>
    <nodes>1</nodes>
    <sockets>1</sockets>
    <cores>{vcpus}</cores>
    <threads>1</threads>
  </cpu>
  <memory>{memory_kib}</memory>
</node>
"""


def open_driver(host: str) -> Driver:
    """Return the driver of an embedded host; its guests are where they were.

    Raises ConfigInvalid when another process runs the host.
    """
    store = EmbeddedStore(os.path.abspath(CONF.libvirt.embedded_directory))
    host_lock = store.acquire_host_lock(host)
    connection = Connection(_write_node(store.host_directory(host)))
    try:
        return _build_driver(host, store, host_lock, connection)
    except BaseException:
        connection.close()
        host_lock.release()
        raise


def _build_driver(
    host: str,
    store: EmbeddedStore,
    host_lock: HostLock,
    connection: Connection,
) -> LibvirtDriver:
    disks = EmbeddedDisks(store, host)
    handover = Handover(host, store)
    domains = Guests(connection, disks, xml.PROFILES['test'])
    guests = EmbeddedGuests(host, store, connection, domains, handover)
    connection.get()
    guests.apply_all_due()
    return LibvirtDriver(
        connection,
        EmbeddedHost(host, connection, guests, host_lock),
        guests,
        disks,
        SimulatedLiveMigration(host, store, guests, handover, disks),
        Consoles(
            connection,
            disks,
            no_vnc_reason='the guests of embedded hosts have no screen.',
        ),
    )


def _write_node(folder: str) -> str:
    """Describe the host to libvirt; return the URI to open."""
    path = os.path.join(folder, 'node.xml')
    text = _NODE_XML.format(
        vcpus=CONF.libvirt.embedded_vcpus,
        memory_kib=CONF.libvirt.embedded_memory_mb * 1024,
    )
    with open(f'{path}.part', 'w', encoding='ascii') as file:
        file.write(text)
    os.replace(f'{path}.part', path)
    return f'test://{urllib.parse.quote(path)}'


class EmbeddedHost(Host):
    """The host itself: its sizes are what the configuration says."""

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
        """Wait for a change; look for guests that come and go meanwhile."""
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
        """Let others run the host; the guests are written down already."""
        super().close()
        self._host_lock.release()

    def _hostname(self, conn: Any) -> str:
        # libvirt says the machine's, which all embedded hosts of it share.
        return self._host

    def _version(self, conn: Any) -> int:
        # The test driver's own has been 2 for ever.
        return int(conn.getLibVersion())

    def _disk_gb(self) -> int:
        return int(CONF.libvirt.embedded_disk_gb)
