# SPDX-License-Identifier: Apache-2.0
"""Config drives, from the request to the host."""

import base64

from minova.virt import configdrive
from minova.virt import spec as specs
from tests.functional.api import base
from tests.functional.api.test_key_pairs import KEY

USER_DATA = base64.b64encode(b'#!/bin/sh\n').decode()


class ConfigDriveTest(base.ApiTestCase):
    """Two hosts whose disks are records."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_flavor('big', ram=1024)

    def drive(self, uuid):
        """Return the content of the drive; None without a drive."""
        host = self.cloud.instance(uuid).host
        return self.cloud.world.get_disks(host, uuid).get('config_drive')

    def lose(self, uuid):
        """Remove the drive behind Minova's back."""
        host = self.cloud.instance(uuid).host
        disk = self.cloud.world.get_disks(host, uuid)
        del disk['config_drive']
        self.cloud.world.store.put(f'{host}/disks/{uuid}', disk)

    def act(self, uuid, action, content=None, client=None):
        reply = (client or self.user).act(uuid, action, content)
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(uuid)

    def boot_with_drive(self, **values):
        return self.boot(config_drive=True, **values)

    def test_contents(self):
        body = {'keypair': {'name': 'mine', 'public_key': KEY}}
        self.assertEqual(200, self.user.post('/os-keypairs', body).status)
        uuid = self.boot_with_drive(
            key_name='mine', user_data=USER_DATA, metadata={'role': 'web'}
        )
        row = self.cloud.instance(uuid)
        self.assertEqual(
            {
                'hostname': 'web',
                'launch_index': 0,
                'reservation_id': row.reservation_id,
                'availability_zone': 'nova',
                'metadata': {'role': 'web'},
                'key_name': 'mine',
                'key_data': KEY,
                'user_data': USER_DATA,
                'macs': [],
            },
            self.drive(uuid),
        )
        self.assertEqual('True', self.show(uuid)['config_drive'])
        # The drive of an instance has the same bytes on every host.
        first, second = (
            configdrive.build_image(
                specs.from_instance(row, operation, generation)
            )
            for operation, generation in (('o-1', 1), ('o-2', 2))
        )
        self.assertEqual(first, second)
        self.assertIn(KEY.encode(), first)

    def test_not_requested(self):
        uuid = self.boot(config_drive=False)
        self.assertIsNone(self.drive(uuid))
        self.assertEqual('', self.show(uuid)['config_drive'])

    def test_force_config_drive(self):
        self.config('compute', force_config_drive=True)
        uuid = self.boot()
        self.assertIsNotNone(self.drive(uuid))
        self.assertEqual('True', self.show(uuid)['config_drive'])
        # The instance keeps it from now on.
        self.config('compute', force_config_drive=False)
        self.lose(uuid)
        self.act(uuid, 'reboot', {'type': 'HARD'})
        self.assertIsNotNone(self.drive(uuid))

    def test_option_applies_to_new_instances(self):
        uuid = self.boot()
        self.config('compute', force_config_drive=True)
        self.act(uuid, 'reboot', {'type': 'HARD'})
        self.assertIsNone(self.drive(uuid))
        self.assertEqual('', self.show(uuid)['config_drive'])

    def test_lost_drive_is_recreated(self):
        uuid = self.boot_with_drive(user_data=USER_DATA)
        before = self.drive(uuid)
        content = self.content(uuid)
        self.lose(uuid)
        self.act(uuid, 'reboot', {'type': 'HARD'})
        self.assertEqual(before, self.drive(uuid))
        self.act(uuid, 'os-stop')
        self.lose(uuid)
        self.act(uuid, 'os-start')
        self.assertEqual(before, self.drive(uuid))
        self.assertEqual('ACTIVE', self.show(uuid)['status'])
        # The root disk is unchanged.
        self.assertEqual(content, self.content(uuid))

    def content(self, uuid):
        host = self.cloud.instance(uuid).host
        return self.cloud.world.get_disks(host, uuid)['content']

    def test_config_drive_follows_the_guest(self):
        uuid = self.boot_with_drive()
        before, host = self.drive(uuid), self.cloud.instance(uuid).host
        self.act(uuid, 'resize', {'flavorRef': 'big'})
        self.assertNotEqual(host, self.cloud.instance(uuid).host)
        self.assertEqual(before, self.drive(uuid))
        self.act(uuid, 'revertResize')
        self.assertEqual(host, self.cloud.instance(uuid).host)
        self.assertEqual(before, self.drive(uuid))
        live = {
            'host': None,
            'block_migration': 'auto',
        }
        self.act(uuid, 'os-migrateLive', live, self.admin.at_version('2.30'))
        self.assertNotEqual(host, self.cloud.instance(uuid).host)
        self.assertEqual(before, self.drive(uuid))

    def test_delete_removes_config_drive(self):
        uuid = self.boot_with_drive()
        self.user.delete(f'/servers/{uuid}')
        self.cloud.settle(uuid)
        left = self.cloud.world.dump()
        kinds = [kind for host in left.values() for kind in host.values()]
        self.assertEqual([], [kind for kind in kinds if kind])
