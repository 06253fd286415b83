# SPDX-License-Identifier: Apache-2.0
"""Crash dumps, diagnostics and passwords of real guests."""

from tests.fixtures.user import Refused
from tests.fixtures.user import User
from tests.integration.qemu import QemuTestCase


class GuestActionsTest(QemuTestCase):
    """What QEMU and the kernel of the guest answer."""

    def test_guest_actions(self):
        # An interrupt panics this kernel, which then restarts the guest.
        uuid, host = self.boot('unknown_nmi_panic')
        self._check_diagnostics(uuid)
        self._refuse_password(uuid)
        before = self.rig.counts(host, uuid)[-1]
        self.user.act(uuid, 'trigger_crash_dump')
        self.wait_for(
            lambda: self.rig.counts(host, uuid)[-1].boot != before.boot
        )
        self.assertEqual('ACTIVE', self.user.show(uuid)['status'])
        self.user.delete(uuid)
        self.assert_nothing_left()

    def _check_diagnostics(self, uuid):
        user = User(self.user.url, 'admin:admin', '2.48')
        found = user.request('GET', f'/servers/{uuid}/diagnostics')
        self.assertEqual(
            ('running', 'libvirt', 'qemu'),
            (found['state'], found['driver'], found['hypervisor']),
        )
        self.assertGreater(found['cpu_details'][0]['time'], 0)
        # The guest reads its disk several times a second.
        self.assertGreater(found['disk_details'][0]['read_requests'], 0)
        # QEMU does not count the errors of its disks.
        self.assertIsNone(found['disk_details'][0]['errors_count'])
        self.assertEqual(96, found['memory_details']['maximum'])

    def _refuse_password(self, uuid):
        """The tiny guest has no agent."""
        error = self.assertRaises(
            Refused,
            self.user.act,
            uuid,
            'changePassword',
            {'adminPass': 'secret'},
        )
        self.assertEqual(409, error.status)
        self.assertIn('the QEMU guest agent does not answer', str(error))
        self.assertEqual('ACTIVE', self.user.show(uuid)['status'])
