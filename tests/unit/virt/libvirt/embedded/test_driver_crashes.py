# SPDX-License-Identifier: Apache-2.0
"""An embedded host is killed at every effect of every call.

Each scenario runs repeatedly, and ends at its first effect on the file
system, at its second, and so on, until it ends by itself. What libvirt had is
gone each time with the process. After each crash a new process must find all
in order, and the same call must then do what is missing and leave nothing of
the first try behind.
"""

import contextlib
import os
from unittest import mock

from minova.states import PowerState
from minova.virt.driver import Peer
from tests import base
from tests.unit.virt.rigs import EmbeddedRig
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

ON = (PowerState.RUNNING, PowerState.PAUSED)
B = Peer('b', '')
AGREED = migrate_data()

#: The calls by which something on a disk becomes other than it was.
EFFECTS = (
    'fsync',
    'ftruncate',
    'mkdir',
    'rename',
    'replace',
    'rmdir',
    'unlink',
    'write',
)


class Killed(BaseException):
    """The process is killed here."""


class CrashPoint:
    """Kills the process at the effect with a number."""

    def __init__(self, after):
        self.left = after
        self.dead = False

    def _effect(self, real):
        def effect(*args, **kwargs):
            self.dead = self.dead or self.left == 0
            if self.dead:
                raise Killed
            self.left -= 1
            return real(*args, **kwargs)

        return effect

    @contextlib.contextmanager
    def at_work(self):
        with contextlib.ExitStack() as stack:
            for name in EFFECTS:
                effect = self._effect(getattr(os, name))
                stack.enter_context(mock.patch.object(os, name, effect))
            with contextlib.suppress(Killed):
                yield


class CrashTestCase(base.TestCase):
    """Two hosts, and a guest on the first."""

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(EmbeddedRig())
        self.drivers = {host: self.rig.open(host) for host in 'ab'}

    @property
    def a(self):
        return self.drivers['a']

    @property
    def b(self):
        return self.drivers['b']

    def restart(self, *hosts):
        for host in hosts or 'ab':
            self.rig.crash(self.drivers[host])
            self.drivers[host] = self.rig.open(host)

    def guest(self, power):
        """Create a guest on host a, with a token on its disk."""
        self.a.create_disks(spec(root_gb=2, swap_mb=1), None)
        self.rig.write('a', UUID, 'token')
        self.a.define(spec())
        if power is not PowerState.SHUTDOWN:
            self.a.start(UUID)
        if power is PowerState.PAUSED:
            self.a.pause(UUID)

    def clean(self):
        """Remove all guests and disks."""
        for driver in self.drivers.values():
            driver.destroy(UUID)
            driver.remove_disks(UUID)
            driver.discard_disks(UUID)
        self.assertEqual([], self.leftovers())

    def leftovers(self):
        """Return the files besides those of the hosts."""
        found = []
        for place, _, files in os.walk(self.rig.directory):
            if place.endswith('.locks'):
                continue
            found += [os.path.join(place, name) for name in files]
            if place.endswith('/instances'):
                found += os.listdir(place)
        return [
            path
            for path in found
            if os.path.basename(path) not in ('lock', 'node.xml')
        ]

    def half_done(self):
        """Return the files with temporary names."""
        return [
            path
            for path in self.leftovers()
            if os.path.basename(path).startswith('.')
        ]

    def assert_in_order(self):
        """Check the conditions that hold after any crash."""
        running = []
        for host, driver in self.drivers.items():
            guest = driver.guest(UUID)
            if guest is not None and not guest.is_incoming:
                running += [host] * (guest.power in ON)
            guests = driver.guests()
            self.assertEqual([guest] if guest else [], guests)
            # What has its name is whole.
            for retained in (False, True):
                path = self.rig.disk(host, UUID, retained)
                there = (
                    driver.has_retained_disks if retained else driver.has_disks
                )
                if there(UUID):
                    self.assertEqual(2 << 30, os.path.getsize(path))
                    self.assertTrue(os.path.exists(f'{path}.swap'))
        self.assertLessEqual(len(running), 1)
        return running

    def kill_everywhere(self, before, call, after, crashed=None):
        """Run a scenario with a crash at each effect until it completes."""
        for number in range(200):
            before()
            killer = CrashPoint(number)
            with killer.at_work():
                call()
            self.restart()
            self.assert_in_order()
            if crashed is not None:
                crashed()
            call()
            after()
            self.assert_in_order()
            self.restart()
            after()
            self.assertEqual([], self.half_done())
            self.clean()
            if not killer.dead:
                # It got through, so it was killed everywhere.
                self.assertGreater(number, 0)
                return
        self.fail('there is no end to it')

    def power(self, host='a'):
        guest = self.drivers[host].guest(UUID)
        return guest and guest.power


class GuestCrashTest(CrashTestCase):
    """Guests."""

    def check(self, before, name, after, *args):
        """Call a method in one power state; expect another, or None."""
        self.kill_everywhere(
            lambda: self.guest(before),
            lambda: getattr(self.a, name)(*(args or (UUID,))),
            lambda: self.assertEqual(after, self.power()),
            lambda: self.assertIn(self.power(), (before, after)),
        )

    def test_start(self):
        self.check(PowerState.SHUTDOWN, 'start', PowerState.RUNNING)

    def test_start_a_paused_guest(self):
        self.check(PowerState.PAUSED, 'start', PowerState.RUNNING)

    def test_shutdown(self):
        self.check(PowerState.RUNNING, 'shutdown', PowerState.SHUTDOWN)

    def test_power_off(self):
        self.check(PowerState.PAUSED, 'power_off', PowerState.SHUTDOWN)

    def test_pause(self):
        self.check(PowerState.RUNNING, 'pause', PowerState.PAUSED)

    def test_unpause(self):
        self.check(PowerState.PAUSED, 'unpause', PowerState.RUNNING)

    def test_destroy(self):
        self.check(PowerState.RUNNING, 'destroy', None)

    def test_define_a_running_guest(self):
        new = spec(operation='new', generation=2)

        def crashed():
            self.assertIn(self.a.guest(UUID).generation, (1, 2))

        def after():
            self.assertEqual(2, self.a.guest(UUID).generation)
            self.assertEqual(PowerState.RUNNING, self.power())

        self.kill_everywhere(
            lambda: self.guest(PowerState.RUNNING),
            lambda: self.a.define(new),
            after,
            crashed,
        )

    def test_define_a_new_guest(self):
        self.kill_everywhere(
            lambda: None,
            lambda: self.a.define(spec()),
            lambda: self.assertEqual(PowerState.SHUTDOWN, self.power()),
            lambda: self.assertIn(self.power(), (None, PowerState.SHUTDOWN)),
        )

    def test_boots_are_counted_once(self):
        for number in range(20):
            self.guest(PowerState.SHUTDOWN)
            killer = CrashPoint(number)
            with killer.at_work():
                self.a.start(UUID)
            self.restart()
            seen = self.a.guest(UUID)
            self.a.start(UUID)
            self.assertIn(seen.boot, (None, self.a.guest(UUID).boot))
            self.clean()


class DiskCrashTest(CrashTestCase):
    """Disks."""

    def disks(self):
        self.guest(PowerState.SHUTDOWN)

    def retained(self):
        self.disks()
        self.a.retain_disks(UUID)
        self.a.create_disks(spec(root_gb=2, swap_mb=1), None)
        self.rig.write('a', UUID, 'other')

    def token(self, host='a', retained=False):
        return self.rig.read(host, UUID, retained)

    def test_create(self):
        image = os.path.join(self.directory, 'image')
        with open(image, 'wb') as file:
            file.write(b'x' * 200000)
        self.kill_everywhere(
            lambda: None,
            lambda: self.a.create_disks(spec(root_gb=2, swap_mb=1), image),
            lambda: self.assertEqual('x' * (200000 - 123456), self.begin()),
        )

    def begin(self):
        with open(self.rig.disk('a', UUID), 'rb') as file:
            file.seek(123456)
            return file.read(100000).rstrip(b'\0').decode()

    def test_grow(self):
        self.kill_everywhere(
            self.disks,
            lambda: self.a.grow_disks(spec(root_gb=2, swap_mb=1)),
            lambda: self.assertEqual('token', self.token()),
        )

    def test_destroy(self):
        self.kill_everywhere(
            self.disks,
            lambda: self.a.remove_disks(UUID),
            lambda: self.assertFalse(self.a.has_disks(UUID)),
        )

    def test_send_disks(self):
        self.kill_everywhere(
            self.disks,
            lambda: self.a.send_disks(UUID, B, {}),
            lambda: self.assertEqual(
                ['token'] * 2, [self.token(host) for host in 'ab']
            ),
            lambda: self.assertEqual('token', self.token()),
        )

    def test_send_disks_replaces_older(self):
        def before():
            self.disks()
            self.b.create_disks(spec(root_gb=2, swap_mb=1), None)
            self.rig.write('b', UUID, 'other')

        self.kill_everywhere(
            before,
            lambda: self.a.send_disks(UUID, B, {}),
            lambda: self.assertEqual('token', self.token('b')),
            lambda: self.assertIn(self.token('b'), ('other', 'token', None)),
        )

    def test_send_disks_given_up(self):
        for number in range(60):
            self.disks()
            killer = CrashPoint(number)
            with killer.at_work():
                self.a.send_disks(UUID, B, {})
            self.restart()
            self.b.remove_disks(UUID)
            self.assertEqual([], self.half_done())
            self.clean()
            if not killer.dead:
                return
        self.fail('there is no end to it')

    def test_retain_disks(self):
        self.kill_everywhere(
            self.disks,
            lambda: self.a.retain_disks(UUID),
            lambda: self.assertEqual(
                (None, 'token'), (self.token(), self.token(retained=True))
            ),
        )

    def test_retain_disks_copy(self):
        self.kill_everywhere(
            self.disks,
            lambda: self.a.retain_disks(UUID, copy=True),
            lambda: self.assertEqual(
                ('token', 'token'), (self.token(), self.token(retained=True))
            ),
            lambda: self.assertEqual('token', self.token()),
        )

    def test_restore_disks(self):
        self.kill_everywhere(
            self.retained,
            lambda: self.a.restore_disks(UUID),
            lambda: self.assertEqual(
                ('token', None), (self.token(), self.token(retained=True))
            ),
            lambda: self.assertIn(
                'token', (self.token(), self.token(retained=True))
            ),
        )

    def test_discard_disks(self):
        self.kill_everywhere(
            self.retained,
            lambda: self.a.discard_disks(UUID),
            lambda: self.assertEqual(
                ('other', None), (self.token(), self.token(retained=True))
            ),
            lambda: self.assertEqual('other', self.token()),
        )


class LiveMigrationCrashTest(CrashTestCase):
    """Live migration."""

    def start_migration(self):
        self.rig.set_migration_seconds(0)
        self.guest(PowerState.RUNNING)
        self.boot = self.a.guest(UUID).boot
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, B, AGREED)

    def assert_migrated(self):
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertIsNone(self.a.guest(UUID))
        guest = self.b.guest(UUID)
        self.assertEqual(
            (PowerState.RUNNING, self.boot), (guest.power, guest.boot)
        )
        self.assertEqual('token', self.rig.read('b', UUID))

    def assert_somewhere(self):
        """The guest runs on one host, or is about to arrive."""
        self.assertEqual(1, len(self.assert_in_order()))

    def test_the_switch_at_the_source(self):
        self.kill_everywhere(
            self.start_migration,
            lambda: self.a.migration_status(UUID),
            self.assert_migrated,
            self.assert_somewhere,
        )

    def test_the_switch_at_the_destination(self):
        for number in range(200):
            self.start_migration()
            # The source has no process now.
            self.rig.crash(self.a)
            killer = CrashPoint(number)
            with killer.at_work():
                self.b.guest(UUID)
            self.rig.crash(self.b)
            self.drivers = {host: self.rig.open(host) for host in 'ba'}
            self.assert_somewhere()
            self.assert_migrated()
            self.assertEqual([], self.half_done())
            self.clean()
            if not killer.dead:
                self.assertGreater(number, 5)
                return
        self.fail('there is no end to it')

    def test_guest_arrives(self):
        def before():
            self.start_migration()
            self.assertEqual('completed', self.a.migration_status(UUID).state)

        self.kill_everywhere(
            before, lambda: self.b.guest(UUID), self.assert_migrated
        )

    def test_begin(self):
        def before():
            self.rig.set_migration_seconds(1000)
            self.guest(PowerState.RUNNING)
            self.b.pre_live_migration(spec(), AGREED)

        self.kill_everywhere(
            before,
            lambda: self.a.start_live_migration(UUID, B, AGREED),
            lambda: self.assertEqual(
                'running', self.a.migration_status(UUID).state
            ),
            lambda: self.assertIn(
                self.a.migration_status(UUID).state, ('none', 'running')
            ),
        )

    def test_abort(self):
        self.kill_everywhere(
            self.start_long_migration,
            lambda: self.a.abort_migration(UUID),
            lambda: self.assertEqual(
                ('cancelled', PowerState.RUNNING),
                (self.a.migration_status(UUID).state, self.power()),
            ),
        )

    def start_long_migration(self):
        self.rig.set_migration_seconds(1000)
        self.guest(PowerState.RUNNING)
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, B, AGREED)

    def test_pre_live_migration(self):
        self.kill_everywhere(
            lambda: self.guest(PowerState.RUNNING),
            lambda: self.b.pre_live_migration(spec(), AGREED),
            lambda: self.assertTrue(self.b.guest(UUID).is_incoming),
        )

    def test_rollback_at_destination(self):
        self.kill_everywhere(
            self.start_long_migration,
            lambda: self.b.rollback_live_migration_at_destination(
                UUID, AGREED
            ),
            lambda: self.assertIsNone(self.b.guest(UUID)),
            lambda: self.assertEqual(PowerState.RUNNING, self.power()),
        )

    def test_destroy_during_migration(self):
        def crashed():
            self.rig.later(2000)
            state = self.a.migration_status(UUID).state
            if self.a.guest(UUID) is None and self.b.guest(UUID).is_incoming:
                # It was removed before it was due, and went nowhere.
                self.assertEqual('none', state)

        self.kill_everywhere(
            self.start_long_migration,
            lambda: self.a.destroy(UUID),
            lambda: self.assertEqual(
                ('none', None),
                (self.a.migration_status(UUID).state, self.power()),
            ),
            crashed,
        )

    def test_leftovers_at_the_source(self):
        def before():
            self.start_migration()
            self.assertEqual('completed', self.a.migration_status(UUID).state)
            self.assertEqual(PowerState.RUNNING, self.power('b'))

        def call():
            self.a.destroy(UUID)
            self.a.remove_disks(UUID)

        def after():
            self.assertEqual('none', self.a.migration_status(UUID).state)
            self.assertFalse(self.a.has_disks(UUID))
            self.assertEqual(PowerState.RUNNING, self.power('b'))
            self.assertEqual('token', self.rig.read('b', UUID))

        self.kill_everywhere(before, call, after)
