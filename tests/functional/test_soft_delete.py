# SPDX-License-Identifier: Apache-2.0
"""Soft delete, restore and reclaim."""

import datetime

import sqlalchemy as sa

from minova import clock
from minova import states
from minova.db import tables
from minova.db.queries import instances
from minova.engine import begin
from minova.objects.operation_params import RescueImage
from minova.objects.operation_params import SoftDeleteParams
from minova.states import PowerState
from tests.functional import base

KEEP = 86400


class SoftDeleteTestCase(base.FlowTestCase):
    """Deleted servers are kept for a day."""

    def setUp(self):
        super().setUp()
        self.config('conductor', reclaim_instance_interval=KEEP)

    def soft_delete(self, uuid, host_down=False):
        return self.cloud.begin('soft_delete', uuid, host_down=host_down)

    def age(self, uuid, seconds):
        """Make the soft delete older."""
        then = clock.now() - datetime.timedelta(seconds=seconds)
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(tables.instances)
                .where(tables.instances.c.uuid == uuid)
                .values(deleted_at=then)
            )
        )

    def kinds(self, uuid):
        return [operation.kind for operation in self.cloud.operations(uuid)]


class SoftDeleteTest(SoftDeleteTestCase):
    """A delete that can be undone."""

    def test_soft_delete_and_restore(self):
        uuid, host, _, since = self.booted()
        name = host.partition('.')[2]
        content = self.cloud.world.get_disks(name, uuid)['content']
        claims = self.cloud.allocations(uuid)
        self.soft_delete(uuid)
        self.assert_emitted(
            f"""
            update(None>soft-deleting) [api.api]
            soft_delete.start [{host}]
            update(soft-deleting>None) active>soft-delete [{host}]
            soft_delete.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.SOFT_DELETE)
        self.assertIsNotNone(instance.deleted_at)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        guest = self.cloud.world.guest(name, uuid)
        self.assertEqual(PowerState.SHUTDOWN, guest['power'])
        self.assertEqual(claims, self.cloud.allocations(uuid))
        since = self.count(uuid)
        self.cloud.begin('restore', uuid)
        self.assert_emitted(
            f"""
            update(None>restoring) [api.api]
            restore.start [{host}]
            update(restoring>None) soft-delete>active [{host}]
            restore.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(instance.deleted_at)
        self.assertEqual([name], self.cloud.world.running(uuid))
        kept = self.cloud.world.get_disks(name, uuid)['content']
        self.assertEqual(content, kept)

    def test_suspended_one_is_restored_with_its_memory(self):
        uuid, host, *_ = self.booted()
        host = host.partition('.')[2]
        self.cloud.begin('suspend', uuid)
        self.soft_delete(uuid)
        boot = self.cloud.world.guest(host, uuid)['boot']
        self.assertTrue(self.cloud.driver(host).has_managed_save(uuid))
        self.cloud.begin('restore', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(boot, self.cloud.world.guest(host, uuid)['boot'])

    def test_rescued_one_is_restored_from_its_own_disk(self):
        uuid, host, *_ = self.booted()
        host = host.partition('.')[2]
        image = RescueImage(image_id='i', name='i', disk_format='raw')
        self.cloud.begin('rescue', uuid, image=image)
        self.soft_delete(uuid)
        self.cloud.begin('restore', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(self.cloud.world.guest(host, uuid)['spec']['rescue'])
        self.assertIsNone(self.cloud.world.get_disks(host, uuid).get('rescue'))

    def test_failed_restore_leaves_it_soft_deleted(self):
        uuid, host, *_ = self.booted()
        host = host.partition('.')[2]
        self.soft_delete(uuid)
        self.cloud.world.inject_fault(host, 'start', 'no memory')
        self.cloud.begin('restore', uuid)
        instance = self.assert_ended(uuid, states.SOFT_DELETE, 'rolled_back')
        self.assertIsNotNone(instance.deleted_at)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertIn('no memory', self.cloud.fault(uuid)['message'])
        self.cloud.begin('restore', uuid)
        self.assert_ended(uuid, states.ACTIVE)

    def test_power_off_that_fails_is_pending(self):
        uuid, host, *_ = self.booted()
        host = host.partition('.')[2]
        self.cloud.begin('pause', uuid)
        self.cloud.world.inject_fault(host, 'power_off', 'stuck', 2)
        self.soft_delete(uuid)
        instance = self.assert_ended(uuid, states.SOFT_DELETE)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        guest = self.cloud.world.guest(host, uuid)
        self.assertEqual(PowerState.SHUTDOWN, guest['power'])

    def test_offloaded_one_has_no_host(self):
        uuid, *_ = self.booted()
        self.cloud.driver(self.cloud.instance(uuid).host).destroy(uuid)
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(tables.instances)
                .where(tables.instances.c.uuid == uuid)
                .values(host=None, vm_state=states.SHELVED_OFFLOADED)
            )
        )
        since = self.count(uuid)
        self.soft_delete(uuid, host_down=True)
        self.assert_emitted(
            """
            update(None>soft-deleting) [api.api]
            soft_delete.start [api.api]
            update(soft-deleting>None) shelved_offloaded>soft-delete [api.api]
            soft_delete.end [api.api]
            """,
            uuid,
            since,
        )
        self.cloud.begin('restore', uuid)
        self.assert_ended(uuid, states.SHELVED_OFFLOADED)


class ReclaimTest(SoftDeleteTestCase):
    """The delete of a conductor after the interval."""

    def test_reclaim(self):
        uuid, host, _, _ = self.booted()
        self.soft_delete(uuid)
        self.age(uuid, KEEP - 60)
        clock.sleep(0.5)
        self.assertEqual(
            states.SOFT_DELETE, self.cloud.instance(uuid).vm_state
        )
        since = self.count(uuid)
        self.age(uuid, KEEP + 1)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED
        )
        self.cloud.settle(uuid)
        self.assertEqual(
            [
                'update(None>deleting) [conductor.conductor0]',
                f'delete.start [{host}]',
                f'shutdown.start [{host}]',
                f'shutdown.end [{host}]',
                f'update(deleting>None) soft-delete>deleted [{host}]',
                f'delete.end [{host}]',
            ],
            self.emitted(uuid, since),
        )
        self.assertEqual(['create', 'soft_delete', 'delete'], self.kinds(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))

    def test_restored_one_is_not_reclaimed(self):
        uuid, *_ = self.booted()
        self.soft_delete(uuid)
        self.cloud.begin('restore', uuid)
        self.age(uuid, KEEP + 1)
        clock.sleep(0.5)
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)

    def test_nothing_is_reclaimed_without_the_option(self):
        uuid, *_ = self.booted()
        self.soft_delete(uuid)
        self.config('conductor', reclaim_instance_interval=0)
        self.age(uuid, KEEP + 1)
        clock.sleep(0.5)
        self.assertEqual(['create', 'soft_delete'], self.kinds(uuid))


class HostDownTest(base.RecoveryTestCase):
    """A soft delete does not need the host."""

    def test_guest_is_powered_off_when_the_host_returns(self):
        uuid = self.cloud.boot(host='a')
        self.take_down('a')
        begun = self.cloud.database.write(
            lambda c: begin.begin_locked(
                c,
                self.cloud.context(),
                'soft_delete',
                instances.get(c, uuid, lock=True),
                'api.api',
                SoftDeleteParams(host_down=True),
            )
        )
        self.assertEqual(states.SOFT_DELETE, begun.instance.vm_state)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.restart('a')
        instance = self.cloud.settle(uuid)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        self.cloud.begin('restore', uuid)
        self.assertEqual(['a'], self.cloud.world.running(uuid))

    def test_host_dies_meanwhile(self):
        uuid = self.cloud.boot(host='a')
        crashing = self.crash_at('a', 'shutdown')
        self.cloud.begin('soft_delete', uuid, wait=False, host_down=False)
        self.assertTrue(crashing.crashed.wait(10))
        self.take_down('a')
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.SOFT_DELETE
        )
        self.restart('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assert_spans_paired(uuid)
