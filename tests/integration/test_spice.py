# SPDX-License-Identifier: Apache-2.0
"""The SPICE server of a real guest."""

import socket

from minova.objects.live_migrate_data import LiveMigrateSource
from minova.virt.libvirt.qemu import driver as qemu_driver
from minova.virt.libvirt.qemu import host_config
from tests import base
from tests.fixtures.rig import Rig
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

OTHER = '22222222-2222-4333-8444-555555555555'


class SpiceTest(base.TestCase):
    """A client connects to a guest that has just started."""

    time_limit = 400

    def test_link(self):
        rig = self.useFixture(Rig())
        self.config(state_path=self.directory)
        options = rig.options(next(iter(rig.hosts)))
        options['DEFAULT'] = {'my_ip': '127.0.0.1'}
        for group, values in options.items():
            self.config(group=None if group == 'DEFAULT' else group, **values)
        # libvirt and QEMU accept the options.
        self.config(
            'spice',
            enabled=True,
            image_compression='quic',
            jpeg_compression='never',
            zlib_compression='never',
            playback_compression=False,
            streaming_mode='off',
        )
        driver = qemu_driver.build_driver(host_config.from_config('a'))
        self.addCleanup(driver.close)
        made = spec(
            memory_mb=256,
            kernel=rig.guest.kernel,
            ramdisk=rig.guest.ramdisk,
            image={'kernel_id': 'kernel', 'ramdisk_id': 'ramdisk'},
        )
        driver.create_disks(made, None)
        driver.define(made)
        driver.start(UUID)
        self.link(driver)
        # As a hard reboot does.
        driver.power_off(UUID)
        driver.define(made)
        driver.start(UUID)
        self.link(driver)
        answer = driver.check_can_live_migrate_destination(
            spec(uuid=OTHER),
            LiveMigrateSource(host='b', cpu_info={}),
            None,
            False,
        )
        self.assertTrue(answer.qemu.has_spice)

    def link(self, driver):
        """Begin the SPICE protocol with the guest."""
        found = driver.graphics(UUID, 'spice-direct')
        self.assertNotEqual(driver.graphics(UUID, 'novnc'), found)
        with socket.create_connection((found.host, found.port), 10) as link:
            link.settimeout(10)
            # SpiceLinkHeader and an empty SpiceLinkMess: magic, version 2.2,
            # size; connection, main channel 1, id 0, no capabilities.
            head = (2, 2, 18)
            body = (0).to_bytes(4, 'little') + b'\x01\x00'
            body += b''.join(n.to_bytes(4, 'little') for n in (0, 0, 18))
            link.sendall(
                b'REDQ'
                + b''.join(n.to_bytes(4, 'little') for n in head)
                + body
            )
            self.assertEqual(b'REDQ', link.recv(4))
