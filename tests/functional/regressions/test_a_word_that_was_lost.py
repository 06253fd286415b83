# SPDX-License-Identifier: Apache-2.0
"""A guest that had moved was removed at its destination.

The call that waits for a move's end broke with its connection while the move
went on; the guest had gone, and the broken call counted as a move that failed.
So the destination was told to clean up, and had the only guest there was.
"""

from minova import states
from minova.compute.service import ComputeService
from minova.virt.driver import Migration
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import NoImages


class Forgetful:
    """A driver that hears of no move how it went."""

    def __init__(self, driver):
        self._driver = driver

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def migration(self, uuid):
        found = self._driver.migration(uuid)
        if found.state in ('running', 'none'):
            return found
        return Migration('failed', 'client socket is closed')


class LostWordTest(base.TestCase):
    """A live migration whose end is not heard."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.cloud.stop(self.cloud.computes['a'])
        driver = Forgetful(self.cloud.driver('a'))
        service = ComputeService('a', self.cloud.bus, driver, NoImages())
        service.start()
        self.cloud.adopt('a', service)
        self.cloud.wait_registered('a')
        self.uuid = self.cloud.boot(host='a')

    def test_it_has_moved(self):
        self.cloud.begin('live_migrate', self.uuid)
        instance = self.cloud.settle(self.uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        self.assertEqual('b', instance.host)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))

    def test_it_has_not(self):
        self.cloud.world.break_('b', 'prepare_reception')
        self.cloud.begin('live_migrate', self.uuid)
        instance = self.cloud.settle(self.uuid)
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
