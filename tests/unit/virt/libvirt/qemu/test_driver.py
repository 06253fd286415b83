# SPDX-License-Identifier: Apache-2.0
"""The owner of the disks of a guest on a QEMU host."""

import os

import libvirt

from tests.unit.virt.libvirt.fake_libvirt import HostsTestCase
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID


class DiskOwnershipTest(HostsTestCase):
    """Disks in a shared directory that host a owns."""

    def setUp(self):
        super().setUp()
        self.a.boot()
        paths = (
            self.a.host_config.instances_path,
            self.a.host_config.image_cache_path,
        )
        self.b = self.open('b', paths=paths)
        self.b.connection.opened.domain = self.a.domain

    def owner_after(self, state, reason=0, persistent=True):
        self.a.disks.set_owner(UUID, 'a')
        domain = self.a.domain
        domain.power, domain.persistent = (state, reason), persistent
        self.b.guests.define(spec())
        return self.b.disks.get_owner(UUID)

    def test_guest_arrived_running(self):
        self.assertEqual('b', self.owner_after(libvirt.VIR_DOMAIN_RUNNING))
        self.assertEqual('b', self.owner_after(libvirt.VIR_DOMAIN_PAUSED))

    def test_guest_has_not_arrived(self):
        owner = self.owner_after(
            libvirt.VIR_DOMAIN_PAUSED,
            libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
            persistent=False,
        )
        self.assertEqual('a', owner)

    def test_guest_is_off(self):
        self.assertEqual('a', self.owner_after(libvirt.VIR_DOMAIN_SHUTOFF))

    def test_guest_is_missing(self):
        self.b.connection.opened.domain = None
        self.b.guests.define(spec())
        self.assertEqual('a', self.b.disks.get_owner(UUID))

    def test_disks_of_its_own(self):
        c = self.open('c')
        c.boot()
        path = os.path.join(c.disks.guest_directory(UUID), 'host')
        before = os.stat(path).st_ino
        c.guests.define(spec())
        self.assertEqual(before, os.stat(path).st_ino)
