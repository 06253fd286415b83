# SPDX-License-Identifier: Apache-2.0
"""The hosts of an all-in-one: by name, and what drives each."""

import os

import fixtures

from minova import exception
from minova.allinone import hosts
from minova.rig.hosts import host_at
from minova.virt import loader
from minova.virt.libvirt.qemu import driver
from tests import base


class PlainTest(base.TestCase):
    def test_names(self):
        found = hosts.configured_hosts(3)
        self.assertEqual(['node1', 'node2', 'node3'], list(found))
        self.useFixture(
            fixtures.MockPatchObject(
                loader, 'load_driver', lambda name: f'of {name}'
            )
        )
        self.assertEqual('of node2', found['node2']())


class QemuTest(base.TestCase):
    """Hosts of a rig that is not brought up."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.asked = []

        def up(directory, count, **more):
            self.asked.append((directory, count))
            return [host_at(directory, number + 1) for number in range(count)]

        self.replace(hosts.rig, 'up', up)
        self.replace(driver, 'build_driver', lambda host_config: host_config)

    def replace(self, module, name, value):
        self.useFixture(fixtures.MockPatchObject(module, name, value))

    def configs(self):
        found = hosts.start_qemu_hosts(self.directory, 2, '/tools')
        return {name: opened() for name, opened in found.items()}

    def test_each_is_a_host_of_the_rig(self):
        self.replace(
            hosts.emulator,
            'ensure_safe_emulator',
            lambda tools: f'{tools}/qemu',
        )
        self.config(group='compute', image_cache_directory='/images')
        configs = self.configs()
        rig = os.path.join(self.directory, 'rig')
        self.assertEqual([(rig, 2)], self.asked)
        self.assertEqual(['host1', 'host2'], list(configs))
        config = configs['host2']
        self.assertEqual(
            ('host2', f'{rig}/host2/disks', '/images', '/tools/qemu', 'qemu'),
            (
                config.host,
                config.instances_path,
                config.image_cache_path,
                config.emulator,
                config.virt_type,
            ),
        )
        one = host_at(rig, 2)
        self.assertEqual(
            (one.uri, one.live_migration_uri, one.address),
            (
                config.connection_uri,
                config.live_migration_uri,
                config.live_migration_inbound_addr,
            ),
        )
        self.assertEqual('', self.log.output)

    def test_without_a_sound_emulator(self):
        for error in (
            exception.ConfigInvalid(reason='no backports'),
            OSError('no network'),
        ):

            def ensure_safe_emulator(tools, error=error):
                raise error

            self.replace(
                hosts.emulator, 'ensure_safe_emulator', ensure_safe_emulator
            )
            self.assertEqual('', self.configs()['host1'].emulator)
            self.assertIn('the QEMU that libvirt selects', self.log.output)
            self.assertIn(str(error), self.log.output)

    def test_a_machine_that_cannot_run_them(self):
        def up(*args, **more):
            raise exception.ConfigInvalid(reason='no libvirtd')

        self.replace(hosts.emulator, 'ensure_safe_emulator', lambda tools: '')
        self.replace(hosts.rig, 'up', up)
        self.assertRaises(exception.ConfigInvalid, self.configs)
