# SPDX-License-Identifier: Apache-2.0
"""An embedded host survives its process; one process at a time runs it."""

import os
import signal
import subprocess
import sys
import threading

import fixtures
import libvirt

from minova import exception
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.states import PowerState
from minova.virt.driver import Peer
from minova.virt.libvirt.embedded import driver
from minova.virt.libvirt.embedded import store
from tests import base
from tests.unit.virt.rigs import EmbeddedRig
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

B = Peer('b', '')
AGREED = migrate_data()
SOURCE = LiveMigrateSource(host='a', cpu_info={})


class EmbeddedTestCase(base.TestCase):
    """Host a, and host b on demand."""

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(EmbeddedRig())
        self.a = self.rig.open('a')

    def restart(self):
        self.rig.crash(self.a)
        self.a = self.rig.open('a')

    def running(self, uuid=UUID, **values):
        self.a.create_disks(spec(uuid, **values), None)
        self.a.define(spec(uuid, **values))
        self.a.start(uuid)

    def domain(self, driver, uuid=UUID):
        return self.rig.domain(driver, uuid)

    def on(self, driver, uuid=UUID):
        """Return whether libvirt's domain of a guest is on."""
        try:
            return bool(self.domain(driver, uuid).isActive())
        except libvirt.libvirtError:
            return False

    def files(self):
        found = {}
        for place, _, names in os.walk(self.rig.directory):
            for name in names:
                path = os.path.join(place, name)
                found[path] = os.stat(path).st_mtime_ns, os.stat(path).st_ino
        return found


class HostTest(EmbeddedTestCase):
    """The host."""

    def test_sizes_are_configured(self):
        self.config(
            group='libvirt',
            embedded_vcpus=12,
            embedded_memory_mb=34567,
            embedded_disk_gb=89,
        )
        have = self.rig.open('b').inventory()
        self.assertEqual(
            ('b', 'TEST', 12, 34567, 89),
            (
                have.hypervisor_hostname,
                have.hypervisor_type,
                have.vcpus,
                have.memory_mb,
                have.disk_gb,
            ),
        )
        self.assertGreaterEqual(have.version, 9000000)

    def test_a_directory_with_strange_characters(self):
        self.config(
            group='libvirt',
            embedded_directory=f'{self.directory}/a b?c=d#e%20f+\xfc',
        )
        driver = self.rig.open('a')
        driver.create_disks(spec(), None)
        driver.define(spec())
        driver.start(UUID)
        self.assertEqual(1, len(driver.guests()))
        self.assertEqual([], self.a.guests())

    def test_closing_writes_nothing(self):
        self.running()
        self.a.pause(UUID)
        while self.a.next_event(0.05):
            continue
        before = self.files()
        self.rig.crash(self.a)
        self.assertEqual(before, self.files())
        self.a = self.rig.open('a')

    def test_run_once(self):
        self.useFixture(fixtures.MockPatchObject(store, '_LOCK_TIMEOUT', 0.1))
        self.running()
        error = self.assertRaises(
            exception.ConfigInvalid, driver.open_driver, 'a'
        )
        self.assertIn('embedded host a', str(error))
        self.assertIn(str(os.getpid()), str(error))
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)
        self.rig.crash(self.a)
        self.a = self.rig.open('a')

    def test_waits_for_one_that_is_about_to_go(self):
        timer = threading.Timer(0.2, self.rig.crash, [self.a])
        timer.start()
        self.a = self.rig.open('a')
        timer.join()
        self.assertEqual([], self.a.guests())

    def test_failed_open_releases_the_lock(self):
        def refuse(uri):
            raise libvirt.libvirtError('not today')

        with fixtures.MockPatchObject(libvirt, 'open', refuse):
            self.assertRaises(exception.GuestFailed, driver.open_driver, 'b')
        self.assertEqual([], self.rig.open('b').guests())


class RestartTest(EmbeddedTestCase):
    """Guests survive the process that runs their host."""

    def test_libvirt_has_them_again(self):
        self.running()
        self.running(OTHER)
        self.a.pause(OTHER)
        self.restart()
        state, _ = self.domain(self.a, UUID).state()
        self.assertEqual(libvirt.VIR_DOMAIN_RUNNING, state)
        state, _ = self.domain(self.a, OTHER).state()
        self.assertEqual(libvirt.VIR_DOMAIN_PAUSED, state)

    def test_the_definition_is_the_same(self):
        nics = ({'mac': 'fa:16:3e:00:00:01'}, {'mac': 'fa:16:3e:00:00:02'})
        for uuid in (UUID, OTHER):
            self.running(uuid, nics=nics, swap_mb=4, title='A & B')
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE
        before = self.domain(self.a).XMLDesc(flags)
        for _ in range(3):
            self.restart()
            self.assertEqual(before, self.domain(self.a).XMLDesc(flags))

    def test_boots_are_counted_on_whatever_libvirt_counts(self):
        for uuid in (UUID, OTHER):
            self.running(uuid)
        for _ in range(3):
            self.a.power_off(OTHER)
            self.a.start(OTHER)
        boots = [self.a.guest(uuid).boot for uuid in (UUID, OTHER)]
        self.assertEqual([1, 4], boots)
        numbers = set()
        for _ in range(3):
            self.restart()
            numbers.add(self.domain(self.a, OTHER).ID())
            self.assertEqual(
                boots, [self.a.guest(uuid).boot for uuid in (UUID, OTHER)]
            )
        self.assertNotEqual({4}, numbers)

    def test_a_boot_behind_our_back_counts(self):
        self.running()
        domain = self.domain(self.a)
        domain.destroy()
        domain.create()
        self.assertEqual(2, self.a.guest(UUID).boot)
        self.assertEqual([2], [guest.boot for guest in self.a.guests()])

    def test_external_change_is_stored(self):
        self.running()
        while self.a.next_event(0.05):
            continue
        self.domain(self.a).suspend()
        self.assertEqual(UUID, self.a.next_event(5))
        # Only the event has been read.
        self.restart()
        self.assertEqual(PowerState.PAUSED, self.a.guest(UUID).power)

    def test_a_guest_that_vanishes_behind_our_back(self):
        self.running()
        self.running(OTHER)
        self.a.start_live_migration(UUID, B, AGREED)
        for uuid in (UUID, OTHER):
            self.domain(self.a, uuid).destroy()
            self.domain(self.a, uuid).undefine()
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual('failed', self.a.migration_status(UUID).state)
        self.assertEqual([], self.a.guests())
        self.restart()
        self.assertEqual([], self.a.guests())

    def test_foreign_guests(self):
        self.a.connection.get().defineXML(
            f"<domain type='test'><name>x</name><uuid>{OTHER}</uuid>"
            '<memory>1024</memory><vcpu>1</vcpu>'
            '<os><type>hvm</type></os></domain>'
        ).create()
        (guest,) = self.a.guests()
        self.assertEqual(
            (OTHER, PowerState.RUNNING, None),
            (guest.uuid, guest.power, guest.generation),
        )
        self.restart()
        self.assertEqual([guest], self.a.guests())

    def test_a_connection_that_died_gets_all_guests_again(self):
        self.running()
        self.running(OTHER)
        self.a.pause(OTHER)
        before = {uuid: self.a.guest(uuid) for uuid in (UUID, OTHER)}
        self.check_crash(
            before, lambda: {guest.uuid: guest for guest in self.a.guests()}
        )
        for uuid, guest in before.items():
            self.check_crash(guest, lambda uuid=uuid: self.a.guest(uuid))
        self.check_crash(None, lambda: self.a.power_off(UUID))
        self.assertEqual(PowerState.SHUTDOWN, self.a.guest(UUID).power)

    def check_crash(self, before, read):
        dead = self.a.connection.get()
        with fixtures.MockPatchObject(dead, 'isAlive', lambda: False):
            self.assertEqual(before, read())
        self.assertIsNot(dead, self.a.connection.get())

    def test_a_directory_that_was_moved(self):
        self.running()
        self.rig.crash(self.a)
        moved = f'{self.directory}/moved'
        os.rename(self.rig.directory, moved)
        os.makedirs(self.rig.directory)
        self.config(group='libvirt', embedded_directory=moved)
        self.a = self.rig.open('a')
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)
        text = self.domain(self.a).XMLDesc()
        self.assertIn(f"'{moved}/a/instances/{UUID}/disk'", text)
        self.assertNotIn(self.rig.directory, text)


class RefusedTest(EmbeddedTestCase):
    """A guest that libvirt does not redefine does not affect the others."""

    def setUp(self):
        super().setUp()
        self.running()
        self.running(OTHER)
        self.break_record(b'<os>', b'<so>', b'</os>', b'</so>')

    def break_record(self, *texts):
        """Write an invalid record between two processes."""
        self.rig.crash(self.a)
        path = os.path.join(self.rig.directory, 'a', 'guests', UUID)
        with open(path, 'rb') as file:
            record = file.read()
        for old, new in zip(texts[::2], texts[1::2], strict=True):
            self.assertIn(old, record)
            record = record.replace(old, new)
        with open(path, 'wb') as file:
            file.write(record)
        self.a = self.rig.open('a')

    def test_refused_guest_is_shut_down(self):
        first, second = sorted(self.a.guests(), key=lambda g: g.uuid)
        self.assertEqual(
            (UUID, PowerState.SHUTDOWN), (first.uuid, first.power)
        )
        self.assertIn('os', first.fault)
        self.assertEqual(first, self.a.guest(UUID))
        self.assertEqual(
            (OTHER, PowerState.RUNNING), (second.uuid, second.power)
        )

    def test_refused_guest_is_logged_once(self):
        for _ in range(3):
            self.a.guests()
            self.a.guest(UUID)
            self.a.next_event(0.01)
        self.assertEqual(1, self.log.output.count('stays off on host a'))

    def test_refused_guest_cannot_change_power(self):
        self.a.power_off(UUID)
        for call in (self.a.start, self.a.pause, self.a.shutdown):
            self.assertRaises(exception.GuestFailed, call, UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.a.guest(UUID).power)

    def test_redefining_repairs_it(self):
        self.a.define(spec(generation=2))
        self.assertIsNone(self.a.guest(UUID).fault)
        self.a.start(UUID)
        guest = self.a.guest(UUID)
        self.assertEqual((PowerState.RUNNING, 2), (guest.power, guest.boot))
        self.assertEqual(2, len(self.a.guests()))
        self.restart()
        self.assertEqual(guest, self.a.guest(UUID))

    def test_refused_guest_stays_off_after_restart(self):
        self.a.define(spec(generation=2))
        self.domain(self.a).undefine()
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual(1, len(self.a.guests()))

    def test_refused_guest_can_be_destroyed(self):
        self.a.destroy(UUID)
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual([OTHER], [guest.uuid for guest in self.a.guests()])
        self.restart()
        self.assertEqual([OTHER], [guest.uuid for guest in self.a.guests()])

    def test_power_off_is_kept(self):
        self.break_record(b'<so>', b'<os>', b'</so>', b'</os>')
        guest = self.a.guest(UUID)
        self.assertEqual(
            (PowerState.SHUTDOWN, None), (guest.power, guest.fault)
        )

    def test_a_record_that_is_none(self):
        self.break_record(b'{', b'')
        (guest,) = self.a.guests()
        self.assertEqual(OTHER, guest.uuid)
        error = self.assertRaises(exception.GuestFailed, self.a.guest, UUID)
        self.assertIn('invalid record', str(error))
        self.a.next_event(0.01)
        self.assertEqual(1, self.log.output.count('invalid record'))
        self.a.destroy(UUID)
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual(1, len(self.a.guests()))


class RecordsTest(base.TestCase):
    """A record is complete at any time."""

    def test_on_the_disk_before_it_has_its_name(self):
        kept = store.EmbeddedStore(self.directory)
        kept.put('a/guests/x', {'boot': 1})
        done = []

        def noting(name, real):
            def noted(*args):
                self.assertEqual({'boot': 1}, kept.get('a/guests/x'))
                done.append(name)
                return real(*args)

            return noted

        for name in ('fsync', 'replace'):
            self.useFixture(
                fixtures.MockPatchObject(
                    os, name, noting(name, getattr(os, name))
                )
            )
        kept.put('a/guests/x', {'boot': 2})
        self.assertEqual(['fsync', 'replace'], done)
        self.assertEqual({'boot': 2}, kept.get('a/guests/x'))
        self.assertEqual(['x'], os.listdir(f'{self.directory}/a/guests'))

    def test_files_do_not_grow_in_number(self):
        kept = store.EmbeddedStore(self.directory)
        for number in range(500):
            with kept.lock(f'guest-{number}'):
                continue
        self.assertLessEqual(len(os.listdir(f'{self.directory}/.locks')), 64)


class DiskTroubleTest(EmbeddedTestCase):
    """A change that cannot be stored is not reported."""

    def test_start(self):
        self.a.create_disks(spec(), None)
        self.a.define(spec())

        def full(*args):
            raise OSError(28, 'No space left on device')

        with fixtures.MockPatchObject(os, 'replace', full):
            error = self.assertRaises(
                exception.GuestFailed, self.a.start, UUID
            )
            self.assertIn('No space left', str(error))
            self.assertRaises(exception.GuestFailed, self.a.guest, UUID)
        # The guest runs; the next read stores that.
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)
        self.restart()
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)


class LiveMigrationTest(EmbeddedTestCase):
    """Simulated live migration in both libvirts."""

    def setUp(self):
        super().setUp()
        self.b = self.rig.open('b')
        self.running()

    def begin(self, seconds=0):
        self.rig.set_migration_seconds(seconds)
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, B, AGREED)

    def test_simulated_migration_is_logged(self):
        answer = self.b.check_can_live_migrate_destination(
            spec(), SOURCE, None, False
        )
        agreed = self.a.check_can_live_migrate_source(UUID, answer, None)
        self.assertIn('No memory is copied', agreed.simulation_notice)
        self.b.pre_live_migration(spec(), agreed)
        self.a.start_live_migration(UUID, B, agreed)
        self.a.migration_status(UUID)
        emitted = [t for t in self.log.output.splitlines() if UUID in t]
        self.assertEqual(
            2, len([t for t in emitted if 'simulated live migration' in t])
        )

    def test_only_between_the_hosts_of_one_machine(self):
        error = self.assertRaises(
            exception.MigrationPreCheckError,
            self.b.check_can_live_migrate_destination,
            spec(),
            LiveMigrateSource(host='far-away', cpu_info={}),
            None,
            False,
        )
        self.assertIn('far-away is not an embedded host', str(error))
        self.assertRaises(
            exception.MigrationPreCheckError,
            self.a.check_can_live_migrate_source,
            UUID,
            DestCheckData(host='far-away'),
            None,
        )

    def test_source_releases_before_destination_owns(self):
        self.begin()
        # Reads at the destination change nothing: the source runs and has to
        # release the guest first.
        for _ in range(3):
            self.assertTrue(self.b.guest(UUID).is_incoming)
            self.assertEqual(1, len(self.b.guests()))
        self.assertEqual((True, False), (self.on(self.a), self.on(self.b)))
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertEqual((False, False), (self.on(self.a), self.on(self.b)))
        self.assertEqual(PowerState.RUNNING, self.b.guest(UUID).power)
        self.assertEqual((False, True), (self.on(self.a), self.on(self.b)))

    def test_guest_is_on_no_host_during_switch(self):
        seen = []
        real = os.replace

        def replace(old, new):
            if new.endswith(f'b/guests/{UUID}'):
                seen.append((self.on(self.a), self.on(self.b)))
                real(old, new)
                seen.append((self.on(self.a), self.on(self.b)))
            else:
                real(old, new)

        self.begin()
        with fixtures.MockPatchObject(os, 'replace', replace):
            self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertEqual([(False, False)] * 2, seen)

    def test_repeated_start_is_ignored(self):
        self.begin(100)
        self.rig.later(60)
        self.a.start_live_migration(UUID, B, AGREED)
        self.rig.later(60)
        self.assertEqual('completed', self.a.migration_status(UUID).state)

    def test_next_event_advances_migration(self):
        while self.a.next_event(0.05) or self.b.next_event(0.05):
            continue
        self.begin()
        self.assertEqual(UUID, self.a.next_event(5))
        self.assertEqual(UUID, self.b.next_event(5))
        self.assertEqual((False, True), (self.on(self.a), self.on(self.b)))

    def test_its_files_are_those_of_the_new_host(self):
        self.begin()
        self.a.migration_status(UUID)
        self.b.guest(UUID)
        text = self.domain(self.b).XMLDesc()
        self.assertIn(f"'{self.rig.directory}/b/instances/{UUID}/disk'", text)
        self.assertNotIn(f'{self.rig.directory}/a/', text)
        self.rig.crash(self.b)
        self.b = self.rig.open('b')
        self.assertEqual(text, self.domain(self.b).XMLDesc())

    def test_a_guest_that_is_off_does_not_move(self):
        self.a.power_off(UUID)
        error = self.assertRaises(
            exception.GuestMigrationFailed,
            self.a.start_live_migration,
            UUID,
            B,
            AGREED,
        )
        self.assertIn('off', str(error))
        self.assertEqual('none', self.a.migration_status(UUID).state)

    def test_guest_stops_during_migration(self):
        self.begin(100)
        self.domain(self.a).destroy()
        self.rig.later(101)
        ended = self.a.migration_status(UUID)
        self.assertEqual(('failed', 'the guest is off'), (
            ended.state, ended.error
        ))  # fmt: skip
        self.assertEqual(PowerState.SHUTDOWN, self.a.guest(UUID).power)
        self.assertTrue(self.b.guest(UUID).is_incoming)

    def test_the_destination_has_a_guest_of_that_name(self):
        self.begin(100)
        self.b.define(spec())
        self.rig.later(101)
        self.assertEqual('failed', self.a.migration_status(UUID).state)
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)
        self.assertEqual(PowerState.SHUTDOWN, self.b.guest(UUID).power)

    def test_the_disk_cannot_be_copied(self):
        self.begin(100)
        self.rig.lose_disks('a', UUID)
        self.rig.later(101)
        ended = self.a.migration_status(UUID)
        self.assertEqual('failed', ended.state)
        self.assertIn('disks', ended.error)
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)

    def test_migration_does_not_reboot(self):
        self.a.power_off(UUID)
        self.a.start(UUID)
        self.begin()
        self.a.migration_status(UUID)
        guest = self.b.guest(UUID)
        self.assertEqual(
            (2, 'operation-1', 1),
            (guest.boot, guest.operation, guest.generation),
        )

    def test_prepared_when_it_is_there(self):
        self.begin()
        self.a.migration_status(UUID)
        self.b.pre_live_migration(spec(), AGREED)
        self.assertEqual(PowerState.RUNNING, self.b.guest(UUID).power)
        self.assertFalse(self.b.guest(UUID).is_incoming)
        back = migrate_data('b', 'a')
        self.a.pre_live_migration(spec(), back)
        self.b.start_live_migration(UUID, Peer('a', ''), back)
        self.assertEqual('completed', self.b.migration_status(UUID).state)
        self.assertIsNone(self.b.guest(UUID))


class ProcessTest(EmbeddedTestCase):
    """The same with real processes, one of which is killed."""

    CODE = f"""
import sys
from minova import clock
from minova.conf import CONF
import minova.virt.libvirt
from minova.virt.driver import Peer
from minova.virt.libvirt.embedded import driver as embedded_driver
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import migrate_data, spec
CONF([], default_config_files=[])
CONF.set_override('embedded_directory', sys.argv[1], 'libvirt')
CONF.set_override('embedded_migration_seconds', 0.3, 'libvirt')
driver = embedded_driver.open_driver('far')
driver.create_disks(spec(), None)
driver.define(spec(operation='there', generation=3))
driver.start({UUID!r})
if 'move' in sys.argv:
    driver.start_live_migration(
        {UUID!r}, Peer('a', ''), migrate_data('far', 'a')
    )
print('ready', flush=True)
while True:
    driver.next_event(0.05)
"""

    def process(self, *args):
        child = subprocess.Popen(
            [sys.executable, '-c', self.CODE, self.rig.directory, *args],
            stdout=subprocess.PIPE,
        )
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(b'ready\n', child.stdout.readline())
        return child

    def test_killed(self):
        self.useFixture(fixtures.MockPatchObject(store, '_LOCK_TIMEOUT', 0.1))
        child = self.process()
        error = self.assertRaises(
            exception.ConfigInvalid, driver.open_driver, 'far'
        )
        self.assertIn(str(child.pid), str(error))
        child.send_signal(signal.SIGKILL)
        child.wait()
        far = self.rig.open('far')
        guest = far.guest(UUID)
        self.assertEqual(
            (PowerState.RUNNING, 1, 'there', 3),
            (guest.power, guest.boot, guest.operation, guest.generation),
        )

    def test_a_guest_comes_from_another_process(self):
        self.a.pre_live_migration(spec(), migrate_data('far', 'a'))
        self.process('move')
        while not self.on(self.a):
            self.a.next_event(0.1)
        guest = self.a.guest(UUID)
        self.assertEqual(
            (PowerState.RUNNING, 'there'), (guest.power, guest.operation)
        )
        self.assertTrue(self.a.has_disks(UUID))
