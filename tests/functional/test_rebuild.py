# SPDX-License-Identifier: Apache-2.0
"""Rebuild a server: new disks on the same host."""

import datetime

from minova import clock
from minova import exception
from minova import states
from minova.db.queries import operations
from minova.engine import begin
from minova.states import PowerState
from tests.functional import base

NEW = '5a1f5f1e-0b2c-4d33-8a57-3a4b6c1d9e00'


class RebuildTest(base.FlowTestCase):
    """A guest that gets new disks."""

    hosts = ('a',)

    def disks(self, uuid, retained=False):
        kind = 'retained' if retained else 'disks'
        return self.cloud.world.store.get(f'a/{kind}/{uuid}')

    def rebuild(self, uuid, **params):
        old = self.cloud.instance(uuid)
        changes = {'image_ref': NEW, 'display_name': 'new'}
        before = {name: getattr(old, name) for name in changes}
        return self.cloud.begin(
            'rebuild',
            uuid,
            image_name='New',
            changes=changes,
            before=before,
            **params,
        )

    def assert_as_before(
        self, uuid, disks, vm_state, power, left='keeps its old disks'
    ):
        instance = self.assert_ended(uuid, vm_state, 'rolled_back')
        self.assertEqual(disks, self.disks(uuid))
        self.assertIsNone(self.disks(uuid, retained=True))
        self.assertEqual(disks['image'], instance.image_ref)
        self.assertNotEqual('new', instance.display_name)
        self.assertEqual(power, instance.power_state)
        guest = self.cloud.world.guest('a', uuid)
        self.assertEqual(power, guest['power'])
        text = self.cloud.fault(uuid)['message']
        self.assertIn(f'the server {left}. ', text)
        return instance

    def test_rebuild(self):
        uuid, host, _, since = self.booted()
        before, disks = self.cloud.instance(uuid), self.disks(uuid)
        self.rebuild(uuid)
        self.assert_emitted(
            f"""
            update(None>rebuilding) [api.api]
            rebuild.scheduled [conductor.conductor0]
            exists [{host}]
            rebuild.start [{host}]
            update(rebuilding>rebuild_block_device_mapping) [{host}]
            update(rebuild_block_device_mapping>rebuild_spawning) [{host}]
            update(rebuild_spawning>None) [{host}]
            rebuild.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        self.assertEqual(NEW, instance.image_ref)
        self.assertEqual('new', instance.display_name)
        self.assertEqual(before.network_info, instance.network_info)
        self.assertGreater(instance.launched_at, before.launched_at)
        self.assertEqual(NEW, self.disks(uuid)['image'])
        self.assertNotEqual(disks['content'], self.disks(uuid)['content'])
        self.assertIsNone(self.disks(uuid, retained=True))
        payloads = {
            event.removeprefix('compute.instance.'): payload
            for event, _, payload, _ in self.cloud.consumer.of_instance(uuid)
        }
        for name in ('rebuild.start', 'rebuild.end'):
            self.assertEqual('New', payloads[name]['image_name'])
            self.assertIn(NEW, payloads[name]['image_ref_url'])
        self.assertIn(before.image_ref, payloads['exists']['image_ref_url'])
        self.assertEqual([], payloads['rebuild.end']['fixed_ips'])

    def test_a_stopped_server_stays_stopped(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.rebuild(uuid)
        instance = self.assert_ended(uuid, states.STOPPED)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        self.assertEqual(NEW, self.disks(uuid)['image'])
        self.cloud.begin('start', uuid)
        self.assert_ended(uuid, states.ACTIVE)

    def test_ephemeral_disks_are_preserved_on_request(self):
        for preserve in (True, False):
            uuid, *_ = self.booted()
            path = f'a/disks/{uuid}'
            disks = self.disks(uuid) | {'ephemeral': 'data'}
            self.cloud.world.store.put(path, disks)
            self.rebuild(uuid, preserve_ephemeral=preserve)
            self.assert_ended(uuid, states.ACTIVE)
            kept = self.disks(uuid).get('ephemeral')
            self.assertEqual('data' if preserve else None, kept)

    def test_failure_at_each_call_restores_the_guest(self):
        for method in (
            'shutdown',
            'retain_disks',
            'create_disks',
            'define',
            'start',
        ):
            uuid, *_ = self.booted()
            disks = self.disks(uuid)
            self.cloud.world.inject_fault('a', method, 'no space')
            self.rebuild(uuid)
            self.assert_as_before(uuid, disks, states.ACTIVE, 1)
            self.rebuild(uuid)
            self.assert_ended(uuid, states.ACTIVE)
            self.assertEqual(NEW, self.disks(uuid)['image'])

    def test_failure_of_a_stopped_server(self):
        for method in ('retain_disks', 'create_disks', 'define'):
            uuid, *_ = self.booted()
            self.cloud.begin('stop', uuid)
            disks = self.disks(uuid)
            self.cloud.world.inject_fault('a', method, 'no space')
            self.rebuild(uuid)
            self.assert_as_before(uuid, disks, states.STOPPED, 4)

    def test_without_the_image_the_guest_keeps_running(self):
        uuid, host, _, since = self.booted()
        boot = self.cloud.driver('a').guest(uuid).boot
        disks = self.disks(uuid)
        self.cloud.world.inject_fault('a', 'guest', 'sick', times=1)
        self.rebuild(uuid)
        self.assert_emitted(
            f"""
            update(None>rebuilding) [api.api]
            rebuild.scheduled [conductor.conductor0]
            exists [{host}]
            rebuild.start [{host}]
            update(rebuilding>rebuild_block_device_mapping) [{host}]
            update(rebuild_block_device_mapping>None) [{host}]
            rebuild.error [{host}]
            """,
            uuid,
            since,
        )
        self.assertEqual(boot, self.cloud.driver('a').guest(uuid).boot)
        self.assert_as_before(uuid, disks, states.ACTIVE, 1)

    def test_a_host_that_cannot_run_the_image(self):
        uuid, *_ = self.booted()
        disks = self.disks(uuid)
        boot = self.cloud.driver('a').guest(uuid).boot
        changes = {'image_meta': {'hw_architecture': 's390x'}}
        self.cloud.begin(
            'rebuild',
            uuid,
            image_name='New',
            changes=changes,
            before={'image_meta': self.cloud.instance(uuid).image_meta},
        )
        self.assert_as_before(uuid, disks, states.ACTIVE, 1, 'is unchanged')
        text = self.cloud.fault(uuid)['message']
        self.assertIn('does not support the architecture s390x', text)
        self.assertEqual(boot, self.cloud.driver('a').guest(uuid).boot)

    def test_an_undo_that_never_succeeds_keeps_the_old_disks(self):
        uuid, *_ = self.booted()
        disks = self.disks(uuid)
        self.cloud.world.inject_fault('a', 'define', 'broken', times=1000)
        begun = self.rebuild(uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.operations(uuid)[-1].unwinding)
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda connection: operations.update(
                connection, begun.operation.id, {'deadline': past}
            )
        )
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.ERROR, 'failed')
        text = self.cloud.fault(uuid)['message']
        self.assertIn('its old disks on host a; rebuild it again', text)
        self.cloud.world.clear_faults()
        self.assertEqual(disks, self.disks(uuid))
        self.rebuild(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(NEW, self.disks(uuid)['image'])

    def test_from_error_without_disks(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.driver('a').remove_disks(uuid)
        self.cloud.world.inject_fault('a', 'define', 'broken')
        self.rebuild(uuid)
        self.assert_had_no_disks(uuid)

    def assert_had_no_disks(self, uuid):
        """Check the fault of a failed rebuild, and rebuild again."""
        self.assert_ended(uuid, states.ERROR, 'failed')
        text = self.cloud.fault(uuid)['message']
        self.assertIn('had no disks before and has none now', text)
        self.assertIsNone(self.disks(uuid))
        self.rebuild(uuid)
        self.assert_ended(uuid, states.ACTIVE)

    def test_a_failure_before_the_rebuild_looks_for_disks(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.driver('a').remove_disks(uuid)
        self.cloud.world.inject_fault('a', 'guest', 'sick')
        self.rebuild(uuid)
        self.assert_had_no_disks(uuid)

    def test_a_failure_of_a_running_guest_without_disks(self):
        uuid, *_ = self.booted()
        self.cloud.driver('a').remove_disks(uuid)
        self.cloud.world.inject_fault('a', 'shutdown', 'sick')
        self.rebuild(uuid)
        self.assert_had_no_disks(uuid)

    def test_forbidden_states(self):
        uuid, *_ = self.booted()
        self.cloud.begin('pause', uuid)
        error = self.assertRaises(
            exception.InstanceInvalidState, self.rebuild, uuid
        )
        self.assertIn('it must be active, stopped or error', str(error))

    def test_delete_during_a_rebuild(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.world.inject_fault('a', 'define', 'broken', times=9)
            self.rebuild(uuid, wait=False)
            self.cloud.wait_for(
                lambda uuid=uuid: self.cloud.operations(uuid)[-1].unwinding
            )
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.cloud.world.clear_faults()
            self.assert_ended(uuid, states.DELETED)
            self.assertEqual([], self.cloud.driver('a').list_host_contents())


class CrashTest(base.RecoveryTestCase):
    """The compute service crashes around a driver call and restarts."""

    def test_rebuild(self):
        for method in ('retain_disks', 'create_disks', 'define', 'start'):
            for instance in self.crash_around(
                'rebuild', method, changes={}, before={}
            ):
                self.assertEqual(states.ACTIVE, instance.vm_state)
                store = self.cloud.world.store
                self.assertIsNone(store.get(f'a/retained/{instance.uuid}'))
                guest = self.cloud.world.guest('a', instance.uuid)
                self.assertEqual(PowerState.RUNNING, guest['power'])

    def test_discard(self):
        for instance in self.crash_around(
            'rebuild', 'discard_disks', changes={}, before={}
        ):
            store = self.cloud.world.store
            self.assertIsNone(store.get(f'a/retained/{instance.uuid}'))
