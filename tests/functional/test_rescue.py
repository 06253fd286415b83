# SPDX-License-Identifier: Apache-2.0
"""Rescue and unrescue a server."""

from minova import exception
from minova import states
from minova.engine import begin
from minova.objects.operation_params import RescueImage
from minova.states import PowerState
from tests.functional import base

RESCUE = RescueImage(image_id='tools', name='Tools', disk_format='raw')


class RescueTest(base.FlowTestCase):
    """A guest that starts from another disk."""

    hosts = ('a',)

    def rescue_disk(self, uuid):
        return self.cloud.world.get_disks('a', uuid).get('rescue')

    def runs_from(self, uuid):
        """Return the image of the boot disk; '' for the own disk."""
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        rescue = self.cloud.world.guest('a', uuid)['spec']['rescue']
        return rescue['image_id'] if rescue else ''

    def test_rescue_and_unrescue(self):
        uuid, host, _, since = self.booted()
        launched = self.cloud.instance(uuid).launched_at
        content = self.cloud.world.get_disks('a', uuid)['content']
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>rescuing) [api.api]
            rescue.start [{host}]
            exists [{host}]
            update(rescuing>None) active>rescued [{host}]
            rescue.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.RESCUED)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        self.assertGreater(instance.launched_at, launched)
        self.assertEqual('tools', self.runs_from(uuid))
        start, usage, _, end = [
            payload
            for _, _, payload, _ in self.cloud.consumer.of_instance(uuid)
        ][-4:]
        for payload in (start, end):
            self.assertEqual('Tools', payload['rescue_image_name'])
            self.assertEqual([], payload['fixed_ips'])
        # The usage since the launch that the rescue ends.
        self.assertEqual(start['launched_at'], usage['launched_at'])
        self.assertLess(usage['launched_at'], end['launched_at'])
        since = self.count(uuid)
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>unrescuing) [api.api]
            unrescue.start [{host}]
            update(unrescuing>None) rescued>active [{host}]
            unrescue.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))
        self.assertIsNone(self.rescue_disk(uuid))
        kept = self.cloud.world.get_disks('a', uuid)['content']
        self.assertEqual(content, kept)

    def test_a_stopped_one_is_active_afterwards(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.RESCUED)
        self.cloud.begin('unrescue', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))

    def test_without_an_image_it_is_not_even_switched_off(self):
        uuid, host, _, since = self.booted()
        boot = self.cloud.driver('a').guest(uuid).boot
        self.cloud.world.inject_fault(
            'a', 'create_rescue_disk', 'disk full', kind='DiskFailed'
        )
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_emitted(
            f"""
            update(None>rescuing) [api.api]
            rescue.start [{host}]
            update(rescuing>None) [{host}]
            rescue.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertIn('disk full', self.cloud.fault(uuid)['message'])
        self.assertEqual(boot, self.cloud.driver('a').guest(uuid).boot)

    def test_failed_rescue_is_unwound(self):
        for prepare, power in (('start', PowerState.RUNNING), ('stop', 4)):
            uuid, *_ = self.booted()
            if prepare == 'stop':
                self.cloud.begin('stop', uuid)
            before = self.cloud.instance(uuid).vm_state
            self.cloud.world.inject_fault('a', 'start', 'no boot sector')
            self.cloud.begin('rescue', uuid, image=RESCUE)
            instance = self.assert_ended(uuid, before, 'rolled_back')
            self.assertEqual(power, instance.power_state)
            self.assertIsNone(self.rescue_disk(uuid))
            guest = self.cloud.world.guest('a', uuid)
            self.assertEqual(power, guest['power'])
            self.assertIsNone(guest['spec']['rescue'])

    def test_rescue_image_that_does_not_start(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid, image=RESCUE)
        disk = self.rescue_disk(uuid)
        self.cloud.world.inject_fault('a', 'start', 'no boot sector')
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.RESCUED, 'rolled_back')
        self.assertEqual('tools', self.runs_from(uuid))
        self.assertEqual(disk, self.rescue_disk(uuid))
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.ACTIVE)

    def test_unrescue_point_of_no_return(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.cloud.world.inject_fault(
            'a', 'remove_rescue_disk', kind='DiskFailed'
        )
        self.cloud.begin('unrescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual('', self.runs_from(uuid))
        self.assertIsNone(self.rescue_disk(uuid))

    def test_without_disks_there_is_nothing_to_rescue(self):
        uuid, *_ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.driver('a').remove_disks(uuid)
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.assert_ended(uuid, states.STOPPED, 'rolled_back')
        text = self.cloud.fault(uuid)['message']
        self.assertIn('there is nothing to rescue', text)

    def test_forbidden_while_rescued(self):
        uuid, *_ = self.booted()
        self.cloud.begin('rescue', uuid)
        for kind in (
            'reboot_soft',
            'reboot_hard',
            'stop',
            'pause',
            'suspend',
            'resize',
            'live_migrate',
            'rescue',
        ):
            error = self.assertRaises(
                exception.InstanceInvalidState, self.cloud.begin, kind, uuid
            )
            self.assertIn('vm_state rescued', str(error))

    def test_delete_removes_rescue_disk(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.begin('rescue', uuid)
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.assert_ended(uuid, states.DELETED)
            self.assertEqual([], self.cloud.driver('a').list_host_contents())


class CrashTest(base.RecoveryTestCase):
    """The compute service crashes around a driver call and restarts."""

    def test_rescue(self):
        for method in ('create_rescue_disk', 'power_off', 'define', 'start'):
            self.config(group='compute', shutdown_timeout=0)
            self.config(group='fake', shutdown_seconds=60)
            for instance in self.crash_around('rescue', method):
                self.assertEqual(states.RESCUED, instance.vm_state)
                guest = self.cloud.world.guest('a', instance.uuid)
                self.assertIsNotNone(guest['spec']['rescue'])
                self.assertEqual(PowerState.RUNNING, guest['power'])

    def test_unrescue(self):
        for method in ('define', 'start', 'remove_rescue_disk'):
            for instance in self.crash_around('unrescue', method, 'rescue'):
                self.assertEqual(states.ACTIVE, instance.vm_state)
                disk = self.cloud.world.get_disks('a', instance.uuid)
                self.assertIsNone(disk.get('rescue'))
                # Three boots: create, rescue, unrescue.
                guest = self.cloud.driver('a').guest(instance.uuid)
                self.assertEqual(3, guest.boot)
