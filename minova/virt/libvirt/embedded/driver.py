# SPDX-License-Identifier: Apache-2.0
"""The driver of an embedded host: libvirt's test driver with a memory.

The test driver forgets its guests when the process ends. An embedded host
stores them in a directory and defines them again after a restart; the same
directory moves guests from one embedded host to another. One process at a time
runs a host.

The guests have no processors, no memory and no operating system, so they obey
at once.
"""

import dataclasses
import os
import urllib.parse

from minova.conf import CONF
from minova.virt.driver import Driver
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.embedded.consoles import EmbeddedConsoles
from minova.virt.libvirt.embedded.diagnostics import EmbeddedDiagnostics
from minova.virt.libvirt.embedded.disks import EmbeddedDisks
from minova.virt.libvirt.embedded.guest_agent import NoGuestAgents
from minova.virt.libvirt.embedded.guests import EmbeddedGuests
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.host import EmbeddedHost
from minova.virt.libvirt.embedded.host_lock import HostLock
from minova.virt.libvirt.embedded.interfaces import EmbeddedInterfaces
from minova.virt.libvirt.embedded.live_migration import SimulatedLiveMigration
from minova.virt.libvirt.embedded.snapshots import EmbeddedSnapshots
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.guests import Guests

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
    """Return the driver of an embedded host with its stored guests.

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
    profile = dataclasses.replace(
        xml.PROFILES['test'], shared_cpus=CONF.compute.cpu_shared_set
    )
    domains = Guests(connection, disks, profile)
    guests = EmbeddedGuests(host, store, connection, domains, handover)
    connection.get()
    guests.apply_all_due()
    return LibvirtDriver(
        connection,
        EmbeddedHost(host, connection, guests, host_lock),
        guests,
        EmbeddedInterfaces(guests),
        disks,
        EmbeddedSnapshots(domains, disks),
        SimulatedLiveMigration(host, store, guests, handover, disks),
        EmbeddedConsoles(connection, disks),
        EmbeddedDiagnostics(guests),
        NoGuestAgents(),
    )


def _write_node(folder: str) -> str:
    """Write the description of the host; return the URI to open."""
    path = os.path.join(folder, 'node.xml')
    text = _NODE_XML.format(
        vcpus=CONF.libvirt.embedded_vcpus,
        memory_kib=CONF.libvirt.embedded_memory_mb * 1024,
    )
    with open(f'{path}.part', 'w', encoding='ascii') as file:
        file.write(text)
    os.replace(f'{path}.part', path)
    return f'test://{urllib.parse.quote(path)}'
