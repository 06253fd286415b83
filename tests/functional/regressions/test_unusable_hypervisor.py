# SPDX-License-Identifier: Apache-2.0
"""A compute whose hypervisor is unusable must not count as up.

Debian 13 has the QEMU driver of libvirt in a package of its own. Without it a
compute logged a heartbeat warning for ever, and no message said that the
scheduler did not use the host.
"""

from minova import exception
from minova.db.queries import hosts
from tests import base
from tests.fixtures.cloud import Cloud


class Unusable:
    """A driver that finds no hypervisor until ``error`` is None."""

    def __init__(self, driver, error):
        self._driver = driver
        self.error = error
        self.tries = 0

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def inventory(self):
        self.tries += 1
        if self.error is not None:
            raise self.error
        return self._driver.inventory()


class UnusableHypervisorTest(base.TestCase):
    """A host without a hypervisor that answers."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())

    def check(self, error):
        driver = Unusable(self.cloud.driver('c'), error)
        compute = self.cloud.compute_service('c', driver)
        compute.start()
        self.cloud.register_compute('c', compute)
        self.cloud.wait_for(lambda: driver.tries > 1)
        self.assertFalse(compute.is_registered)
        known = self.cloud.read(hosts.list_services, 'nova-compute', 'c')
        self.assertEqual([], known)
        self.assertNotIn(
            'c', [h.host for h in self.cloud.read(hosts.list_hosts)]
        )
        self.assertNotIn('Compute c is ready', self.log.output)
        self.assertIn(
            'Compute c is not registered and gets no servers: its hypervisor '
            f'cannot be used: {error}. Retrying in 0.5 s.',
            self.log.output,
        )
        driver.error = None
        self.cloud.wait_for(lambda: compute.is_registered)
        self.assertIn('Compute c is ready', self.log.output)

    def test_libvirt_without_a_driver(self):
        self.check(
            exception.GuestFailed(
                'libvirt at qemu:///session: no connection driver available'
            )
        )

    def test_no_emulator(self):
        self.check(OSError('qemu-system-x86_64 is missing'))
