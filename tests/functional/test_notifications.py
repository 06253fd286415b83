# SPDX-License-Identifier: Apache-2.0
"""The outbox and its relay: nothing lost, nothing out of order."""

import collections
import re
import uuid as uuids

from minova import exception
from minova.db.queries import outbox
from minova.notifications.relay import Relay
from tests import base
from tests.fixtures.cloud import Cloud

#: The keys of every payload, as the documentation of consumers lists them.
KEYS = {
    'tenant_id', 'user_id', 'instance_id', 'display_name', 'reservation_id',
    'hostname', 'instance_type', 'instance_type_id', 'instance_flavor_id',
    'architecture', 'memory_mb', 'disk_gb', 'vcpus', 'root_gb',
    'ephemeral_gb', 'host', 'node', 'availability_zone', 'cell_name',
    'created_at', 'terminated_at', 'deleted_at', 'launched_at',
    'image_ref_url', 'os_type', 'kernel_id', 'ramdisk_id', 'state',
    'state_description', 'progress', 'access_ip_v4', 'access_ip_v6',
    'image_meta', 'metadata',
}  # fmt: skip

EXTRAS = {
    'update': {
        'old_state',
        'old_task_state',
        'new_task_state',
        'audit_period_beginning',
        'audit_period_ending',
    },
    'exists': {'audit_period_beginning', 'audit_period_ending'},
    'create.start': {'image_name'},
    'create.end': {'message', 'fixed_ips'},
    'create.error': {'exception', 'message', 'code'},
    'resize.prep.end': {'new_instance_type', 'new_instance_type_id'},
    'resize.start': {'fixed_ips'},
    'resize.end': {'fixed_ips'},
    'finish_resize.start': {'fixed_ips'},
    'finish_resize.end': {'fixed_ips'},
    'resize.confirm.end': {'fixed_ips'},
    'live_migration.pre.start': {'fixed_ips'},
    'live_migration.pre.end': {'fixed_ips'},
    'live_migration._post.start': {'fixed_ips'},
    'live_migration._post.end': {'fixed_ips'},
    'live_migration.post.dest.start': {'fixed_ips'},
    'live_migration.post.dest.end': {'fixed_ips'},
}


class SilentPublisher:
    """A bus whose broker is down."""

    def __init__(self, bus, after=0):
        self.bus = bus
        self.left = after
        self.tried = 0

    def publish(self, *args):
        self.tried += 1
        if not self.left:
            raise exception.Unavailable(what='broker', reason='away')
        self.left -= 1
        self.bus.publish(*args)


class NotificationsTest(base.TestCase):
    """The notifications that a consumer receives."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())

    def busy(self):
        """Run one operation of each kind; return the instance."""
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.cloud.confirm(uuid)
        self.cloud.begin('live_migrate', uuid)
        self.cloud.begin('stop', uuid)
        self.cloud.delete(uuid)
        return uuid

    def test_numbers_and_ids(self):
        uuid = self.busy()
        rows = self.cloud.notifications(uuid)
        self.assertEqual(
            list(range(1, len(rows) + 1)), [row.seq for row in rows]
        )
        received = self.cloud.consumer.of_instance(uuid)
        self.assertEqual(
            [row.message_id for row in rows],
            [metadata['message_id'] for *_, metadata in received],
        )
        self.assertEqual(
            str(uuids.uuid5(uuids.UUID(uuid), '3')), rows[2].message_id
        )
        self.assertEqual(
            rows[-1].seq, self.cloud.instance(uuid).notification_seq
        )

    def test_payload_has_exactly_the_documented_keys(self):
        uuid = self.busy()
        self.cloud.world.inject_fault('a', 'start')
        other = self.cloud.boot(host='a')
        seen = set()
        for one in (uuid, other):
            for event, _, payload, metadata in self.cloud.consumer.of_instance(
                one
            ):
                name = event.removeprefix('compute.instance.')
                seen.add(name)
                extras = EXTRAS.get(name, set())
                self.assertEqual(KEYS | extras, set(payload), name)
                self.assertRegex(
                    metadata['timestamp'],
                    r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$',
                )
        self.assertEqual(set(), set(EXTRAS) - seen)

    def test_formats(self):
        uuid = self.busy()
        received = self.cloud.consumer.of_instance(uuid)
        first, last = received[0][2], received[-1][2]
        self.assertRegex(
            first['created_at'], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00$'
        )
        self.assertEqual('', first['launched_at'])
        self.assertRegex(
            last['launched_at'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$'
        )
        self.assertEqual('', first['deleted_at'])
        self.assertEqual('scheduling', first['state_description'])
        self.assertEqual('', last['state_description'])
        self.assertEqual('', first['progress'])
        exists = next(
            p for e, _, p, _ in received if e == 'compute.instance.exists'
        )
        self.assertTrue(
            re.match(
                r'^\d{4}-\d\d-01 00:00:00$', exists['audit_period_beginning']
            ),
            exists['audit_period_beginning'],
        )
        self.assertRegex(
            first['audit_period_beginning'],
            r'^\d{4}-\d\d-01T00:00:00\.000000$',
        )

    def test_context_of_the_request_that_began_it(self):
        uuid = self.busy()
        begun = {o.id: o.request_id for o in self.cloud.operations(uuid)}
        for row in self.cloud.notifications(uuid):
            self.assertEqual(
                begun[row.operation_id], row.context['request_id']
            )
            self.assertEqual('user', row.context['user_id'])

    def test_errors_are_of_priority_error(self):
        self.cloud.world.inject_fault('a', 'define')
        uuid = self.cloud.boot(host='a')
        kinds = collections.Counter(
            row.priority for row in self.cloud.notifications(uuid)
        )
        self.assertEqual(1, kinds['ERROR'])

    def test_broker_away_and_back(self):
        relay = self.cloud.conductors['conductor0'].relay
        bus = relay._bus
        relay._bus = silent = SilentPublisher(bus)
        uuid = self.cloud.boot(wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == 'active'
        )
        self.cloud.wait_for(lambda: silent.tried > 1)
        self.assertEqual([], self.cloud.consumer.of_instance(uuid))
        # The broker returns and fails again between two notifications.
        silent.left = 3
        self.cloud.wait_for(lambda: not silent.left)
        relay._bus = bus
        self.cloud.settle(uuid)
        received = self.cloud.consumer.of_instance(uuid)
        self.assertEqual(
            [row.message_id for row in self.cloud.notifications(uuid)],
            [metadata['message_id'] for *_, metadata in received],
        )
        self.assertEqual(
            1, self.log.output.count('Publication of notifications failed')
        )
        self.assertIn('Publication of notifications resumed', self.log.output)

    def test_single_active_relay(self):
        self.config(group='conductor', lease_time=1.0)
        # The relay of the conductor has the lease and has published.
        self.cloud.boot()
        other = Relay(self.cloud.database, self.cloud.bus, 'other')
        self.assertFalse(other._renew_lease())
        self.cloud.stop(self.cloud.conductors['conductor0'])
        # The relay polls rarely; the lease was released.
        self.assertFalse(other._renew_lease())
        self.cloud.wait_for(other._renew_lease)
        second = Relay(self.cloud.database, self.cloud.bus, 'second')
        self.assertFalse(second._renew_lease())
        # The holder crashes: the lease expires.
        self.cloud.wait_for(second._renew_lease)

    def test_a_second_publication_has_the_same_id(self):
        uuid = self.cloud.boot()
        relay = self.cloud.conductors['conductor0'].relay
        rows = self.cloud.notifications(uuid)
        relay._publish(rows[2])
        self.cloud.wait_for(
            lambda: len(self.cloud.consumer.of_instance(uuid)) == 8
        )
        received = self.cloud.consumer.of_instance(uuid)
        self.assertEqual(
            received[2][3]['message_id'], received[7][3]['message_id']
        )

    def test_switched_off(self):
        self.config(group='notifications', enabled=False)
        uuid = self.cloud.boot(wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.notifications(uuid)
                and all(
                    row.published_at for row in self.cloud.notifications(uuid)
                )
                and self.cloud.instance(uuid).vm_state == 'active'
            )
        )
        self.assertEqual([], self.cloud.consumer.of_instance(uuid))

    def test_only_vm_states(self):
        self.config(group='notifications', notify_on_state_change='vm_state')
        uuid = self.cloud.boot()
        updates = [
            payload
            for event, _, payload, _ in self.cloud.consumer.of_instance(uuid)
            if event == 'compute.instance.update'
        ]
        self.assertEqual(['active'], [u['state'] for u in updates])


class OutboxOrderTest(base.TestCase):
    """Rows of an instance are in its order, whatever their ids."""

    def test_order(self):
        cloud = self.useFixture(Cloud(hosts=()))
        cloud.stop(cloud.conductors['conductor0'])

        def row(number, instance, seq):
            return {
                'id': number,
                'instance_uuid': instance,
                'seq': seq,
                'message_id': f'{instance}-{seq}',
                'operation_id': None,
                'event_type': 'e',
                'publisher_id': 'p',
                'priority': 'INFO',
                'payload': {},
                'context': {},
                'created_at': base.clock.now(),
                'published_at': None,
            }

        # The ids as two nodes of a Galera cluster assign them.
        rows = [
            row(1, 'x', 2),
            row(2, 'y', 1),
            row(3, 'x', 1),
            row(4, 'y', 2),
            row(6, 'x', 4),
            row(7, 'x', 3),
        ]
        cloud.database.write(lambda c: outbox.insert(c, rows))

        def unpublished(limit):
            found = cloud.read(outbox.list_unpublished, limit)
            return [n.message_id for n in found]

        self.assertEqual(
            ['x-1', 'y-1', 'x-2', 'y-2', 'x-3', 'x-4'], unpublished(10)
        )
        # A full page omits rows without their predecessor.
        self.assertEqual(['y-1'], unpublished(2))
        self.assertEqual(['x-1', 'y-1', 'x-2', 'y-2'], unpublished(5))
