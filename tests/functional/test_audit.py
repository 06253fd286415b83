# SPDX-License-Identifier: Apache-2.0
"""The audit of a whole cloud: planted faults are found and repaired."""

import argparse
import contextlib
import dataclasses
import datetime
import io
import json
import time

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import network
from minova import states
from minova.audit import confirmed_scan
from minova.audit import examine
from minova.audit import read_snapshot
from minova.audit import repair
from minova.cmd import manage_audit
from minova.cmd.commands import Commands
from minova.db import tables
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import networks
from minova.db.queries import operations
from minova.db.queries import ports
from minova.engine import begin
from minova.network import definition
from minova.rpc.compute import ComputeClients
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.newer_methods import NewerMethods

INFO = 'information'
UNKNOWN_ID = '8f8bb350-31b5-40a7-abf8-5df69d5b1b12'


class AuditTestCase(base.TestCase):
    """Two hosts and the audit command."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.config(transport_url=self.cloud.url)
        self.patch(confirmed_scan, 'RESCAN_DELAY', 0.1)
        self.patch(repair, 'TIMEOUT', 5.0)
        self.store = self.cloud.world.store

    # -- the command ---------------------------------------------------------

    def run_audit(self, *words):
        """Run the command; return its exit code and what it prints."""
        parser = argparse.ArgumentParser()
        manage_audit.add_commands(Commands(parser))
        url = self.cloud.database.engine.url.render_as_string(False)
        self.config(group='database', connection=url)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = manage_audit.run(parser.parse_args(['audit', *words]))
        return code, out.getvalue()

    def found(self, *words):
        """Run the command; return the rules with findings."""
        code, out = self.run_audit('--json', *words)
        emitted = json.loads(out)
        faults = [f for f in emitted['findings'] if f['severity'] != INFO]
        self.assertEqual(1 if emitted['unrepaired'] else 0, code)
        return [(f['rule'], f['repaired']) for f in faults]

    def assert_clean(self):
        self.assertEqual([], self.found())

    def assert_repaired(self, *rules):
        """These rules have findings until --repair is given."""
        self.assertEqual([(rule, False) for rule in rules], self.found())
        self.assertEqual(
            [(rule, True) for rule in rules], self.found('--repair')
        )
        self.assert_clean()

    def assert_left(self, *rules):
        """These rules have findings that --repair does not repair."""
        for words in ([], ['--repair']):
            self.assertEqual(
                [(rule, False) for rule in rules], self.found(*words)
            )

    # -- faults --------------------------------------------------------------

    def write(self, table, where, **values):
        """Change rows directly; return their number."""
        return self.cloud.database.write(
            lambda c: (
                c.execute(
                    sa.update(table).where(where).values(**values)
                ).rowcount
            )
        )

    def change(self, uuid, **values):
        """Change the row of an instance directly."""
        where = tables.instances.c.uuid == uuid
        self.assertEqual(1, self.write(tables.instances, where, **values))

    def copy(self, kind, uuid, to='b', host='a', as_=None, **changes):
        """Copy a record of a host to another host."""
        record = self.store.get(f'{host}/{kind}/{uuid}')
        self.store.put(f'{to}/{kind}/{as_ or uuid}', record | changes)

    def set_migration(self, *kinds, uuid, to='b', host='a'):
        for kind in kinds:
            self.copy(kind, uuid, to, host)
            self.store.delete(f'{host}/{kind}/{uuid}')

    def holds(self, host, uuid):
        """Return the kinds of records that a host has of an instance."""
        return [
            kind
            for kind in ('guests', 'disks', 'retained', 'incoming')
            if self.store.get(f'{host}/{kind}/{uuid}') is not None
        ]

    def stop_compute(self, host):
        self.cloud.stop(self.cloud.computes[host])


class GuestRulesTest(AuditTestCase):
    """Guests and disks that a host should not have."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')

    def test_no_findings(self):
        self.assert_clean()
        code, out = self.run_audit()
        self.assertEqual(0, code)
        self.assertEqual(
            'The queues were not checked: only a rabbit:// transport_url '
            'reports consumers.\n'
            '2 of 2 hosts were checked. Found: 0, repaired: 0.\n',
            out,
        )

    def test_a_guest_that_runs_twice(self):
        self.copy('guests', self.uuid)
        self.copy('disks', self.uuid)
        self.assertEqual(['a', 'b'], self.cloud.world.running(self.uuid))
        self.assert_repaired('duplicate_guest')
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        self.assertEqual([], self.holds('b', self.uuid))
        last = self.cloud.operations(self.uuid)[-1]
        self.assertEqual(
            ('cleanup_stale_guest', 'done'), (last.kind, last.state)
        )

    def test_a_guest_that_is_off(self):
        self.copy('guests', self.uuid, power=4)
        self.assert_repaired('stray_guest')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_disks_of_all_kinds(self):
        self.copy('disks', self.uuid)
        record = self.store.get(f'b/disks/{self.uuid}')
        self.store.put(f'b/retained/{self.uuid}', record)
        self.assert_repaired('stray_disks')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_retained_disks_on_own_host(self):
        record = self.store.get(f'a/disks/{self.uuid}')
        self.store.put(f'a/retained/{self.uuid}', record)
        self.assert_repaired('stray_retained_disks')
        self.assertEqual(['guests', 'disks'], self.holds('a', self.uuid))
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_stale_incoming_reservation(self):
        self.store.put(f'b/incoming/{self.uuid}', {'source': 'a'})
        self.assert_repaired('stray_incoming')
        self.assertEqual([], self.holds('b', self.uuid))

    def test_reservation_without_instance(self):
        kept = {'addresses': ['10.0.0.5']}
        # The own host of the instance keeps the addresses.
        self.store.put(f'a/reserved/{self.uuid}', kept)
        self.assert_clean()
        self.store.put(f'b/reserved/{self.uuid}', kept)
        self.assert_repaired('stray_reservation')
        self.assertIsNotNone(self.store.get(f'a/reserved/{self.uuid}'))
        self.cloud.delete(self.uuid)
        self.assert_clean()
        self.assertIsNone(self.store.get(f'a/reserved/{self.uuid}'))
        self.store.put(f'a/reserved/{self.uuid}', kept)
        self.assert_repaired('stray_reservation')
        self.store.put(f'b/reserved/{UNKNOWN_ID}', kept)
        self.assert_left('unknown_reservation')
        self.assertEqual(
            [('unknown_reservation', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assert_clean()

    def test_leftovers_of_deleted_instance(self):
        records = {
            kind: self.store.get(f'a/{kind}/{self.uuid}')
            for kind in ('guests', 'disks')
        }
        self.cloud.delete(self.uuid)
        self.assert_clean()
        for kind, record in records.items():
            self.store.put(f'b/{kind}/{self.uuid}', record)
        self.assert_repaired('guest_of_deleted')
        self.store.put(f'a/disks/{self.uuid}', records['disks'])
        self.assert_repaired('disks_of_deleted')

    def test_the_only_guest_is_never_removed(self):
        # The guest has migrated; the database does not know it.
        self.set_migration('guests', 'disks', uuid=self.uuid)
        self.assert_left('disks_missing', 'stray_guest')
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_the_guest_that_runs_is_not_removed_for_one_that_is_off(self):
        self.copy('guests', self.uuid)
        self.copy('disks', self.uuid)
        self.cloud.begin('stop', self.uuid)
        code, out = self.run_audit('--repair', '--host', 'b')
        self.assertEqual(1, code)
        self.assertIn('stray_guest', out)
        self.assertIn('copy its disks before you remove it', out)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_unknown_guest(self):
        self.copy('guests', self.uuid, as_=UNKNOWN_ID)
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assert_left('unknown_guest')
        self.assertEqual(['guests', 'disks'], self.holds('b', UNKNOWN_ID))
        self.assertEqual(
            [('unknown_guest', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assertEqual([], self.holds('b', UNKNOWN_ID))
        self.assert_clean()
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_unknown_disks(self):
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assert_left('unknown_disks')
        self.assertEqual(
            [('unknown_disks', True)],
            self.found('--repair', '--instance', UNKNOWN_ID),
        )
        self.assert_clean()

    def test_changed_unowned_guest_is_kept(self):
        self.copy('guests', self.uuid, as_=UNKNOWN_ID)
        stale = self.assertRaises(
            exception.Stale, self.destroy_unowned, generation=99
        )
        self.assertIn(UNKNOWN_ID, str(stale))
        self.assertEqual(['guests'], self.holds('b', UNKNOWN_ID))

    def destroy_unowned(self, generation):
        ComputeClients(self.cloud.bus).for_host('b').destroy_unknown_guest(
            self.cloud.context(),
            instance_uuid=UNKNOWN_ID,
            generation=generation,
        )

    def test_a_guest_is_missing(self):
        self.store.delete(f'a/guests/{self.uuid}')
        self.assert_left('guest_missing')
        self.cloud.begin('reboot_hard', self.uuid)
        self.assert_clean()

    def test_power_differs(self):
        self.change(self.uuid, power_state=4)
        code, out = self.run_audit()
        self.assertEqual(0, code)
        self.assertIn('The guest is RUNNING, the database has SHUTDOWN.', out)

    def test_a_host_that_does_not_answer(self):
        self.stop_compute('b')
        code, out = self.run_audit()
        self.assertEqual(1, code)
        self.assertIn('warning: host_not_checked\n  host:      b\n', out)
        self.assertIn('1 of 2 hosts were checked', out)
        code, out = self.run_audit('--offline')
        self.assertEqual(0, code)
        self.assertEqual('No host was checked. Found: 0, repaired: 0.\n', out)

    def test_a_host_that_is_too_old(self):
        self.useFixture(NewerMethods('list_host_contents'))
        self.config(group='upgrade_levels', compute='1.0')
        code, out = self.run_audit('--host', 'a')
        self.assertEqual(1, code)
        self.assertIn('it came with version 1.1', out)

    def test_selected_instances_only(self):
        self.copy('guests', self.uuid, power=4)
        self.copy('disks', self.uuid, as_=UNKNOWN_ID)
        self.assertEqual(
            [('stray_guest', False)], self.found('--instance', self.uuid)
        )
        self.assertEqual([], self.found('--host', 'a'))
        self.assertEqual(2, len(self.found('--host', 'b')))

    def test_concurrent_change_is_no_finding(self):
        self.copy('guests', self.uuid, power=4)

        scan_once, scans = confirmed_scan.Auditor._scan_once, []

        def scan(auditor):
            # An operation begins and ends between the two scans.
            if scans:
                self.cloud.begin('pause', self.uuid)
            scans.append(scan_once(auditor))
            return scans[-1]

        self.patch(confirmed_scan.Auditor, '_scan_once', scan)
        self.assertEqual([], self.found())
        for one in scans:
            self.assertEqual(['stray_guest'], [f.name for f in one.findings])

    def test_a_repair_that_comes_too_late_does_nothing(self):
        self.copy('guests', self.uuid, power=4)
        auditor = confirmed_scan.Auditor(
            self.cloud.database, ComputeClients(self.cloud.bus), None, 0.1
        )
        (finding,) = auditor.scan().findings
        self.cloud.begin('pause', self.uuid)
        outcome = repair.Repairer(self.cloud.database, 'test').repair(finding)
        self.assertFalse(outcome.is_repaired)
        self.assertIn('Not repaired: ', outcome.text)
        self.assertEqual(['guests'], self.holds('b', self.uuid))


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
                connection, chosen, [uuid or self.uuid]
            )
            return nic

        nic = database.write(give)
        if uuid is None:
            self.change(self.uuid, network_info=[nic])
        return nic

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
        move = self.cloud.last_migration(self.uuid)
        self.write(
            tables.migrations,
            tables.migrations.c.id == move.id,
            status='running',
        )
        self.assert_repaired('migration_left_open')
        found = self.cloud.read(migrations.get, move.id)
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


class FlowsTest(AuditTestCase):
    """The audit has no findings while an operation runs."""

    def faults(self):
        """Scan once with hypervisors; a second scan could hide a finding."""
        found = examine(
            self.cloud.read(read_snapshot),
            {
                host: self.cloud.driver(host).list_host_contents()
                for host in 'ab'
            },
            clock.now(),
        )
        return [one for one in found if one.is_fault]

    def assert_no_fault(self):
        self.assertEqual([], self.faults())

    def watch(self, uuid, observe=lambda: None):
        """Expect no finding until the operation releases the instance."""
        while self.cloud.instance(uuid).task_state:
            observe()
            self.assert_no_fault()
            time.sleep(0.02)

    def test_building(self):
        self.cloud.world.inject_delay('a', 'start', 1)
        uuid = self.cloud.boot(host='a', wait=False)
        self.cloud.wait_for(lambda: self.holds('a', uuid))
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_resizing(self):
        uuid = self.cloud.boot(host='a')
        for host, method in (
            ('a', 'send_disks'),
            ('b', 'grow_disks'),
            ('b', 'start'),
        ):
            self.cloud.world.inject_delay(host, method, 0.4)
        big = self.cloud.flavor('big', vcpus=2)
        self.cloud.resize(uuid, big, wait=False)
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()
        self.assertIn('retained', self.holds('a', uuid))
        self.cloud.revert(uuid, wait=False)
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_confirm_pending_on_dead_host(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.stop_compute('a')
        self.assert_no_fault()
        self.cloud.confirm(uuid, wait=False)
        self.assertEqual('active', self.cloud.instance(uuid).vm_state)
        self.assertEqual(['guests', 'retained'], self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.holds('a', uuid))
        self.assert_no_fault()

    def test_a_resize_on_one_host(self):
        self.config(group='scheduler', allow_resize_to_same_host=True)
        uuid = self.cloud.boot(host='a')
        big = self.cloud.flavor('big', vcpus=2)
        self.cloud.resize(uuid, big, host='a')
        self.assertEqual('resized', self.cloud.instance(uuid).vm_state)
        self.assertIn('retained', self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.confirm(uuid)
        self.assert_no_fault()

    def test_live_migrating(self):
        self.config(group='fake', migration_seconds=1)
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid, wait=False)
        seen = set()
        self.watch(uuid, lambda: seen.update(self.holds('b', uuid)))
        self.assertIn('incoming', seen)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_delete_pending_on_dead_host(self):
        uuid = self.cloud.boot(host='a')
        self.stop_compute('a')
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        self.assertEqual('deleted', self.cloud.instance(uuid).vm_state)
        self.assertEqual(['guests', 'disks'], self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.holds('a', uuid))
        self.assert_no_fault()

    def test_the_old_guest_of_a_resize_runs(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.cloud.world.set_power('a', uuid, states.PowerState.RUNNING)
        (fault,) = self.faults()
        self.assertEqual('source_guest_running', fault.name)

    def test_unwound_build(self):
        for host in 'ab':
            self.cloud.world.inject_fault(host, 'start')
        uuid = self.cloud.boot()
        self.assertEqual('error', self.cloud.instance(uuid).vm_state)
        self.assert_no_fault()

    def test_unwound_resize(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'start')
        self.cloud.resize(uuid, self.cloud.flavor('big', vcpus=2))
        self.assertEqual('active', self.cloud.instance(uuid).vm_state)
        self.assert_no_fault()

    def test_delete_during_resize(self):
        self.config(group='fake', migration_seconds=5)
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(lambda: self.holds('b', uuid))
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == 'deleted'
        )
        self.cloud.settle(uuid)
        self.assert_no_fault()
