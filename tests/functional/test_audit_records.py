# SPDX-License-Identifier: Apache-2.0
"""The audit of the database: planted faults are found and repaired."""

import dataclasses
import datetime

import sqlalchemy as sa

from minova import clock
from minova import network
from minova.db import tables
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import networks
from minova.db.queries import operations
from minova.db.queries import ports
from minova.engine import begin
from minova.network import definition
from tests.functional.audit_base import AuditTestCase
from tests.functional.audit_base import UNKNOWN_ID


class RecordRulesTest(AuditTestCase):
    """Inconsistent rows."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')

    def delete_rows(self, table, where):
        self.cloud.database.write(
            lambda c: c.execute(sa.delete(table).where(where))
        )

    def used(self, host):
        (row,) = self.cloud.read(hosts.list_hosts, host)
        return row.vcpus_used, row.memory_mb_used, row.disk_gb_used

    # -- addresses -----------------------------------------------------------

    def plug(self, uuid=None):
        """Add a nic to an instance directly."""
        database = self.cloud.database
        if not self.cloud.read(networks.list_all):
            made = definition.define('n', cidr='10.0.0.0/24', bridge='br0')
            definition.create(database, made)

        def give(connection):
            service = network.load()
            chosen = service.select(connection, 'project', None)
            ((nic,),) = service.allocate(
                connection, 'project', chosen, [uuid or self.uuid]
            )
            return nic

        nic = database.write(give)
        if uuid is None:
            self.change(self.uuid, network_info=[nic])
            self.set_interfaces(self.uuid, nic)
        return nic

    def set_interfaces(self, uuid, nic):
        """Give the guest the interface of a nic."""
        path = f'{self.cloud.instance(uuid).host}/guests/{uuid}'
        record = self.store.get(path)
        macs = [nic['mac']]
        spec = record['spec'] | {'macs': macs}
        self.store.put(path, record | {'spec': spec, 'macs': macs})

    def held(self):
        return [p.instance_uuid for p in self.cloud.read(ports.list_all)]

    def test_unused_port(self):
        self.plug()
        self.assert_clean()
        self.plug(UNKNOWN_ID)
        self.assert_repaired('port_orphan')
        self.assertEqual([self.uuid], self.held())

    def test_an_address_of_a_deleted_one(self):
        self.cloud.delete(self.uuid)
        self.plug(self.uuid)
        self.assert_repaired('port_orphan')
        self.assertEqual([], self.held())

    def test_an_address_that_is_not_held(self):
        nic = self.plug()
        (before,) = self.cloud.read(ports.list_all)
        self.delete_rows(tables.ports, sa.true())
        self.assert_repaired('port_missing')
        (after,) = self.cloud.read(ports.list_all)
        moment = before.created_at
        self.assertEqual(before, dataclasses.replace(after, created_at=moment))
        self.assertEqual(nic['id'], after.id)

    def test_an_address_that_another_one_has_by_now(self):
        self.plug()
        other = self.cloud.boot(host='b')
        where = tables.ports.c.instance_uuid == self.uuid
        info = self.cloud.instance(self.uuid).network_info
        self.write(tables.ports, where, instance_uuid=other)
        self.change(other, network_info=info)
        self.set_interfaces(other, info[0])
        self.assert_left('port_missing')
        self.assertEqual([other], self.held())

    # -- room ----------------------------------------------------------------

    def test_missing_allocation(self):
        a = tables.allocations
        self.delete_rows(a, a.c.instance_uuid == self.uuid)
        self.write(
            tables.hosts,
            tables.hosts.c.host == 'a',
            vcpus_used=0,
            memory_mb_used=0,
            disk_gb_used=0,
        )
        self.assert_repaired('allocation_missing')
        self.assertEqual({('a', True): 1}, self.cloud.allocations(self.uuid))
        self.assertEqual((1, 512, 1), self.used('a'))

    def test_orphan_allocation(self):
        self.cloud.database.write(
            lambda c: hosts.set_allocation(
                c, 'b', self.uuid, UNKNOWN_ID, hosts.Resources(1, 2, 3)
            )
        )
        self.assert_repaired('allocation_orphan')
        self.assertEqual((0, 0, 0), self.used('b'))
        self.assertEqual({('a', True): 1}, self.cloud.allocations(self.uuid))

    def test_allocation_of_deleted_instance(self):
        self.cloud.delete(self.uuid)
        self.cloud.database.write(
            lambda c: hosts.set_allocation(
                c, 'a', self.uuid, self.uuid, hosts.Resources(1, 2, 3)
            )
        )
        self.assert_repaired('allocation_orphan')
        self.assertEqual((0, 0, 0), self.used('a'))

    def test_allocation_size(self):
        self.cloud.database.write(
            lambda c: hosts.set_allocation(
                c, 'a', self.uuid, self.uuid, hosts.Resources(7, 7, 7)
            )
        )
        self.assert_repaired('allocation_mismatch')
        self.assertEqual((1, 512, 1), self.used('a'))

    def test_sums(self):
        self.write(tables.hosts, tables.hosts.c.host == 'a', vcpus_used=9)
        self.assert_repaired('host_usage_mismatch')
        self.assertEqual((1, 512, 1), self.used('a'))

    # -- tasks ---------------------------------------------------------------

    def test_task_without_owner(self):
        self.change(self.uuid, task_state='pausing', task_id=UNKNOWN_ID)
        self.assert_repaired('task_without_owner')
        instance = self.cloud.settle(self.uuid)
        self.assertEqual(
            ('active', None, None),
            (instance.vm_state, instance.task_state, instance.task_id),
        )
        fault = self.cloud.fault(self.uuid)
        self.assertIn('without releasing', fault['message'])
        event, _, payload, _ = self.cloud.consumer.of_instance(self.uuid)[-1]
        self.assertEqual('compute.instance.update', event)
        self.assertEqual(
            ('pausing', None),
            (payload['old_task_state'], payload['new_task_state']),
        )
        self.assertEqual(
            'paused', self.cloud.begin('pause', self.uuid).vm_state
        )

    def test_a_task_of_an_operation_that_ended(self):
        done = self.cloud.operations(self.uuid)[0]
        self.change(
            self.uuid,
            vm_state='building',
            task_state='spawning',
            task_id=done.id,
        )
        self.assert_repaired('task_without_owner')
        # The state after a failed create.
        self.assertEqual('error', self.cloud.instance(self.uuid).vm_state)

    def test_build_without_operation(self):
        self.change(self.uuid, vm_state='building')
        self.assert_repaired('build_without_owner')
        self.assertEqual('error', self.cloud.instance(self.uuid).vm_state)

    def test_soft_delete_without_time(self):
        self.change(self.uuid, vm_state='soft-delete')
        self.assert_repaired('soft_delete_without_time')
        self.assertIsNotNone(self.cloud.instance(self.uuid).deleted_at)

    # -- operations ----------------------------------------------------------

    def held_up(self):
        """Begin an operation that its host does not start yet."""
        self.stop_compute('a')
        return self.cloud.begin('pause', self.uuid, wait=False).operation

    def offline(self, *rules):
        self.assertEqual(
            [(rule, False) for rule in rules], self.found('--offline')
        )
        self.assertEqual(
            [(rule, True) for rule in rules],
            self.found('--offline', '--repair'),
        )
        self.assertEqual([], self.found('--offline'))

    def test_an_operation_that_lost_its_instance(self):
        operation = self.held_up()
        self.change(self.uuid, task_state=None, task_id=None)
        self.offline('operation_lost_instance')
        found = self.cloud.read(operations.get, operation.id)
        self.assertEqual(
            ('preempted', False, 0),
            (found.state, found.owns_instance, found.open_step_count),
        )
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.assertEqual(
            'paused', self.cloud.begin('pause', self.uuid).vm_state
        )

    def test_operation_without_open_step(self):
        operation = self.held_up()
        self.write(
            tables.steps,
            tables.steps.c.operation_id == operation.id,
            state='failed',
        )
        self.offline('operation_without_step')
        found = self.cloud.read(operations.get, operation.id)
        self.assertEqual('failed', found.state)
        instance = self.cloud.instance(self.uuid)
        self.assertEqual(
            ('error', None), (instance.vm_state, instance.task_state)
        )
        fault = self.cloud.fault(self.uuid)
        self.assertIn('it had no open step', fault['message'])

    def test_an_operation_that_cannot_count(self):
        operation = self.held_up()
        self.write(
            tables.operations,
            tables.operations.c.id == operation.id,
            open_step_count=5,
        )
        self.offline('operation_step_count')
        self.cloud.start_compute('a')
        self.assertEqual('paused', self.cloud.settle(self.uuid).vm_state)

    def test_a_step_of_an_operation_that_ended(self):
        operation = self.held_up()
        self.write(
            tables.operations,
            tables.operations.c.id == operation.id,
            state='failed',
            owns_instance=False,
        )
        self.change(self.uuid, task_state=None, task_id=None)
        self.offline('step_left_open')

    def test_a_step_of_a_host_that_is_gone(self):
        other = self.cloud.boot(host='b')
        self.stop_compute('b')
        self.cloud.begin(
            'force_delete', other, begin.delete_params, wait=False
        )
        for table in (tables.services, tables.hosts):
            self.delete_rows(table, table.c.host == 'b')
        rules = ('allocation_orphan', 'step_without_service')
        self.assertEqual(
            [('step_without_service', False)], self.found('--offline')
        )
        self.found('--offline', '--repair')
        self.assertEqual([(rules[0], False)], self.found('--offline'))
        self.found('--offline', '--repair')
        self.assert_clean()
        last = self.cloud.operations(other)[-1]
        self.assertEqual(('force_delete', 'done'), (last.kind, last.state))

    def test_migration_without_operation(self):
        self.cloud.begin('live_migrate', self.uuid)
        migration = self.cloud.last_migration(self.uuid)
        self.write(
            tables.migrations,
            tables.migrations.c.id == migration.id,
            status='running',
        )
        self.assert_repaired('migration_left_open')
        found = self.cloud.read(migrations.get, migration.id)
        self.assertEqual('error', found.status)

    def test_resized_without_migration(self):
        self.change(self.uuid, vm_state='resized')
        self.assert_left('resized_without_migration')

    def test_late_and_waiting(self):
        operation = self.held_up()
        where = tables.operations.c.id == operation.id
        past = clock.now() - datetime.timedelta(days=1)
        self.config(group='conductor', sweep_interval=1000)
        for conductor in list(self.cloud.conductors.values()):
            self.cloud.stop(conductor)
        self.write(tables.operations, where, deadline=past)
        self.assertEqual([('operation_stuck', False)], self.found('--offline'))
        self.write(tables.operations, where, wait_reason='host a to return')
        code, out = self.run_audit('--offline')
        self.assertEqual(0, code)
        self.assertIn('waits for host a to return.', out)

    # -- notifications -------------------------------------------------------

    def test_numbers_that_were_not_given_out(self):
        newest = self.cloud.instance(self.uuid).notification_seq
        self.change(self.uuid, notification_seq=newest - 2)
        self.assert_repaired('outbox_seq_ahead')
        self.cloud.begin('pause', self.uuid)
        emitted = self.cloud.notifications(self.uuid)
        self.assertEqual(
            list(range(1, len(emitted) + 1)), [n.seq for n in emitted]
        )

    def test_missing_notification(self):
        n = tables.outbox
        self.delete_rows(
            n, sa.and_(n.c.instance_uuid == self.uuid, n.c.seq == 3)
        )
        self.assert_left('outbox_gap')

    def test_the_newest_is_not_there(self):
        n = tables.outbox
        emitted = self.cloud.notifications(self.uuid)
        self.delete_rows(n, n.c.id == emitted[-1].id)
        # The deleted row was an end event.
        self.assert_left('event_left_open', 'outbox_gap')

    def test_archived_rows_are_no_gap(self):
        n = tables.outbox
        self.delete_rows(
            n, sa.and_(n.c.instance_uuid == self.uuid, n.c.seq < 3)
        )
        self.assert_clean()
