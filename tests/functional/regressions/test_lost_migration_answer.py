# SPDX-License-Identifier: Apache-2.0
"""A guest that had moved was removed at its destination.

The call that waits for a move's end broke with its connection while the move
went on; the guest had gone, and the broken call counted as a move that failed.
So the destination was told to clean up, and had the only guest there was.
"""

from minova import states
from minova.compute.service import ComputeService
from minova.virt.driver import MigrationStatus
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import NoImages


class ForgetfulDriver:
    """A driver that hears of no move how it went."""

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
    """A live migration whose end is not heard."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.cloud.stop(self.cloud.computes['a'])
        driver = ForgetfulDriver(self.cloud.driver('a'))
        service = ComputeService('a', self.cloud.bus, driver, NoImages())
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
