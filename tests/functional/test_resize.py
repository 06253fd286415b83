# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration, and failures at each end.

Each test compares the whole sequence of notifications with the documented
one: a notification too many, too few or out of order is a failure.
"""

from minova import exception
from minova import states
from tests.functional import base


class ResizeTest(base.FlowTestCase):
    """Resize and cold migration."""

    def test_resize(self):
        uuid, source, dest, since = self.resized()
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{dest}]
            finish_resize.start [{dest}]
            update(resize_finish>None) active>resized [{dest}]
            finish_resize.end [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.RESIZED)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual('big', instance.flavor.name)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        self.assertEqual(
            5, self.cloud.world.get_disks(instance.host, uuid)['root_gb']
        )
        migration = self.cloud.unconfirmed_migration(uuid)
        self.assertEqual('finished', migration.status)
        self.assertEqual(
            {
                (migration.source_host, False): 1,
                (migration.dest_host, True): 1,
            },
            self.cloud.allocations(uuid),
        )
        received = self.cloud.consumer.of_instance(uuid)[since:]
        hosts = [payload['host'] for _, _, payload, _ in received]
        self.assertEqual(
            [migration.source_host] * 6 + [migration.dest_host] * 6, hosts
        )
        prep_end = received[3][2]
        self.assertEqual('big', prep_end['new_instance_type'])
        self.assertEqual(2, prep_end['new_instance_type_id'])
        self.assertGreater(
            received[-1][2]['launched_at'], received[0][2]['launched_at']
        )

    def test_a_stopped_one_stays_stopped(self):
        uuid, _, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        since = self.count(uuid)
        self.cloud.begin('migrate', uuid)
        emitted = self.emitted(uuid, since)
        self.assertIn(
            'update(resize_finish>None) stopped>resized', emitted[-2]
        )
        self.assertEqual([], self.cloud.world.running(uuid))
        self.cloud.confirm(uuid)
        self.assert_ended(uuid, states.STOPPED)
        self.cloud.begin('start', uuid)
        host = self.cloud.instance(uuid).host
        self.assertEqual([host], self.cloud.world.running(uuid))

    def test_failure_while_sending_disks(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        self.cloud.world.inject_fault(host, 'send_disks', 'disk full', times=1)
        self.cloud.resize(uuid, self.cloud.flavor('big', memory_mb=1024))
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>None) [{dest}]
            resize.error [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(host, instance.host)
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertIn('disk full', self.cloud.fault(uuid)['message'])

    def test_failure_at_the_destination_in_the_end(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        other = dest.removeprefix('compute.')
        before = self.cloud.world.get_disks(host, uuid)
        self.cloud.world.inject_fault(other, 'start', 'no memory')
        self.cloud.resize(uuid, self.cloud.flavor('big', memory_mb=1024))
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{dest}]
            finish_resize.start [{dest}]
            update(resize_finish>None) [{dest}]
            finish_resize.error [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(
            (host, 'small'), (instance.host, instance.flavor.name)
        )
        self.assertEqual(before, self.cloud.world.get_disks(host, uuid))
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks(other, uuid))

    def test_resize_no_valid_host(self):
        uuid, _, _, since = self.booted()
        error = self.assertRaises(
            exception.NoValidHost,
            self.cloud.resize,
            uuid,
            self.cloud.flavor('huge', memory_mb=10**9),
        )
        self.assertEqual(400, error.status)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>resize_prep) [api.api]
            update(resize_prep>None) [conductor.conductor0]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')


class PrepResizeFailureTest(base.FlowTestCase):
    """A refused destination is skipped and the next one is tried."""

    hosts = ('a', 'b', 'c')

    def test_next_destination(self):
        uuid, source, _, since = self.booted()
        rest = [h for h in self.hosts if f'compute.{h}' != source]
        self.cloud.world.inject_fault(rest[0], 'guest', 'no answer', times=1)
        self.cloud.begin('migrate', uuid)
        first, second = (f'compute.{host}' for host in rest)
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{first}]
            resize.prep.start [{first}]
            resize.error [{first}]
            resize.prep.end [{first}]
            exists [{second}]
            resize.prep.start [{second}]
            resize.prep.end [{second}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{second}]
            finish_resize.start [{second}]
            update(resize_finish>None) active>resized [{second}]
            finish_resize.end [{second}]
            """,
            uuid,
            since,
        )
        migration = self.cloud.unconfirmed_migration(uuid)
        self.assertEqual(
            {(migration.source_host, False): 1, (rest[1], True): 1},
            self.cloud.allocations(uuid),
        )
