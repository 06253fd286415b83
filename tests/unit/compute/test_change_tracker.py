# SPDX-License-Identifier: Apache-2.0
"""Which calls count as a change of the guest."""

from unittest import mock

from minova import exception
from minova.compute import change_tracker
from minova.compute.change_tracker import ChangeTracker
from minova.virt.driver import Driver
from tests import base


class ChangeTrackerTest(base.TestCase):
    """A tracked driver."""

    def setUp(self):
        super().setUp()
        self.real = mock.Mock()
        self.driver, self.tracker = ChangeTracker.of(self.real)

    def test_reading_is_no_change(self):
        self.real.guest.return_value = 'guest'
        self.assertEqual('guest', self.driver.guest('u'))
        self.driver.create_disks('spec', None)
        self.assertFalse(self.tracker.has_changed_guest)

    def test_change(self):
        self.driver.power_off('u')
        self.real.power_off.assert_called_once_with('u')
        self.assertTrue(self.tracker.has_changed_guest)

    def test_call_that_failed_may_have_changed_it(self):
        self.real.define.side_effect = exception.GuestFailed('lost')
        self.assertRaises(exception.GuestFailed, self.driver.define, 'spec')
        self.assertTrue(self.tracker.has_changed_guest)

    def test_call_that_did_not_reach_the_hypervisor(self):
        self.real.define.side_effect = exception.HypervisorUnavailable('away')
        self.assertRaises(
            exception.HypervisorUnavailable, self.driver.define, 'spec'
        )
        self.assertFalse(self.tracker.has_changed_guest)
        self.driver.power_off('u')
        self.assertRaises(
            exception.HypervisorUnavailable, self.driver.define, 'spec'
        )
        self.assertTrue(self.tracker.has_changed_guest)

    def test_harmless_calls_exist(self):
        names = {name for kind in Driver.__mro__ for name in dir(kind)}
        self.assertEqual(
            set(), change_tracker._HARMLESS - names - {'uses_images'}
        )
