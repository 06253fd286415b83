# SPDX-License-Identifier: Apache-2.0
"""The contract of suspend, rescue and forced migrations.

As in ``test_driver``: on every driver, plainly and with each call cut short
and made again.
"""

from minova import exception
from minova.states import PowerState
from tests.unit.virt.rigs import EmbeddedRig
from tests.unit.virt.rigs import FakeFilesRig
from tests.unit.virt.rigs import FakeProcessRig
from tests.unit.virt.rigs import FakeRig
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import OTHER
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID
from tests.unit.virt.test_driver import B
from tests.unit.virt.test_driver import ContractTestCase
from tests.unit.virt.test_driver import SOURCE

RESCUE = {'image_id': 'rescue', 'name': 'rescue', 'disk_format': 'raw'}


class Suspending:
    """A guest whose memory is saved to disk."""

    def suspended(self, **values):
        self.running(**values)
        self.a.suspend(UUID)

    def test_suspend_and_resume(self):
        self.running()
        self.assertFalse(self.a.has_managed_save(UUID))
        for _ in range(3):
            self.a.suspend(UUID)
            self.assertEqual(PowerState.SHUTDOWN, self.power())
            self.assertIsNone(self.a.guest(UUID).boot)
            self.assertTrue(self.a.has_managed_save(UUID))
            self.assertEqual([self.a.guest(UUID)], self.a.guests())
            self.a.resume(UUID)
            self.assertEqual(PowerState.RUNNING, self.power())
            self.assertFalse(self.a.has_managed_save(UUID))
        self.assertEqual(('operation-1', 1), self.mark())

    def test_a_paused_guest_runs_when_it_is_resumed(self):
        self.running()
        self.a.pause(UUID)
        self.a.suspend(UUID)
        self.assertEqual(PowerState.SHUTDOWN, self.power())
        self.a.resume(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())

    def test_state_survives_restart(self):
        self.suspended()
        for _ in range(2):
            self.a.restart()
            self.assertEqual(PowerState.SHUTDOWN, self.power())
            self.assertTrue(self.a.has_managed_save(UUID))
        self.a.resume(UUID)
        self.a.restart()
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertFalse(self.a.has_managed_save(UUID))

    def test_suspend_refused(self):
        self.assert_refused(exception.GuestFailed, self.a.driver.suspend, UUID)
        self.defined()
        error = self.assert_refused(
            exception.GuestFailed, self.a.driver.suspend, UUID
        )
        self.assertIn('is not saved', error.kwargs['reason'])
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_resume_refused(self):
        self.assertFalse(self.a.has_managed_save(UUID))
        self.assert_refused(exception.GuestFailed, self.a.driver.resume, UUID)
        self.defined()
        self.assertFalse(self.a.has_managed_save(UUID))
        error = self.assert_refused(
            exception.GuestFailed, self.a.driver.resume, UUID
        )
        self.assertIn('is not saved', error.kwargs['reason'])
        self.assertEqual(PowerState.SHUTDOWN, self.power())

    def test_start_drops_what_is_saved(self):
        self.suspended()
        self.a.start(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())
        self.a.power_off(UUID)
        self.assertFalse(self.a.has_managed_save(UUID))
        self.assert_refused(exception.GuestFailed, self.a.driver.resume, UUID)

    def test_power_off_keeps_it(self):
        self.suspended()
        self.a.power_off(UUID)
        self.assertTrue(self.a.has_managed_save(UUID))
        self.a.resume(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())

    def test_a_definition_keeps_it(self):
        self.suspended()
        self.a.define(spec(operation='operation-2', generation=2))
        self.assertTrue(self.a.has_managed_save(UUID))

    def test_remove_drops_it(self):
        self.suspended()
        self.a.destroy(UUID)
        self.assertFalse(self.a.has_managed_save(UUID))
        self.a.define(spec())
        self.assertFalse(self.a.has_managed_save(UUID))
        self.a.restart()
        self.assertFalse(self.a.has_managed_save(UUID))

    def test_others_are_left_alone(self):
        self.suspended()
        self.running(OTHER)
        self.assertFalse(self.a.has_managed_save(OTHER))
        self.a.resume(UUID)
        self.assertEqual(PowerState.RUNNING, self.power(uuid=OTHER))


class Rescuing:
    """A guest that boots a rescue disk."""

    def rescued(self):
        self.defined()
        self.a.create_rescue_disk(spec(rescue=RESCUE), None)
        self.a.define(spec(rescue=RESCUE, generation=2))
        self.a.start(UUID)

    def test_rescue_and_back(self):
        self.defined()
        self.rig.write('a', UUID, 'token')
        for _ in range(2):
            self.a.create_rescue_disk(spec(rescue=RESCUE), None)
            self.a.define(spec(rescue=RESCUE))
            self.a.start(UUID)
            self.assertEqual(PowerState.RUNNING, self.power())
            self.assertEqual('rescue', self.rig.starts_from('a', UUID))
            self.a.power_off(UUID)
            self.a.define(spec())
            self.a.start(UUID)
            self.assertEqual('root', self.rig.starts_from('a', UUID))
            self.a.remove_rescue_disk(UUID)
            self.assertFalse(self.rig.has_rescue_disk('a', UUID))
            self.a.power_off(UUID)
        self.assertEqual('token', self.rig.read('a', UUID))

    def test_the_disk_stays_what_it_is(self):
        self.defined()
        self.a.create_rescue_disk(spec(rescue=RESCUE), None)
        first = self.rig.rescue_disk('a', UUID)
        self.a.create_rescue_disk(spec(rescue=RESCUE), None)
        self.assertEqual(first, self.rig.rescue_disk('a', UUID))

    def test_state_survives_restart(self):
        self.rescued()
        self.a.restart()
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertEqual('rescue', self.rig.starts_from('a', UUID))

    def test_without_disks_there_is_nothing_to_rescue(self):
        self.a.define(spec())
        self.assert_refused(
            exception.DiskFailed,
            self.a.create_rescue_disk,
            spec(rescue=RESCUE),
            None,
        )
        self.a.remove_rescue_disk(UUID)
        self.assertFalse(self.rig.has_rescue_disk('a', UUID))

    def test_rescue_disk_is_removed_with_disks(self):
        self.rescued()
        self.a.destroy(UUID)
        self.a.remove_disks(UUID)
        self.assertFalse(self.rig.has_rescue_disk('a', UUID))
        self.assertEqual([], self.a.list_host_contents())


class Forcing:
    """A migration that is forced to complete."""

    def moving(self):
        self.rig.set_migration_seconds(1000)
        self.running()
        answer = self.b.check_can_live_migrate_destination(
            spec(), SOURCE, None, False
        )
        agreed = self.a.check_can_live_migrate_source(UUID, answer, None)
        self.b.pre_live_migration(spec(), agreed)
        self.a.start_live_migration(UUID, B, agreed)
        return agreed

    def test_force_complete_without_migration(self):
        self.a.force_complete(UUID)
        self.running()
        self.a.force_complete(UUID)
        self.assertEqual(PowerState.RUNNING, self.power())
        self.assertEqual('none', self.a.migration_status(UUID).state)

    def test_forced_migration_completes(self):
        self.moving()
        self.assertEqual('running', self.a.migration_status(UUID).state)
        self.a.force_complete(UUID)
        self.rig.later(5)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertIsNone(self.a.guest(UUID))
        self.assertEqual(PowerState.RUNNING, self.power(self.b))

    def test_a_paused_guest_stays_paused(self):
        self.rig.set_migration_seconds(1000)
        self.running()
        self.a.pause(UUID)
        self.b.pre_live_migration(spec(), migrate_data())
        self.a.start_live_migration(UUID, B, migrate_data())
        self.a.force_complete(UUID)
        self.rig.later(5)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertEqual(PowerState.PAUSED, self.power(self.b))

    def test_after_a_restart(self):
        self.moving()
        self.a.restart()
        self.a.force_complete(UUID)
        self.rig.later(5)
        self.assertEqual('completed', self.a.migration_status(UUID).state)
        self.assertEqual(PowerState.RUNNING, self.power(self.b))

    def test_aborted_all_the_same_it_goes_on_here(self):
        agreed = self.moving()
        self.a.abort_migration(UUID)
        self.a.force_complete(UUID)
        self.b.rollback_live_migration_at_destination(UUID, agreed)
        self.rig.later(5)
        self.assertEqual('cancelled', self.a.migration_status(UUID).state)
        self.assertEqual(PowerState.RUNNING, self.power())


class FakeTest(Suspending, Rescuing, Forcing, ContractTestCase):
    """The fake, with records in memory."""

    rig_class = FakeRig

    def test_a_forced_guest_is_paused_until_it_is_there(self):
        self.moving()
        self.a.force_complete(UUID)
        self.assertEqual(PowerState.PAUSED, self.power())
        self.a.abort_migration(UUID)
        self.assertEqual(PowerState.PAUSED, self.power())

    def test_without_its_rescue_disk_it_does_not_start(self):
        self.defined()
        self.a.define(spec(rescue=RESCUE))
        self.assert_refused(exception.DiskFailed, self.a.start, UUID)


class FakeAgainTest(FakeTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class FakeFilesTest(Suspending, Rescuing, Forcing, ContractTestCase):
    """The fake, with records in files."""

    rig_class = FakeFilesRig


class FakeProcessTest(Suspending, Rescuing, Forcing, ContractTestCase):
    """The fake, behind the socket of its process."""

    rig_class = FakeProcessRig


class FakeProcessAgainTest(FakeProcessTest):
    """The same, with every call interrupted and repeated."""

    repeating = True


class EmbeddedTest(Suspending, Rescuing, Forcing, ContractTestCase):
    """libvirt with its test driver."""

    rig_class = EmbeddedRig

    def test_the_rescue_disk_comes_first(self):
        self.rescued()
        self.assertEqual(
            ['disk.rescue', 'disk'], self.rig.disks_of(self.a.driver, UUID)
        )

    def test_partial_rescue_disk_is_removed(self):
        self.defined()
        part = self.rig.rescue_path('a', UUID).replace(
            'disk.rescue', '.disk.rescue.part'
        )
        with open(part, 'wb'):
            pass
        self.a.remove_rescue_disk(UUID)
        self.assertRaises(FileNotFoundError, open, part)


class EmbeddedAgainTest(EmbeddedTest):
    """The same, with every call interrupted and repeated."""

    repeating = True
