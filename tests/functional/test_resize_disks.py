# SPDX-License-Identifier: Apache-2.0
"""Resize with real disks, with and without shared storage.

The guests are fake. The disks are files and use the disk transfer.
"""

import logging
import os

import fixtures
import orjson

from minova import audit
from minova import clock
from minova import exception
from minova import states
from minova.db.queries import operations
from minova.objects.step_args import ResizeInstanceArgs
from minova.virt import host_contents
from minova.virt.fake.driver import FakeDriver
from minova.virt.libvirt.plain_files import PlainFileBackend
from minova.virt.libvirt.qemu.disk_transfer import TransferableDisks
from tests import base
from tests.fixtures.cloud import Cloud

MIB = 1 << 20


class Crash(BaseException):
    """The end of the process at this point."""


class DisksDriver(FakeDriver):
    """A fake host whose disks are files."""

    OF_DISKS = (
        'create_disks', 'has_disks', 'grow_disks', 'remove_disks',
        'prepare_disk_transfer', 'check_can_send_disks', 'send_disks',
        'commit_received_disks', 'retain_disks', 'restore_disks',
        'discard_disks', 'has_retained_disks',
    )  # fmt: skip

    def __init__(self, host, world, disks):
        super().__init__(host, world)
        self.disks = disks
        for name in self.OF_DISKS:
            setattr(self, name, getattr(disks, name))

    def start(self, uuid):
        self.disks.require_disks(uuid)
        # Fake guests need a record of their disks.
        path = f'{self.host}/disks/{uuid}'
        self._store.put(path, {'image': '', 'content': '', 'root_gb': 1})
        super().start(uuid)
        self._store.delete(path)

    def list_host_contents(self):
        return host_contents.build(self.guests(), self.disks.list_artifacts())

    def close(self):
        self.disks.close()


class DisksCloud(Cloud):
    """Hosts with files for disks."""

    def __init__(self, directory, shared):
        super().__init__()
        self._directory = directory
        self._shared = shared

    def driver(self, host):
        name = 'shared' if self._shared else f'instances-{host}'
        place = os.path.join(self._directory, name)
        disks = TransferableDisks(place, PlainFileBackend(), host)
        return DisksDriver(host, self.world, disks)


class DiskTransferTestCase(base.TestCase):
    """Two hosts; a server on the first."""

    shared = False

    def setUp(self):
        super().setUp()
        self.config(group='compute', transfer_port=0)
        self.cloud = self.useFixture(DisksCloud(self.directory, self.shared))
        self.big = self.cloud.flavor('big', memory_mb=1024, root_gb=2)
        self.content = os.urandom(3 * MIB)

    def disks(self, host):
        return self.cloud.computes[host].driver.disks

    def path(self, host, uuid):
        return os.path.join(self.disks(host).guest_directory(uuid), 'disk')

    def booted(self):
        uuid = self.cloud.boot(host='a')
        self.write('a', uuid, self.content)
        return uuid

    def write(self, host, uuid, content):
        with open(self.path(host, uuid), 'r+b') as file:
            file.write(content)

    def assert_has(self, host, uuid, gib):
        """The instance is on this host with a disk of this size."""
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertTrue(self.disks(host).has_disks(uuid))
        path = self.path(host, uuid)
        self.assertEqual(gib << 30, os.path.getsize(path))
        with open(path, 'rb') as file:
            self.assertEqual(self.content, file.read(len(self.content)))
        self.assert_no_fault()

    def assert_no_fault(self):
        found = audit.examine(
            self.cloud.read(audit.read_snapshot),
            {
                h: self.cloud.computes[h].driver.list_host_contents()
                for h in 'ab'
            },
            clock.now(),
        )
        self.assertEqual([], [one for one in found if one.is_fault])

    def assert_nothing_left(self, uuid):
        self.cloud.delete(uuid)
        for host in 'ab':
            self.assertEqual([], os.listdir(self.disks(host).directory))

    def assert_ended(self, uuid, vm_state, outcome='done'):
        instance = self.cloud.settle(uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual(
            (vm_state, None, outcome),
            (instance.vm_state, instance.task_state, last.state),
        )


class ResizeTest(DiskTransferTestCase):
    """Between hosts without shared storage."""

    def test_confirmed(self):
        uuid = self.booted()
        self.cloud.resize(uuid, self.big)
        self.assert_ended(uuid, states.RESIZED)
        self.assert_has('b', uuid, 2)
        migration = self.cloud.unconfirmed_migration(uuid)
        self.assertEqual(
            (1 << 30, 1 << 30, 0),
            (
                migration.disk_total,
                migration.disk_processed,
                migration.disk_remaining,
            ),
        )
        self.cloud.confirm(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assert_has('b', uuid, 2)
        self.assertFalse(self.disks('a').has_retained_disks(uuid))
        self.assert_nothing_left(uuid)

    def test_reverted(self):
        uuid = self.booted()
        self.cloud.resize(uuid, self.big)
        self.write('b', uuid, b'something else')
        self.cloud.revert(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assert_has('a', uuid, 1)
        self.assert_nothing_left(uuid)

    def test_deleted_before_it_was_confirmed(self):
        uuid = self.booted()
        self.cloud.resize(uuid, self.big)
        self.assert_nothing_left(uuid)

    def test_unwind_after_last_step(self):
        uuid = self.booted()
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        self.cloud.resize(uuid, self.big)
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assert_has('a', uuid, 1)
        self.assert_nothing_left(uuid)

    def test_unwind_after_half_transfer(self):
        uuid = self.booted()
        driver = self.cloud.computes['a'].driver
        real, times = driver.retain_disks, []

        def set_aside(*args, **kwargs):
            if not times:
                times.append(1)
                raise exception.DiskFailed(instance_id=uuid, reason='full')
            return real(*args, **kwargs)

        driver.retain_disks = set_aside
        self.cloud.resize(uuid, self.big)
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assert_has('a', uuid, 1)
        self.assert_nothing_left(uuid)

    def test_the_source_dies_at_each_step(self):
        uuid = self.booted()
        driver = self.cloud.computes['a'].driver
        real = driver.send_disks

        def dies(*args):
            for step in real(*args):
                yield step
                raise Crash

        driver.send_disks = dies
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.instance(uuid).task_state == 'resize_migrating'
                and not self.cloud.world.running(uuid)
            )
        )
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.start_compute('a')
        self.assert_ended(uuid, states.RESIZED)
        self.assert_has('b', uuid, 2)
        self.assert_nothing_left(uuid)

    def test_deleted_during_transfer(self):
        uuid = self.booted()
        driver = self.cloud.computes['a'].driver
        real, held, go_on = driver.send_disks, clock.event(), clock.event()

        def slow(*args):
            for step in real(*args):
                yield step
                held.set()
                go_on.wait(10)

        driver.send_disks = slow
        self.cloud.resize(uuid, self.big, wait=False)
        self.assertTrue(held.wait(10))
        self.cloud.delete(uuid, wait=False)
        clock.sleep(0.3)
        go_on.set()
        self.assert_ended(uuid, states.DELETED)
        for host in 'ab':
            self.assertEqual([], os.listdir(self.disks(host).directory))


class SharedResizeTest(ResizeTest):
    """Between hosts with a shared directory."""

    shared = True

    def test_confirmed(self):
        uuid = self.booted()
        self.cloud.resize(uuid, self.big)
        self.assert_ended(uuid, states.RESIZED)
        self.assert_has('b', uuid, 2)
        self.cloud.confirm(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assert_has('b', uuid, 2)
        self.assertEqual([uuid], os.listdir(self.disks('a').directory))
        self.assert_nothing_left(uuid)


class HostOutageTest(DiskTransferTestCase):
    """The destination is down for some time."""

    def test_the_guest_runs_on_meanwhile(self):
        uuid = self.booted()
        self.disks('b').close()
        self.cloud.resize(uuid, self.big, wait=False)
        operation = self.cloud.wait_for(
            lambda: next(
                (o for o in self.cloud.operations(uuid) if o.wait_reason), None
            )
        )
        self.assertIn('resize_instance', operation.wait_reason)
        self.assertIn('does not answer', operation.wait_reason)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.cloud.stop(self.cloud.computes['b'])
        self.cloud.start_compute('b')
        self.assert_ended(uuid, states.RESIZED)
        self.assert_has('b', uuid, 2)
        self.assertIsNone(self.cloud.operations(uuid)[-1].wait_reason)

    def test_destination_dies_during_transfer(self):
        uuid = self.booted()
        driver = self.cloud.computes['a'].driver
        real, gone = driver.send_disks, []

        def hand_over(*args):
            for step in real(*args):
                yield step
                if not gone:
                    gone.append(1)
                    self.cloud.stop(self.cloud.computes['b'])

        driver.send_disks = hand_over
        self.cloud.resize(uuid, self.big, wait=False)
        self.cloud.wait_for(
            lambda: any(o.wait_reason for o in self.cloud.operations(uuid))
        )
        self.cloud.start_compute('b')
        self.assert_ended(uuid, states.RESIZED)
        self.assert_has('b', uuid, 2)

    def test_until_the_deadline(self):
        uuid = self.booted()
        self.disks('b').close()
        begun = self.cloud.resize(uuid, self.big, wait=False).operation
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.cloud.database.write(
            lambda c: operations.update(c, begun.id, {'deadline': clock.now()})
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assert_has('a', uuid, 1)
        self.assertIn('does not answer', self.cloud.fault(uuid)['message'])


class SecretTest(DiskTransferTestCase):
    """The token is neither logged nor emitted."""

    def test_ticket_is_not_logged_or_emitted(self):
        log = self.useFixture(fixtures.FakeLogger('minova', logging.DEBUG))
        uuid = self.booted()
        self.cloud.resize(uuid, self.big)
        last = self.cloud.operations(uuid)[-1]
        steps = self.cloud.read(operations.list_steps, last.id)
        (token,) = {
            step.args.transfer_ticket.token
            for step in steps
            if isinstance(step.args, ResizeInstanceArgs)
        }
        self.assertGreater(len(token), 30)
        self.assertIn('resize_instance', log.output)
        self.assertNotIn(token, log.output)
        received = self.cloud.consumer.of_instance(uuid)
        self.assertNotEqual([], received)
        self.assertNotIn(token, repr(received))
        self.assertNotIn(
            token,
            orjson.dumps(last.error or {}).decode()
            + str(last.params.to_wire()),
        )
