# SPDX-License-Identifier: Apache-2.0
"""A destination whose libvirtd is frozen does not make its sources mute."""

import threading
import time

import libvirt

from minova.virt.libvirt.connection import Connection
from tests import base
from tests.fixtures.rig import Rig

_DOMAIN = """
<domain type='qemu'>
  <name>guest{number}</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices><emulator>{emulator}</emulator></devices>
</domain>
"""
#: More than a libvirtd does for one connection at a time.
_COUNT = 6


class FrozenTest(base.TestCase):
    """Many moves to a host that is silent."""

    time_limit = 300

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(Rig())
        self.connection = Connection(self.rig.hosts['host1'].uri)
        self.addCleanup(self.connection.close)

    def test_the_source_is_asked_meanwhile(self):
        usual = self.connection.use()
        # They never run: that needs no processor.
        names = [
            usual.createXML(
                _DOMAIN.format(number=number, emulator=self.rig.emulator),
                libvirt.VIR_DOMAIN_START_PAUSED,
            ).name()
            for number in range(_COUNT)
        ]
        self.rig.freeze_libvirtd('host2')
        self.addCleanup(self.rig.thaw_libvirtd, 'host2')
        moves = [
            threading.Thread(target=self._move, args=(name,)) for name in names
        ]
        for move in moves:
            move.start()
        time.sleep(3)
        for _ in range(3):
            before = time.monotonic()
            self.assertEqual(_COUNT, len(usual.listAllDomains()))
            self.assertLess(time.monotonic() - before, 10)
            time.sleep(1)
        # Or there was nothing to wait for.
        self.assertTrue(all(move.is_alive() for move in moves))
        self.rig.thaw_libvirtd('host2')
        for move in moves:
            move.join()
        self.assertTrue(usual.isAlive())

    def _move(self, name):
        there = self.rig.hosts['host2']
        parameters = {
            libvirt.VIR_MIGRATE_PARAM_URI: f'tcp://{there.address}',
        }
        flags = libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_LIVE
        with self.connection.apart() as opened:
            domain = opened.lookupByName(name)
            try:
                domain.migrateToURI3(there.peer_uri, parameters, flags)
            except libvirt.libvirtError as error:
                # It may have taken too long for libvirt.
                self.assertIn(
                    error.get_error_domain(),
                    (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_QEMU,
                     libvirt.VIR_FROM_STREAMS, libvirt.VIR_FROM_NONE),
                )  # fmt: skip
