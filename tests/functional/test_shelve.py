# SPDX-License-Identifier: Apache-2.0
"""Shelve, offload and unshelve."""

import datetime

import sqlalchemy as sa

from minova import clock
from minova import states
from minova.db import tables
from minova.engine import begin
from minova.objects.operation_params import SoftDeleteParams
from minova.objects.snapshot_image import SnapshotImage
from minova.states import PowerState
from tests.functional import base


class ShelveTestCase(base.FlowTestCase):
    """Shelved servers stay on their host until a test offloads them."""

    def setUp(self):
        super().setUp()
        self.config('conductor', shelved_offload_time=-1)

    def shelve(self, uuid, **options):
        """Begin to shelve a server; return the id of its image."""
        image = SnapshotImage(
            id=clock.uuid4(),
            name='server-shelved',
            owner='project',
            container_format='bare',
            min_disk=1,
            min_ram=0,
            properties={'instance_uuid': uuid},
        )
        self.cloud.begin('shelve', uuid, image=image, **options)
        return image.id

    def shelved(self, offload=False):
        """Return a shelved server, its host and its image."""
        uuid, host, *_ = self.booted()
        image = self.shelve(uuid)
        if offload:
            self.cloud.begin('shelve_offload', uuid)
        return uuid, host.partition('.')[2], image

    def images(self):
        return {
            image.id: image.status
            for image in self.cloud.images.list_owned('project', {})
        }

    def disk_image(self, host, uuid):
        return self.cloud.world.get_disks(host, uuid)['image']


class ShelveTest(ShelveTestCase):
    """The server becomes an image."""

    def test_shelve_and_offload(self):
        uuid, host, _, since = self.booted()
        name = host.partition('.')[2]
        image = self.shelve(uuid)
        pending = 'shelving_image_pending_upload'
        self.assert_emitted(
            f"""
            update(None>shelving) [api.api]
            exists [{host}]
            shelve.start [{host}]
            update(shelving>{pending}) [{host}]
            update({pending}>shelving_image_uploading) [{host}]
            update(shelving_image_uploading>None) active>shelved [{host}]
            shelve.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.SHELVED)
        self.assertEqual(image, instance.shelved_image_id)
        self.assertIsNotNone(instance.shelved_at)
        self.assertEqual(name, instance.host)
        self.assertEqual('active', self.images()[image])
        guest = self.cloud.world.guest(name, uuid)
        self.assertEqual(PowerState.SHUTDOWN, guest['power'])
        since = self.count(uuid)
        self.cloud.begin('shelve_offload', uuid)
        self.assert_emitted(
            f"""
            update(None>shelving_offloading) [api.api]
            shelve_offload.start [{host}]
            update(shelving_offloading>None) shelved>shelved_offloaded [{host}]
            shelve_offload.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.SHELVED_OFFLOADED)
        self.assertIsNone(instance.host)
        self.assertIsNone(instance.node)
        self.assertEqual(PowerState.NOSTATE, instance.power_state)
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.guest(name, uuid))
        self.assertIn(image, self.images())

    def test_offloaded_at_once(self):
        self.config('conductor', shelved_offload_time=0)
        uuid, *_ = self.booted()
        self.shelve(uuid)
        self.assert_ended(uuid, states.SHELVED_OFFLOADED)
        self.assertEqual(
            ['create', 'shelve', 'shelve_offload'],
            [one.kind for one in self.cloud.operations(uuid)],
        )

    def test_offloaded_after_a_time(self):
        self.config('conductor', shelved_offload_time=3600)
        uuid, *_ = self.shelved()
        clock.sleep(0.5)
        self.assertEqual(states.SHELVED, self.cloud.instance(uuid).vm_state)
        then = clock.now() - datetime.timedelta(seconds=3601)
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(tables.instances)
                .where(tables.instances.c.uuid == uuid)
                .values(shelved_at=then)
            )
        )
        self.cloud.wait_for(
            lambda: (
                self.cloud.instance(uuid).vm_state == states.SHELVED_OFFLOADED
            )
        )

    def test_failed_shelve_leaves_it_as_it_was(self):
        for prepare, power in (('start', 1), ('pause', 3), ('stop', 4)):
            uuid, host, *_ = self.booted()
            host = host.partition('.')[2]
            if prepare != 'start':
                self.cloud.begin(prepare, uuid)
            before = self.cloud.instance(uuid).vm_state
            self.cloud.world.inject_fault(host, 'take_snapshot', 'no space')
            image = self.shelve(uuid)
            self.assert_ended(uuid, before, 'rolled_back')
            guest = self.cloud.world.guest(host, uuid)
            self.assertEqual(power, guest['power'])
            self.assertNotIn(image, self.images())
            self.assertIn('no space', self.cloud.fault(uuid)['message'])


class UnshelveTest(ShelveTestCase):
    """The image becomes a server."""

    def test_offloaded_one_starts_on_another_host(self):
        uuid, host, image = self.shelved(offload=True)
        other = 'b' if host == 'a' else 'a'
        since = self.count(uuid)
        self.cloud.begin('unshelve', uuid, disk_format='raw', host=other)
        self.assert_emitted(
            f"""
            update(None>unshelving) [api.api]
            update(unshelving>spawning) [compute.{other}]
            unshelve.start [compute.{other}]
            update(spawning>None) shelved_offloaded>active [compute.{other}]
            unshelve.end [compute.{other}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(other, instance.host)
        self.assertIsNone(instance.shelved_image_id)
        self.assertEqual([other], self.cloud.world.running(uuid))
        self.assertEqual({(other, True): 1}, self.cloud.allocations(uuid))
        self.assertEqual(image, self.disk_image(other, uuid))
        self.assertNotIn(image, self.images())

    def test_shelved_one_starts_where_it_is(self):
        uuid, host, image = self.shelved()
        content = self.cloud.world.get_disks(host, uuid)['content']
        since = self.count(uuid)
        self.cloud.begin('unshelve', uuid)
        self.assert_emitted(
            f"""
            update(None>unshelving) [api.api]
            unshelve.start [compute.{host}]
            update(unshelving>None) shelved>active [compute.{host}]
            unshelve.end [compute.{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        kept = self.cloud.world.get_disks(host, uuid)['content']
        self.assertEqual(content, kept)
        self.assertNotIn(image, self.images())

    def test_shelved_one_that_lost_its_disks_starts_from_the_image(self):
        uuid, host, image = self.shelved()
        self.cloud.driver(host).remove_disks(uuid)
        self.cloud.begin('unshelve', uuid, disk_format='raw')
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(image, self.disk_image(host, uuid))

    def test_stopped_one_is_active_afterwards(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.shelve(uuid)
        self.cloud.begin('unshelve', uuid)
        self.assert_ended(uuid, states.ACTIVE)

    def test_host_that_fails(self):
        uuid, _, image = self.shelved(offload=True)
        self.cloud.world.inject_fault('a', 'start', 'no memory')
        self.cloud.begin('unshelve', uuid, disk_format='raw')
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        self.assertNotIn(image, self.images())

    def test_image_is_kept_when_all_hosts_fail(self):
        uuid, _, image = self.shelved(offload=True)
        for host in ('a', 'b'):
            self.cloud.world.inject_fault(host, 'start', 'no memory', 3)
        self.cloud.begin(
            'unshelve',
            uuid,
            disk_format='raw',
            sets_zone=True,
            availability_zone='nova',
        )
        instance = self.assert_ended(
            uuid, states.SHELVED_OFFLOADED, 'rolled_back'
        )
        self.assertIsNone(instance.host)
        self.assertIsNone(instance.request_spec.availability_zone)
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertIn(image, self.images())

    def test_failed_unshelve_leaves_it_shelved(self):
        uuid, host, image = self.shelved()
        self.cloud.world.inject_fault(host, 'start', 'no memory')
        self.cloud.begin('unshelve', uuid)
        instance = self.assert_ended(uuid, states.SHELVED, 'rolled_back')
        self.assertEqual(image, instance.shelved_image_id)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertIn(image, self.images())


class DeleteTest(ShelveTestCase):
    """The image of a deleted server is deleted too."""

    def test_delete(self):
        for offload in (False, True):
            uuid, _, image = self.shelved(offload)
            self.cloud.delete(uuid)
            self.assertEqual(
                states.DELETED, self.cloud.instance(uuid).vm_state
            )
            self.assertNotIn(image, self.images())

    def test_force_delete(self):
        for offload in (False, True):
            uuid, _, image = self.shelved(offload)
            self.cloud.begin('force_delete', uuid, begin.delete_params)
            self.assertNotIn(image, self.images())

    def test_soft_delete_keeps_it(self):
        uuid, _, image = self.shelved(offload=True)
        self.cloud.begin(
            'soft_delete',
            uuid,
            lambda c, i: SoftDeleteParams(host_down=True),
        )
        self.assertIn(image, self.images())
        self.cloud.begin('restore', uuid)
        self.assert_ended(uuid, states.SHELVED_OFFLOADED)
        self.assertIn(image, self.images())

    def test_restored_one_is_not_shelved_any_more(self):
        uuid, _, image = self.shelved()
        self.cloud.begin('soft_delete', uuid, host_down=False)
        self.cloud.begin('restore', uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(instance.shelved_image_id)
        self.assertNotIn(image, self.images())


class HostDownTest(base.RecoveryTestCase):
    """An offload does not need the host."""

    def setUp(self):
        super().setUp()
        self.config(group='conductor', shelved_offload_time=-1)

    def test_offloaded_in_the_database(self):
        uuid = self.cloud.boot(host='a')
        image = SnapshotImage(
            id=clock.uuid4(),
            name='server-shelved',
            owner='project',
            container_format='bare',
            min_disk=1,
            min_ram=0,
            properties={'instance_uuid': uuid},
        )
        self.cloud.begin('shelve', uuid, image=image)
        self.take_down('a')
        self.config(group='conductor', shelved_offload_time=0)
        self.cloud.wait_for(
            lambda: (
                self.cloud.instance(uuid).vm_state == states.SHELVED_OFFLOADED
            )
        )
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))
        self.assertIsNotNone(self.cloud.world.guest('a', uuid))
        # The host still has the old guest, so it is not selected.
        self.cloud.begin('unshelve', uuid, disk_format='raw', wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).host == 'b')
        self.restart('a')
        self.cloud.settle(uuid)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))
        self.assert_spans_paired(uuid)
