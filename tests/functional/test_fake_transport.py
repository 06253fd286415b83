# SPDX-License-Identifier: Apache-2.0
"""The whole cloud over oslo.messaging's own in-memory transport, fake://.

The only code of Minova in this bus is ``rpc/oslo_bus.py``, so these tests do
not depend on the behaviour of the memory:// driver.
"""

from minova import states
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import format_notifications

#: The notifications of an instance that is created on a, migrated to b,
#: resized back to a, confirmed and deleted.
LIFE = """
update(None>scheduling) [api.api]
create.start [compute.a]
update(scheduling>networking) [compute.a]
update(networking>block_device_mapping) [compute.a]
update(block_device_mapping>spawning) [compute.a]
update(spawning>None) building>active [compute.a]
create.end [compute.a]
update(None>migrating) [api.api]
live_migration.pre.start [compute.b]
live_migration.pre.end [compute.b]
live_migration._post.start [compute.a]
live_migration.post.dest.start [compute.b]
update(migrating>None) [compute.b]
live_migration.post.dest.end [compute.b]
live_migration._post.end [compute.a]
update(None>resize_prep) [api.api]
exists [compute.a]
resize.prep.start [compute.a]
resize.prep.end [compute.a]
update(resize_prep>resize_migrating) [compute.b]
resize.start [compute.b]
update(resize_migrating>resize_migrated) [compute.b]
resize.end [compute.b]
update(resize_migrated>resize_finish) [compute.a]
finish_resize.start [compute.a]
update(resize_finish>None) active>resized [compute.a]
finish_resize.end [compute.a]
update(None>None) resized>active [api.api]
resize.confirm.start [compute.b]
resize.confirm.end [compute.b]
update(None>deleting) [api.api]
delete.start [compute.a]
shutdown.start [compute.a]
shutdown.end [compute.a]
update(deleting>None) active>deleted [compute.a]
delete.end [compute.a]
"""


class FakeTransportTest(base.TestCase):
    """An instance from its create to its delete."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(url='fake://'))
        self.addCleanup(self.stop_computes)
        driver = type(self.cloud.bus._transport._driver)
        self.assertEqual(
            'oslo_messaging._drivers.impl_fake', driver.__module__
        )

    def stop_computes(self):
        """Stop callers before servers.

        This broker does not report a missing consumer: a call would wait
        until its timeout.
        """
        for service in self.cloud.computes.values():
            self.cloud.stop(service)

    def assert_received(self, expected, uuid):
        wanted = expected.strip().splitlines()
        received = list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )
        self.assertEqual(wanted, received)

    def assert_at_rest(self, uuid, vm_state, host):
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            (vm_state, None, host),
            (instance.vm_state, instance.task_state, instance.host),
        )
        self.assertEqual([host], self.cloud.world.running(uuid))

    def test_a_life(self):
        uuid = self.cloud.boot(host='a')
        self.assert_at_rest(uuid, states.ACTIVE, 'a')
        self.cloud.begin('live_migrate', uuid)
        self.assert_at_rest(uuid, states.ACTIVE, 'b')
        self.cloud.resize(uuid, self.cloud.flavor('big', id=2, memory_mb=1024))
        self.assert_at_rest(uuid, states.RESIZED, 'a')
        self.cloud.confirm(uuid)
        self.assert_at_rest(uuid, states.ACTIVE, 'a')
        self.assertEqual('big', self.cloud.instance(uuid).flavor.name)
        self.cloud.delete(uuid)
        self.assertEqual(states.DELETED, self.cloud.instance(uuid).vm_state)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertEqual(
            ['done'] * 5, [o.state for o in self.cloud.operations(uuid)]
        )
        self.assert_received(LIFE, uuid)

    def test_an_error_comes_back_from_another_host(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'pre_live_migration')
        self.cloud.begin('live_migrate', uuid)
        self.assert_at_rest(uuid, states.ACTIVE, 'a')
        self.assertIn('injected fault', self.cloud.fault(uuid)['message'])
