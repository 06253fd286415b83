# SPDX-License-Identifier: Apache-2.0
"""A frozen libvirt call does not block the rest of a host."""

import os
import signal
import threading
import time
from unittest import mock

import libvirt

from minova.rig import hosts
from minova.states import PowerState
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.qemu.guests import QemuGuests
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
#: More calls than a libvirtd serves for one connection at a time.
_COUNT = 6


class FrozenHypervisorTest(base.TestCase):
    """More hanging calls than a libvirtd serves for one connection."""

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(Rig())
        self.connection = Connection(self.rig.hosts['host1'].uri)
        self.addCleanup(self.connection.close)

    def domains(self, usual):
        """Return guests that are never started, to save processor time."""
        return [
            usual.createXML(
                _DOMAIN.format(number=number, emulator=self.rig.emulator),
                libvirt.VIR_DOMAIN_START_PAUSED,
            )
            for number in range(_COUNT)
        ]

    def test_hypervisors_that_are_frozen(self):
        usual = self.connection.get()
        uuids = [domain.UUIDString() for domain in self.domains(usual)]
        guests = QemuGuests(self.connection, mock.Mock(), mock.Mock())
        frozen = hosts.find_guests(self.rig.hosts['host1'])
        self.assertEqual(_COUNT, len(frozen))
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        calls = [
            threading.Thread(target=guests.unpause, args=(uuid,))
            for uuid in uuids
        ]
        try:
            for call in calls:
                call.start()
            time.sleep(3)
            self.assert_answers(usual)
            # Otherwise the test would check nothing.
            self.assertTrue(all(call.is_alive() for call in calls))
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        for call in calls:
            call.join()
        self.assertTrue(usual.isAlive())
        for uuid in uuids:
            self.assertEqual(PowerState.RUNNING, guests.guest(uuid).power)
            guests.power_off(uuid)

    def assert_answers(self, usual):
        for _ in range(3):
            before = time.monotonic()
            self.assertEqual(_COUNT, len(usual.listAllDomains()))
            self.assertLess(time.monotonic() - before, 10)
            time.sleep(1)

    def test_source_answers_during_migration(self):
        usual = self.connection.get()
        names = [domain.name() for domain in self.domains(usual)]
        self.rig.freeze_libvirtd('host2')
        self.addCleanup(self.rig.thaw_libvirtd, 'host2')
        threads = [
            threading.Thread(target=self._migrate, args=(name,))
            for name in names
        ]
        for thread in threads:
            thread.start()
        time.sleep(3)
        self.assert_answers(usual)
        # Otherwise the test would check nothing.
        self.assertTrue(all(thread.is_alive() for thread in threads))
        self.rig.thaw_libvirtd('host2')
        for thread in threads:
            thread.join()
        self.assertTrue(usual.isAlive())

    def _migrate(self, name):
        there = self.rig.hosts['host2']
        parameters = {
            libvirt.VIR_MIGRATE_PARAM_URI: f'tcp://{there.address}',
        }
        flags = libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_LIVE
        with self.connection.dedicated() as opened:
            domain = opened.lookupByName(name)
            try:
                domain.migrateToURI3(there.peer_uri, parameters, flags)
            except libvirt.libvirtError as error:
                # Libvirt may have timed out.
                self.assertIn(
                    error.get_error_domain(),
                    (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_QEMU,
                     libvirt.VIR_FROM_STREAMS, libvirt.VIR_FROM_NONE),
                )  # fmt: skip
