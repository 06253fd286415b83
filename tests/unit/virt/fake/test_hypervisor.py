# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor as a process: whole calls, its witness, its end."""

import os
import signal
import subprocess
import sys

from minova import clock
from minova import exception
from minova.states import PowerState
from minova.virt import loader
from minova.virt.driver import Peer
from minova.virt.fake.hypervisor import Hypervisor
from minova.virt.fake.remote import RemoteDriver
from minova.virt.fake.remote import RemoteWorld
from minova.virt.record_store import MemoryRecordStore
from tests import base
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

AGREED = migrate_data()


class HypervisorTestCase(base.TestCase):
    """A hypervisor in a thread, two hosts and the world outside."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, 's')
        self.store = MemoryRecordStore()
        self.serve()
        self.a, self.b = self.open('a'), self.open('b')
        self.world = RemoteWorld(self.path)
        self.addCleanup(self.world.close)

    def serve(self):
        hypervisor = Hypervisor(self.store, self.path)
        hypervisor.listen()
        thread = clock.spawn('hypervisor', hypervisor.serve)
        self.addCleanup(thread.join)
        self.addCleanup(hypervisor.stop)
        return hypervisor

    def open(self, host):
        driver = RemoteDriver(host, self.path)
        self.addCleanup(driver.close)
        return driver

    def run_at(self, driver):
        driver.create_disks(spec(), None)
        driver.define(spec())
        driver.start(UUID)

    def wait_for(self, true):
        until = clock.monotonic() + 10
        while not true():
            self.assertLess(clock.monotonic(), until, 'it never came true')
            clock.sleep(0.01)


class WitnessTest(HypervisorTestCase):
    """A guest that runs twice is recorded with the call."""

    def test_none(self):
        self.run_at(self.a)
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, Peer('b', ''), AGREED)
        self.assertEqual(['b'], self.world.running(UUID))
        self.assertEqual([], self.world.violations())

    def test_started_twice(self):
        self.run_at(self.a)
        before = clock.now().timestamp()
        self.run_at(self.b)
        (seen,) = self.world.violations()
        self.assertLessEqual(before, seen.pop('at'))
        self.assertEqual(
            {'uuid': UUID, 'hosts': ['a', 'b'], 'call': 'start on b'}, seen
        )

    def test_once_each_time(self):
        for _ in range(2):
            self.run_at(self.a)
            self.run_at(self.b)
            self.b.pause(UUID)
            self.b.power_off(UUID)
        self.assertEqual(2, len(self.world.violations()))

    def test_from_outside(self):
        self.run_at(self.a)
        self.b.define(spec())
        self.world.set_power('b', UUID, PowerState.RUNNING)
        (seen,) = self.world.violations()
        self.assertEqual('set_power on b from outside', seen['call'])

    def test_due_migration_is_no_violation(self):
        # At the instant of the start the guest has left.
        self.run_at(self.a)
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, Peer('b', ''), AGREED)
        self.b.start(UUID)
        self.assertEqual([], self.world.violations())


class WholeCallsTest(HypervisorTestCase):
    """A call is done completely or not at all."""

    def call_without_answer(self, driver, call, *args):
        """Make a call whose caller disconnects before the answer."""

        def ask():
            try:
                getattr(driver, call)(*args)
            except exception.GuestFailed:
                return

        thread = clock.spawn('asker', ask)
        self.addCleanup(thread.join)

    def disconnect(self, driver):
        """Close the connections of a driver, as its end does."""
        for connection in list(driver.open_sockets):
            connection.shutdown(2)

    def test_not_done_when_caller_leaves_before(self):
        self.run_at(self.a)
        self.world.inject_delay('a', 'power_off', 0.5)
        other = InterruptedDriver('a', self.path)
        self.call_without_answer(other, 'power_off', UUID)
        self.wait_for(self.world.calls_in_progress)
        self.disconnect(other)
        self.wait_for(lambda: not self.world.calls_in_progress())
        clock.sleep(0.6)
        self.assertEqual(['a'], self.world.running(UUID))

    def test_done_when_caller_leaves_after(self):
        self.run_at(self.a)
        self.world.inject_delay('a', 'power_off', 20, after=True)
        other = InterruptedDriver('a', self.path)
        self.call_without_answer(other, 'power_off', UUID)
        self.wait_for(lambda: not self.world.running(UUID))
        self.disconnect(other)

    def test_slow_call_blocks_no_other(self):
        self.run_at(self.a)
        self.world.inject_delay('a', 'pause', 30)
        other = InterruptedDriver('a', self.path)
        self.call_without_answer(other, 'pause', UUID)
        self.wait_for(self.world.calls_in_progress)
        self.assertEqual(
            [['a', 'pause', UUID]], self.world.calls_in_progress()
        )
        began = clock.monotonic()
        self.assertEqual(PowerState.RUNNING, self.a.guest(UUID).power)
        self.a.power_off(UUID)
        self.assertLess(clock.monotonic() - began, 5)
        self.disconnect(other)

    def test_ordered_faults_are_cleared(self):
        self.run_at(self.a)
        self.world.inject_delay('a', 'pause', 30)
        self.world.inject_fault('a', 'guest')
        self.world.set_migration_seconds(100)
        self.world.clear_faults()
        self.a.pause(UUID)
        self.b.pre_live_migration(spec(), AGREED)
        self.a.start_live_migration(UUID, Peer('b', ''), AGREED)
        self.assertEqual('completed', self.a.migration_status(UUID).state)

    def test_errors_are_passed_through(self):
        self.world.inject_fault('a', 'define', 'it rains', kind='DiskFailed')
        error = self.assertRaises(exception.DiskFailed, self.a.define, spec())
        self.assertIn('it rains', str(error))

    def test_unknown_calls(self):
        for call in ('apply_delay', 'close', '__init__', 'store'):
            error = self.assertRaises(
                exception.OperationFailed, self.a._call, call
            )
            self.assertIn('a host has no call', str(error))
            self.assertRaises(
                exception.OperationFailed, self.world._call, call
            )
        self.assertIsNone(self.a.guest(UUID))

    def test_everything(self):
        self.run_at(self.a)
        self.a.retain_disks(UUID, copy=True)
        self.b.pre_live_migration(spec(), AGREED)
        found = {
            (host, kind)
            for host, kinds in self.world.dump().items()
            for kind, records in kinds.items()
            if UUID in records
        }
        self.assertEqual(
            {('a', 'guests'), ('a', 'disks'), ('a', 'retained'),
             ('b', 'incoming')},
            found,
        )  # fmt: skip


class InterruptedDriver(RemoteDriver):
    """A driver whose open sockets are known."""

    def __init__(self, host, path):
        super().__init__(host, path)
        self.connections.close()
        self.open_sockets = []
        connect = self.connections._connect
        self.connections._connect = lambda: self._keep(connect())

    def _keep(self, connection):
        # Only the first call: the retry finds no server.
        if self.open_sockets:
            connection.close()
            raise ConnectionRefusedError
        self.open_sockets.append(connection)
        return connection


class AwayTest(HypervisorTestCase):
    """The end and the return of the hypervisor."""

    def test_hypervisor_returns(self):
        self.run_at(self.a)
        before = self.a.guest(UUID)
        self.hypervisor.stop()
        error = self.assertRaises(exception.GuestFailed, self.a.guest, UUID)
        self.assertIn('does not answer', str(error))
        self.assertEqual(UUID, error.kwargs['instance_id'])
        self.assertIsNone(self.a.next_event(0.01))
        self.serve()
        self.assertEqual(before, self.a.guest(UUID))

    def serve(self):
        self.hypervisor = super().serve()
        return self.hypervisor

    def test_a_compute_waits_for_it(self):
        self.config(group='compute', compute_driver='fake')
        self.config(group='fake', socket=f'{self.path}-missing')
        error = self.assertRaises(
            exception.Unavailable, loader.load_driver, 'a'
        )
        self.assertIn(f'{self.path}-missing', str(error))
        self.config(group='fake', socket=self.path)
        driver = loader.load_driver('c')
        self.addCleanup(driver.close)
        self.assertEqual('c', driver.inventory().hypervisor_hostname)

    def test_the_socket_is_taken(self):
        second = Hypervisor(MemoryRecordStore(), self.path)
        error = self.assertRaises(exception.ConfigInvalid, second.listen)
        self.assertIn('another process listens', str(error))


class ProcessTest(base.TestCase):
    """minova-fake-hypervisor."""

    def start(self, *options):
        conf = os.path.join(self.directory, 'conf')
        with open(conf, 'w', encoding='utf-8') as file:
            file.write('\n'.join(['[fake]', *options]))
        return subprocess.Popen(
            [
                sys.executable,
                '-m',
                'minova.cmd.fake_hypervisor',
                f'--config-file={conf}',
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_its_life(self):
        path = os.path.join(self.directory, 's')
        kept = os.path.join(self.directory, 'kept')
        for start in range(2):
            process = self.start(f'socket = {path}', f'directory = {kept}')
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            self.assertIn(f'is ready at {path}', process.stdout.readline())
            driver = RemoteDriver('a', path)
            if not start:
                driver.define(spec())
            self.assertEqual('operation-1', driver.guest(UUID).operation)
            # The second start finds the socket of one that was killed.
            process.send_signal(signal.SIGTERM if start else signal.SIGKILL)
            self.assertEqual(0 if start else -9, process.wait(10))
            driver.close()
        self.assertFalse(os.path.exists(path))

    def test_no_socket(self):
        process = self.start()
        emitted, complaint = process.communicate(timeout=20)
        self.assertEqual((2, ''), (process.returncode, emitted))
        self.assertIn('[fake] socket is not set', complaint)
        self.assertEqual(1, len(complaint.splitlines()))
