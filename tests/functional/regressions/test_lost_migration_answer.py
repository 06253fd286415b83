# SPDX-License-Identifier: Apache-2.0
"""A migrated guest was destroyed at its destination.

The call that waits for the end of a migration failed with its connection while
the migration continued. The guest reached the destination, but the failed call
counted as a failed migration. The destination rolled back and destroyed the
only guest.
"""

from minova import states
from minova.virt.driver import MigrationStatus
from tests import base
from tests.fixtures.cloud import Cloud


class ForgetfulDriver:
    """A driver that loses the outcome of each migration."""

    def __init__(self, driver):
        self._driver = driver

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def migration_status(self, uuid):
        found = self._driver.migration_status(uuid)
        if found.state in ('running', 'none'):
            return found
        return MigrationStatus('failed', 'client socket is closed')


class LostMigrationAnswerTest(base.TestCase):
    """A live migration whose outcome is lost."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.cloud.stop(self.cloud.computes['a'])
        driver = ForgetfulDriver(self.cloud.driver('a'))
        service = self.cloud.compute_service('a', driver)
        service.start()
        self.cloud.register_compute('a', service)
        self.cloud.wait_registered('a')
        self.uuid = self.cloud.boot(host='a')

    def test_guest_has_migrated(self):
        self.cloud.begin('live_migrate', self.uuid)
        instance = self.cloud.settle(self.uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        self.assertEqual('b', instance.host)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_guest_has_not_migrated(self):
        self.cloud.world.inject_fault('b', 'pre_live_migration')
        self.cloud.begin('live_migrate', self.uuid)
        instance = self.cloud.settle(self.uuid)
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
