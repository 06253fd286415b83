# SPDX-License-Identifier: Apache-2.0
"""Create a server: the notifications, and the reschedule after a failure.

Each test compares the whole sequence of notifications with the documented
one: a notification too many, too few or out of order is a failure.
"""

from minova import states
from tests.functional import base


class CreateTest(base.FlowTestCase):
    """A create that succeeds on the first host."""

    def test_create(self):
        uuid, host, _, _ = self.booted()
        self.assert_emitted(
            f"""
            update(None>scheduling) [api.api]
            create.start [{host}]
            update(scheduling>networking) [{host}]
            update(networking>block_device_mapping) [{host}]
            update(block_device_mapping>spawning) [{host}]
            update(spawning>None) building>active [{host}]
            create.end [{host}]
            """,
            uuid,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        last = self.cloud.consumer.of_instance(uuid)[-1][2]
        self.assertEqual('Success', last['message'])
        self.assertEqual([], last['fixed_ips'])


class RescheduleTest(base.FlowTestCase):
    """A failed build is rescheduled to the next host."""

    hosts = ('a', 'b', 'c', 'd')

    def test_next_host(self):
        self.cloud.world.inject_fault('a', 'start', 'out of luck')
        uuid = self.cloud.boot(host=None, wait=False)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>scheduling) [api.api]
            create.start [compute.a]
            update(scheduling>networking) [compute.a]
            update(networking>block_device_mapping) [compute.a]
            update(block_device_mapping>spawning) [compute.a]
            create.error [compute.a]
            update(spawning>scheduling) [compute.a]
            create.start [compute.b]
            update(scheduling>networking) [compute.b]
            update(networking>block_device_mapping) [compute.b]
            update(block_device_mapping>spawning) [compute.b]
            update(spawning>None) building>active [compute.b]
            create.end [compute.b]
            """,
            uuid,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))

    def test_no_alternate_host(self):
        for host in self.hosts:
            self.cloud.world.inject_fault(
                host, 'start', f'{host} is out of luck'
            )
        uuid = self.cloud.boot()
        emitted = self.emitted(uuid)
        self.assertEqual(3, len([t for t in emitted if 'create.error' in t]))
        self.assertEqual(
            'update(spawning>None) building>error [compute.c]', emitted[-1]
        )
        instance = self.assert_ended(uuid, states.ERROR, 'failed')
        self.assertIsNone(instance.host)
        self.assertEqual({}, self.cloud.allocations(uuid))
        fault = self.cloud.fault(uuid)
        self.assertIn('c is out of luck', fault['message'])

    def test_all_hosts_tried(self):
        self.config(group='scheduler', max_attempts=len(self.hosts) + 1)
        for host in self.hosts:
            self.cloud.world.inject_fault(
                host, 'start', f'{host} is out of luck'
            )
        uuid = self.cloud.boot()
        self.assert_ended(uuid, states.ERROR, 'failed')
        message = self.cloud.fault(uuid)['message']
        for host in self.hosts:
            self.assertIn(f'{host}: it was tried: ', message)
            self.assertIn(f'{host} is out of luck', message)

    def test_no_valid_host(self):
        uuid = self.cloud.boot(flavor=self.cloud.flavor(memory_mb=10**9))
        self.assert_emitted(
            """
            update(None>scheduling) [api.api]
            update(scheduling>None) building>error [conductor.conductor0]
            """,
            uuid,
        )
        self.assert_ended(uuid, states.ERROR, 'failed')
        message = self.cloud.fault(uuid)['message']
        self.assertIn('No valid host was found', message)
        self.assertIn('of 1000000000 MiB of memory are free', message)
