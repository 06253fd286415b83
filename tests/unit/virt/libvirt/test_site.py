# SPDX-License-Identifier: Apache-2.0
"""What a QEMU host is by its options."""

import os

from minova.virt.libvirt import site as sites
from tests import base


class SiteTest(base.TestCase):
    def test_every_option(self):
        self.config(
            group='libvirt',
            instances_directory='disks/../instances',
            connection_uri='qemu:///session',
            migration_uri='qemu+tls://kvm1/system',
            migration_address='192.0.2.7',
            virt_type='kvm',
            emulator='/opt/qemu',
        )
        self.config(group='compute', image_cache_directory='images')
        here = os.getcwd()
        instances, images = f'{here}/instances', f'{here}/images'
        site = sites.configured('kvm1')
        self.assertEqual(
            sites.Site(
                host='kvm1',
                instances=instances,
                images=images,
                connection_uri='qemu:///session',
                uri='qemu+tls://kvm1/system',
                address='192.0.2.7',
                virt_type='kvm',
                emulator='/opt/qemu',
            ),
            site,
        )
        self.assertEqual((instances, images), site.places)

    def test_others_reach_it_at_its_own_address(self):
        self.config(my_ip='192.0.2.9')
        site = sites.configured('kvm1')
        self.assertEqual('qemu+tcp://192.0.2.9/system', site.uri)
        self.assertEqual('192.0.2.9', site.address)
