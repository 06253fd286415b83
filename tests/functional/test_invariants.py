# SPDX-License-Identifier: Apache-2.0
"""The invariant checks report each planted violation, and nothing else."""

import sqlalchemy as sa

from minova import clock
from minova import network
from minova.db import tables
from minova.network import definition
from minova.virt.fake.hypervisor import WatchedWorld
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.invariants import Invariants
from tests.unit.virt.rigs import spec


class FakeListener:
    """Adapts the consumer of a cloud in one process to the invariants."""

    def __init__(self, consumer):
        self._consumer = consumer

    def all_received(self):
        return [
            (None, None, metadata | {'payload': payload})
            for _, _, payload, metadata in list(self._consumer.received)
        ]


class InvariantsTest(base.TestCase):
    """A cloud with a planted violation."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.world = WatchedWorld(self.cloud.world.store)
        self.listener = FakeListener(self.cloud.consumer)
        self.invariants = Invariants(
            self.cloud.database, self.world, self.listener
        )
        self.uuid = self.cloud.boot(host='a')

    def settle(self):
        self.cloud.wait_for(lambda: not self.invariants.unsettled())
        self.cloud.wait_for(lambda: not self.invariants.unreceived())

    def violations(self):
        self.settle()
        return [str(breach) for breach in self.invariants.violations()]

    def write(self, table, **values):
        """Change the rows of the server directly."""
        t = getattr(tables, table)
        column = t.c.uuid if table == 'instances' else t.c.instance_uuid
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(t).where(column == self.uuid).values(**values)
            )
        )

    def assert_violated(self, *texts):
        """The violations are these, in number and text."""
        found = [str(breach) for breach in self.invariants.violations()]
        self.assertEqual(len(texts), len(found), found)
        for text, breach in zip(texts, found, strict=True):
            self.assertIn(text, breach)

    def test_no_violations(self):
        for kind in ('stop', 'start', 'pause', 'live_migrate', 'unpause'):
            self.cloud.begin(kind, self.uuid)
        self.cloud.begin('migrate', self.cloud.boot(host='b'))
        self.cloud.delete(self.cloud.boot())
        failing = self.cloud.boot()
        self.world.inject_fault(
            self.cloud.instance(failing).host, 'start', times=9
        )
        self.cloud.begin('reboot_hard', failing)
        self.assertEqual([], self.violations())

    def test_a_guest_that_ran_twice(self):
        self.settle()
        for driver in (self.cloud.driver('b'),):
            driver.create_disks(spec(self.uuid), None)
            driver.define(spec(self.uuid))
            driver.start(self.uuid)
            self.world.witness(self.uuid, 'start at b')
        self.assert_violated(
            f"invariant 1: {self.uuid}: ran at ['a', 'b'] after",
            'its disks at b',
            'its guests at b',
        )

    def test_leftover_and_missing_artifacts(self):
        self.settle()
        store = self.world.store
        store.put(f'b/retained/{self.uuid}', {})
        store.put(f'b/incoming/{self.uuid}', {'source': 'a'})
        store.delete(f'a/disks/{self.uuid}')
        store.put('b/disks/unknown', {})
        self.assert_violated(
            'its incoming at b',
            'its retained at b',
            f'invariant 2: {self.uuid}: disks at a is missing',
            'invariant 9: unknown: no instance owns its disks at b',
        )

    def test_a_guest_in_another_state(self):
        self.settle()
        guest = self.world.guest('a', self.uuid)
        self.world.store.put(f'a/guests/{self.uuid}', guest | {'power': 4})
        self.assert_violated(f'invariant 7: {self.uuid}: it is active')

    def test_allocations(self):
        self.settle()
        self.write('allocations', host='b')
        self.assert_violated(
            f"room is held by [('b', '{self.uuid}')]",
            *['invariant 9: all:'] * 6,
        )

    def test_addresses(self):
        made = definition.define('n', cidr='10.0.0.0/24', bridge='br0')
        definition.create(self.cloud.database, made)
        wanted = [network.NetworkRequest(made.id, '10.0.0.7')]

        def give(connection):
            service = network.load()
            chosen = service.select(connection, 'project', wanted)
            return service.allocate(connection, 'project', chosen, [self.uuid])

        ((nic,),) = self.cloud.database.write(give)
        self.settle()
        self.assert_violated(
            f'invariant 9: {self.uuid}: 10.0.0.7 is held, and it has it not'
        )
        self.write('instances', network_info=[nic])
        self.assert_violated()
        self.write('ports', id='another')
        self.assert_violated(
            '10.0.0.7 is held', 'it has 10.0.0.7, which is not'
        )

    def test_operations(self):
        self.settle()
        self.write('operations', finished_at=None, wait_reason='Godot')
        self.write('instances', task_id=clock.uuid4(), task_state='migrating')
        self.assert_violated('invariant 3', f'invariant 4: {self.uuid}: migr')
        self.assertIn('waits for Godot', self.invariants.unsettled()[0])

    def test_reasons(self):
        self.settle()
        self.write('operations', state='failed')
        self.write('instances', vm_state='error')
        self.assert_violated(
            'failed for no reason', 'in error without a fault'
        )

    def test_notifications_lost_reordered_and_missing(self):
        self.settle()
        received = self.cloud.consumer.received
        last = received.pop()
        self.assert_violated("not received: ['7 compute.instance.create.end']")
        self.assertEqual(1, len(self.invariants.unreceived()))
        received.insert(0, last)
        self.assert_violated("received in this order: ['7 compute")
        received.append(received.pop(0))
        self.write('instances', notification_seq=8)
        self.assert_violated('its numbers are [1, 2, 3, 4, 5, 6, 7]')

    def test_spans(self):
        self.settle()
        # The end of the create loses its start.
        t = tables.outbox
        end = t.c.event_type == 'compute.instance.create.end'
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(t)
                .where(end)
                .values(event_type='compute.instance.pause.end')
            )
        )
        self.assert_violated('pause.end (number 7)', 'create.start of')
