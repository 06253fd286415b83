# SPDX-License-Identifier: Apache-2.0
"""The config drive of a guest does not change during a migration."""

import base64
import lzma
import os

import fixtures

from minova import exception
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.virt import configdrive
from minova.virt.driver import ConfigDrive
from minova.virt.libvirt.qemu import live_migration_checks
from tests.unit.virt.libvirt.fake_libvirt import HostsTestCase
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

#: The largest that the API takes, of what cannot be packed.
SCRIPT = base64.b64encode(os.urandom(49149)).decode()


def guest(title='a guest', **emitted):
    fixed = {'hostname': 'web', 'launch_index': 0, 'reservation_id': 'r-1'}
    return spec(config_drive=ConfigDrive(**(fixed | emitted)), title=title)


class ConfigDriveMigrationTest(HostsTestCase):
    """From a to b, without shared storage."""

    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MockPatchObject(
                live_migration_checks.qemu_version,
                'get_version',
                lambda path: 10_000_000,
            )
        )

    def boot(self, **emitted):
        made = guest(**emitted)
        return self.a.boot(config_drive=made.config_drive)

    def agree(self, wanted):
        answer = self.b.live_migration.check_can_live_migrate_destination(
            wanted,
            LiveMigrateSource(host='a', cpu_info={}),
            None,
            False,
        )
        return self.a.live_migration.check_can_live_migrate_source(
            UUID, answer, None
        )

    def drive(self, host):
        path = os.path.join(host.disks.guest_directory(UUID), 'disk.config')
        with open(path, 'rb') as file:
            return file.read()

    def receive(self, wanted):
        agreed = self.agree(wanted)
        self.b.live_migration.pre_live_migration(wanted, agreed)
        return agreed.qemu.config_drive

    def test_as_it_would_be_made_it_is_made(self):
        wanted = self.boot(metadata={'role': 'web', 'an': 'other'})
        again = guest(metadata={'an': 'other', 'role': 'web'})
        self.assertIsNone(self.receive(again))
        self.assertEqual(self.drive(self.a), self.drive(self.b))
        self.assertEqual(configdrive.build_image(wanted), self.drive(self.b))

    def test_changed_since_it_is_sent(self):
        self.boot(metadata={'role': 'web'})
        now = guest(title='renamed', metadata={'role': 'database'})
        self.assertNotEqual(configdrive.build_image(now), self.drive(self.a))
        self.assertIsNotNone(self.receive(now))
        self.assertEqual(self.drive(self.a), self.drive(self.b))
        # And what is there stays, however often it is prepared.
        self.b.live_migration.pre_live_migration(
            now, self.agree_without_drive(now)
        )
        self.assertEqual(self.drive(self.a), self.drive(self.b))

    def agree_without_drive(self, wanted):
        """Return migrate data of a source that sends no drive."""
        answer = self.b.live_migration.check_can_live_migrate_destination(
            wanted,
            LiveMigrateSource(host='a', cpu_info={}),
            None,
            False,
        )
        answer = answer.replace(qemu=answer.qemu.replace(has_disks=False))
        agreed = self.a.live_migration.check_can_live_migrate_source(
            UUID, answer, None
        )
        return agreed.replace(qemu=agreed.qemu.replace(config_drive=None))

    def test_the_largest_that_a_user_may_have(self):
        metadata = {f'{"k" * 250}{n:05d}': os.urandom(127).hex() for n in
                    range(128)}  # fmt: skip
        self.boot(user_data=SCRIPT, metadata=metadata)
        now = guest(user_data=SCRIPT)
        # Beside what else a step has; three copies of the script are one.
        self.assertLess(len(self.receive(now)), 256 << 10)
        self.assertEqual(self.drive(self.a), self.drive(self.b))

    def test_small_drive_that_unpacks_to_gigabytes(self):
        wanted = self.boot()
        agreed = self.agree_without_drive(wanted)
        for content, text in (
            (lzma.compress(b'\0' * (5 << 20)), 'more than 4194304 bytes'),
            (lzma.compress(b'x' * 100)[:-20], 'incomplete'),
            (b'this is certainly no LZMA', 'cannot be unpacked'),
            (os.urandom(256 << 10), 'at most 262144'),
        ):
            packed = base64.b64encode(content).decode()
            plan = agreed.replace(
                qemu=agreed.qemu.replace(config_drive=packed)
            )
            error = self.assertRaises(
                exception.DiskFailed,
                self.b.live_migration.pre_live_migration,
                wanted,
                plan,
            )
            self.assertIn(text, str(error))
            self.assertEqual([False], self.b.has('disk.config'))

    def test_destination_without_digest(self):
        wanted = self.boot()
        answer = self.b.live_migration.check_can_live_migrate_destination(
            wanted,
            LiveMigrateSource(host='a', cpu_info={}),
            None,
            False,
        )
        answer = answer.replace(
            qemu=answer.qemu.replace(config_drive_digest=None)
        )
        agreed = self.a.live_migration.check_can_live_migrate_source(
            UUID, answer, None
        )
        self.b.live_migration.pre_live_migration(wanted, agreed)
        self.assertEqual(self.drive(self.a), self.drive(self.b))

    def test_source_without_digest(self):
        wanted = self.boot()
        self.b.live_migration.pre_live_migration(
            wanted, self.agree_without_drive(wanted)
        )
        self.assertEqual(self.drive(self.a), self.drive(self.b))

    def test_none(self):
        self.a.boot()
        self.assertIsNone(self.receive(spec()))
        self.assertEqual([False], self.b.has('disk.config'))

    def test_too_large(self):
        wanted = self.boot()
        path = os.path.join(self.a.disks.guest_directory(UUID), 'disk.config')
        with open(path, 'wb') as file:
            file.write(os.urandom(300_000))
        error = self.assertRaises(
            exception.MigrationPreCheckError, self.agree, wanted
        )
        self.assertIn('Migrate the guest while it is off', str(error))
        self.assertEqual([False], self.b.has('disk.config'))

    def test_shared_it_is_neither_made_nor_sent(self):
        paths = (
            self.a.host_config.instances_path,
            self.a.host_config.image_cache_path,
        )
        self.b = self.open('b', paths=paths)
        self.boot(metadata={'role': 'web'})
        before = self.drive(self.a)
        self.assertIsNone(self.receive(guest()))
        self.assertEqual(before, self.drive(self.a))
