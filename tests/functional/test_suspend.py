# SPDX-License-Identifier: Apache-2.0
"""Suspend and resume a server."""

from minova import states
from minova.engine import begin
from minova.states import PowerState
from tests.functional import base


class SuspendTest(base.FlowTestCase):
    """The memory of a guest is saved on its host's disk."""

    hosts = ('a',)

    def guest(self, uuid):
        return self.cloud.driver('a').guest(uuid)

    def test_suspend_and_resume(self):
        uuid, host, _, since = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.assert_emitted(
            f"""
            update(None>suspending) [api.api]
            suspend.start [{host}]
            update(suspending>None) active>suspended [{host}]
            suspend.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.SUSPENDED)
        self.assertEqual(PowerState.SHUTDOWN, instance.power_state)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertTrue(self.cloud.driver('a').has_managed_save(uuid))
        since = self.count(uuid)
        self.cloud.begin('resume', uuid)
        self.assert_emitted(
            f"""
            update(None>resuming) [api.api]
            resume.start [{host}]
            update(resuming>None) suspended>active [{host}]
            resume.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(PowerState.RUNNING, instance.power_state)
        # The guest was resumed and not booted.
        self.assertEqual(boot, self.guest(uuid).boot)
        self.assertFalse(self.cloud.driver('a').has_managed_save(uuid))

    def test_failed_suspend_keeps_guest_running(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            'a', 'suspend', 'No space left on device'
        )
        self.cloud.begin('suspend', uuid)
        self.assert_emitted(
            f"""
            update(None>suspending) [api.api]
            suspend.start [{host}]
            update(suspending>None) [{host}]
            suspend.error [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertIn('No space left', self.cloud.fault(uuid)['message'])

    def test_saved_memory_that_cannot_be_used_is_kept(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.cloud.world.inject_fault('a', 'resume', 'cannot allocate memory')
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.SUSPENDED, 'rolled_back')
        self.assertTrue(self.cloud.driver('a').has_managed_save(uuid))
        text = self.cloud.fault(uuid)['message']
        self.assertIn('cannot allocate memory', text)
        self.assertIn('hard reboot it', text)
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(boot, self.guest(uuid).boot)

    def test_resume_without_saved_memory_boots(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        store = self.cloud.world.store
        record = store.get(f'a/guests/{uuid}')
        store.put(f'a/guests/{uuid}', record | {'saved': False})
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertNotEqual(boot, self.guest(uuid).boot)

    def test_a_hard_reboot_drops_the_saved_memory(self):
        uuid, *_ = self.booted()
        boot = self.guest(uuid).boot
        self.cloud.begin('suspend', uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assertNotEqual(boot, self.guest(uuid).boot)
        self.cloud.driver('a').power_off(uuid)
        self.assertFalse(self.cloud.driver('a').has_managed_save(uuid))

    def test_delete_removes_saved_memory(self):
        for kind in ('delete', 'force_delete'):
            uuid, *_ = self.booted()
            self.cloud.begin('suspend', uuid)
            self.cloud.begin(kind, uuid, begin.delete_params)
            self.assert_ended(uuid, states.DELETED)
            self.assertEqual([], self.cloud.driver('a').list_host_contents())

    def test_a_suspended_guest_is_not_taken_for_a_stopped_one(self):
        uuid, *_ = self.booted()
        self.cloud.begin('suspend', uuid)
        before = [one.kind for one in self.cloud.operations(uuid)]
        for power in (
            PowerState.SHUTDOWN,
            PowerState.CRASHED,
            PowerState.RUNNING,
        ):
            self.cloud.world.set_power('a', uuid, power)
            self.cloud.computes['a'].reconciler.reconcile()
            instance = self.cloud.settle(uuid)
            self.assertEqual(states.SUSPENDED, instance.vm_state)
            self.assertEqual(power, instance.power_state)
        self.assertEqual(
            before, [one.kind for one in self.cloud.operations(uuid)]
        )
        # The guest runs already: the resume changes only the row.
        self.cloud.begin('resume', uuid)
        self.assert_ended(uuid, states.ACTIVE)


class CrashTest(base.RecoveryTestCase):
    """The compute service crashes around a driver call and restarts."""

    def test_suspend(self):
        for instance in self.crash_around('suspend', 'suspend'):
            self.assertEqual(states.SUSPENDED, instance.vm_state)
            self.assertTrue(
                self.cloud.driver('a').has_managed_save(instance.uuid)
            )

    def test_resume(self):
        for instance in self.crash_around('resume', 'resume', 'suspend'):
            self.assertEqual(states.ACTIVE, instance.vm_state)
            # The guest was resumed and not booted again.
            guest = self.cloud.driver('a').guest(instance.uuid)
            self.assertEqual(1, guest.boot)
