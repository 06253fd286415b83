# SPDX-License-Identifier: Apache-2.0
"""Snapshots and backups of a server."""

import dataclasses

from minova import clock
from minova import exception
from minova import states
from minova.engine import begin
from minova.objects.operation_params import BackupParams
from minova.objects.operation_params import SnapshotParams
from minova.objects.snapshot_image import SnapshotImage
from minova.states import PowerState
from tests.functional import base


def image(uuid, image_type='snapshot', **properties):
    """Return the record of an image of an instance."""
    return SnapshotImage(
        id=clock.uuid4(),
        name='copy',
        owner='project',
        container_format='bare',
        min_disk=1,
        min_ram=0,
        properties={
            'instance_uuid': uuid,
            'image_type': image_type,
            **properties,
        },
    )


class Images:
    """What the image service has."""

    def found(self, image_id):
        """Return an image of the project; None without one."""
        for one in self.cloud.images.list_owned('project', {}):
            if one.id == image_id:
                return one
        return None

    def data(self, image_id):
        """Return the data of an active image."""
        found = self.found(image_id)
        self.assertEqual('active', found.status)
        with self.cloud.images.open_data(found) as file:
            return file.read().decode()

    def content(self, uuid):
        return self.cloud.world.get_disks('a', uuid)['content']

    def snapshot(self, uuid, wait=True, **params):
        """Take a snapshot; return the id of its image."""
        new = image(uuid)
        prepared = SnapshotParams(image=new, **params)
        self.cloud.begin('snapshot', uuid, lambda c, i: prepared, wait=wait)
        return new.id

    def backup(self, uuid, rotation, kind='daily'):
        """Take a backup; return the id of its image, None without one."""
        new = image(uuid, 'backup', backup_type=kind) if rotation else None
        params = BackupParams(
            image=new,
            project_id='project',
            backup_type=kind,
            rotation=rotation,
        )
        self.cloud.begin('backup', uuid, lambda c, i: params)
        return new and new.id

    def left_on_host(self):
        """Return the copies on the host."""
        return [
            one.uuid
            for one in self.cloud.driver('a').list_host_contents()
            if one.has_snapshots
        ]


class SnapshotTest(Images, base.FlowTestCase):
    """A disk that becomes an image."""

    hosts = ('a',)

    def test_snapshot(self):
        uuid, host, _, since = self.booted()
        boot = self.cloud.driver('a').guest(uuid).boot
        image_id = self.snapshot(uuid)
        self.assert_emitted(
            f"""
            update(None>image_snapshot_pending) [api.api]
            update(image_snapshot_pending>image_snapshot) [{host}]
            snapshot.start [{host}]
            update(image_snapshot>image_pending_upload) [{host}]
            update(image_pending_upload>image_uploading) [{host}]
            update(image_uploading>None) [{host}]
            snapshot.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(instance.progress)
        self.assertEqual(self.content(uuid), self.data(image_id))
        stored = self.found(image_id)
        self.assertEqual(
            ('copy', 'raw', 'bare', 'private', uuid),
            (
                stored.name,
                stored.disk_format,
                stored.container_format,
                stored.visibility,
                stored.properties['instance_uuid'],
            ),
        )
        self.assertEqual(boot, self.cloud.driver('a').guest(uuid).boot)
        self.assertEqual([], self.left_on_host())

    def test_every_state_stays(self):
        for kind, state, power in (
            ('stop', states.STOPPED, PowerState.SHUTDOWN),
            ('pause', states.PAUSED, PowerState.PAUSED),
            ('suspend', states.SUSPENDED, PowerState.SHUTDOWN),
        ):
            uuid, *_ = self.booted()
            self.cloud.begin(kind, uuid)
            image_id = self.snapshot(uuid)
            self.assert_ended(uuid, state)
            self.assertEqual(self.content(uuid), self.data(image_id))
            guest = self.cloud.world.guest('a', uuid)
            self.assertEqual(power, guest['power'])
        self.assertTrue(guest['saved'])

    def test_guest_is_thawed(self):
        uuid, *_ = self.booted()
        self.snapshot(uuid, quiesce=True)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIs(False, self.cloud.world.guest('a', uuid)['frozen'])

    def test_failed_copy(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault('a', 'take_snapshot', 'disk full')
        image_id = self.snapshot(uuid)
        self.assert_emitted(
            f"""
            update(None>image_snapshot_pending) [api.api]
            update(image_snapshot_pending>image_snapshot) [{host}]
            snapshot.start [{host}]
            update(image_snapshot>None) [{host}]
            snapshot.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertIn('disk full', self.cloud.fault(uuid)['message'])
        self.assertIsNone(self.found(image_id))
        self.assertEqual([], self.left_on_host())

    def test_failed_upload_leaves_nothing(self):
        uuid, *_ = self.booted()
        full = exception.ImageStorageFull(reason='no space')
        self.fail_upload(full)
        image_id = self.snapshot(uuid)
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertIn('no space', self.cloud.fault(uuid)['message'])
        self.assertIsNone(self.found(image_id))
        self.assertEqual([], self.left_on_host())

    def test_image_service_that_comes_back(self):
        uuid, *_ = self.booted()
        away = exception.Unavailable(what='Glance', reason='503')
        self.fail_upload(away, away)
        image_id = self.snapshot(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(self.content(uuid), self.data(image_id))

    def fail_upload(self, *errors):
        """Let the next uploads fail."""
        left, upload = list(errors), self.cloud.images.upload_snapshot

        def fail(*args):
            if left:
                raise left.pop(0)
            upload(*args)

        self.cloud.images.upload_snapshot = fail

    def test_delete_removes_the_partial_image(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.world.inject_delay('a', 'find_snapshot', 30)
            image_id = self.snapshot(uuid, wait=False)
            self.cloud.wait_for(lambda image_id=image_id: self.found(image_id))
            self.cloud.world.clear_faults()
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.cloud.settle(uuid)
            self.assertIsNone(self.found(image_id))
            self.assertEqual(
                states.DELETED, self.cloud.instance(uuid).vm_state
            )
            self.assertEqual([], self.cloud.driver('a').list_host_contents())

    def test_image_that_cannot_be_deleted_keeps_no_server(self):
        uuid, *_ = self.booted()
        discard = self.cloud.images.discard
        away = exception.Unavailable(what='Glance', reason='503')

        def fail(image_id):
            raise away

        self.cloud.images.discard = fail
        self.fail_upload(exception.ImageStorageFull(reason='no space'))
        image_id = self.snapshot(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).task_state is None
        )
        self.cloud.begin('stop', uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.STOPPED
        )
        self.assertEqual('queued', self.found(image_id).status)
        self.cloud.images.discard = discard
        self.cloud.settle(uuid)
        self.assertIsNone(self.found(image_id))

    def test_forbidden_states(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid)
        error = self.assertRaises(
            exception.InstanceInvalidState, self.snapshot, uuid
        )
        self.assertIn('vm_state rescued', str(error))
        self.assertIn("'createImage'", str(error))


class BackupTest(Images, base.FlowTestCase):
    """Images of which the newest remain."""

    hosts = ('a',)

    def test_backup(self):
        uuid, host, _, since = self.booted()
        image_id = self.backup(uuid, 1)
        self.assert_emitted(
            f"""
            update(None>image_backup) [api.api]
            snapshot.start [{host}]
            update(image_backup>image_pending_upload) [{host}]
            update(image_pending_upload>image_uploading) [{host}]
            update(image_uploading>None) [{host}]
            snapshot.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(self.content(uuid), self.data(image_id))

    def test_rotation(self):
        uuid, *_ = self.booted()
        other, *_ = self.booted()
        kept = [self.snapshot(uuid), self.backup(other, 1)]
        kept.append(self.backup(uuid, 1, 'weekly'))
        first, second, third = [self.backup(uuid, 2) for _ in range(3)]
        self.assertIsNone(self.found(first))
        for image_id in (*kept, second, third):
            self.assertIsNotNone(self.found(image_id))
        self.cloud.images.update(
            second, lambda old: dataclasses.replace(old, protected=True)
        )
        self.assertIsNone(self.backup(uuid, 0))
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(self.found(third))
        for image_id in (*kept, second):
            self.assertIsNotNone(self.found(image_id))


class CrashTest(Images, base.RecoveryTestCase):
    """The compute service crashes around a driver call and restarts."""

    def test_snapshot(self):
        for method in ('take_snapshot', 'find_snapshot', 'remove_snapshot'):
            for early in (True, False):
                uuid = self.cloud.boot(host='a')
                crashing = self.crash_at('a', method, early)
                image_id = self.snapshot(uuid, wait=False)
                self.assertTrue(crashing.crashed.wait(10))
                self.restart('a')
                instance = self.cloud.settle(uuid)
                self.assertEqual(states.ACTIVE, instance.vm_state)
                self.assertEqual(self.content(uuid), self.data(image_id))
                self.assertEqual([], self.left_on_host())
                self.assert_spans_paired(uuid)
