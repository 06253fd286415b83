# SPDX-License-Identifier: Apache-2.0
"""The configuration of a QEMU host."""

import os

from minova.virt.libvirt.qemu import host_config as host_configs
from tests import base


class SiteTest(base.TestCase):
    def test_every_option(self):
        self.config(
            group='libvirt',
            instances_path='disks/../instances',
            connection_uri='qemu:///session',
            live_migration_uri='qemu+tls://%s/system',
            live_migration_inbound_addr='192.0.2.7',
            virt_type='kvm',
            emulator='/opt/qemu',
        )
        self.config(group='compute', image_cache_directory='images')
        here = os.getcwd()
        instances, images = f'{here}/instances', f'{here}/images'
        host_config = host_configs.from_config('kvm1')
        self.assertEqual(
            host_configs.HostConfig(
                host='kvm1',
                instances_path=instances,
                image_cache_path=images,
                connection_uri='qemu:///session',
                live_migration_uri='qemu+tls://%s/system',
                live_migration_inbound_addr='192.0.2.7',
                virt_type='kvm',
                emulator='/opt/qemu',
            ),
            host_config,
        )

    def test_others_reach_it_at_its_own_address(self):
        self.config(my_ip='192.0.2.9')
        host_config = host_configs.from_config('kvm1')
        self.assertEqual(
            'qemu+tcp://192.0.2.9/system',
            host_config.destination_uri(
                host_config.live_migration_inbound_addr
            ),
        )
        self.assertEqual('192.0.2.9', host_config.live_migration_inbound_addr)

    def test_destination_chooses_its_address_only(self):
        host_config = host_configs.from_config('kvm1')
        for address, host in (
            ('192.0.2.7', '192.0.2.7'),
            ('2001:db8::7', '[2001:db8::7]'),
            ('kvm2.example.org', 'kvm2.example.org'),
            ('kvm_2', 'kvm_2'),
        ):
            self.assertEqual(
                f'qemu+tcp://{host}/system',
                host_config.destination_uri(address),
            )
        for address in (
            '',
            'h/system?command=/bin/sh&x=',
            'root@h',
            'h:1',
            'h?no_verify=1',
            '-oProxyCommand=x',
            'a b',
            'a\n',
            '%s',
            'h#',
            'a' * 300,
        ):
            self.assertRaises(ValueError, host_config.destination_uri, address)
