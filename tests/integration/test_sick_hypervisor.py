# SPDX-License-Identifier: Apache-2.0
"""A libvirtd that is killed or frozen under a compute that is up."""

import signal
import time

from minova.rig import hosts
from tests.integration.qemu import QemuTestCase


class SickHypervisorTest(QemuTestCase):
    """Two hosts; the libvirtd of one fails and comes back."""

    def service(self, host):
        """Return the compute of a host, as os-services shows it."""
        path = f'/os-services?binary=nova-compute&host={host}'
        (found,) = self.user.request('GET', path)['services']
        return found

    def hypervisor(self, host):
        """Return a host, as os-hypervisors shows it."""
        found = self.user.request('GET', '/os-hypervisors/detail')
        (one,) = [
            one
            for one in found['hypervisors']
            if one['service']['host'] == host
        ]
        return one

    def wait_for_status(self, host, status):
        self.wait_for(lambda: self.service(host)['status'] == status)

    def process(self, host, uuid):
        """Return the process of a guest."""
        (pid,) = [p for u, p in self.rig.processes(host) if u == uuid]
        return pid

    def assert_rolled_back(self, uuid, action, value=None):
        self.user.act(uuid, action, value)
        self.user.wait(uuid, 'ACTIVE', 30)

    def test_killed(self):
        uuid, host = self.boot()
        first = self.rig.counts(host, uuid)[-1]
        pid = self.process(host, uuid)
        self.rig.kill_libvirtd(host)
        # Nothing was changed, and the guest runs on.
        for kind in ('HARD', 'SOFT'):
            self.assert_rolled_back(uuid, 'reboot', {'type': kind})
        for action in ('os-stop', 'pause', 'suspend'):
            self.assert_rolled_back(uuid, action)
        self.assert_rolled_back(uuid, 'rescue', {})
        self.assertEqual(pid, self.process(host, uuid))
        self.assertEqual(first.boot, self.rig.wait_for_count(host, uuid).boot)
        # Whether it is reported yet or not: new servers are elsewhere.
        for _ in range(2):
            new = self.user.create()
            self.user.wait(new, 'ACTIVE', 60)
            self.assertEqual(self.other(host), self.user.host(new))
            self.user.delete(new)
        self.wait_for_status(host, 'disabled')
        shown = self.service(host)
        self.assertEqual('up', shown['state'])
        self.assertIn('AUTO: libvirt at', shown['disabled_reason'])
        shown = self.hypervisor(host)
        self.assertEqual(('up', 'disabled'), (shown['state'], shown['status']))
        self.assertIn('AUTO:', shown['service']['disabled_reason'])
        self.rig.start_libvirtd(host)
        self.wait_for_status(host, 'enabled')
        self.assertIsNone(self.service(host)['disabled_reason'])
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')
        again = self.rig.wait_for_count(host, uuid)
        self.assertNotEqual(first.boot, again.boot)
        self.user.delete(uuid)
        self.assert_nothing_left()

    def test_frozen(self):
        uuid, host = self.boot()
        self.rig.freeze_libvirtd(host)
        try:
            self.wait_for_status(host, 'disabled')
            self.assertEqual('up', self.service(host)['state'])
            new = self.user.create()
            self.user.wait(new, 'ACTIVE', 60)
            self.assertEqual(self.other(host), self.user.host(new))
            # The host removes the guest when it can.
            self.user.request('DELETE', f'/servers/{uuid}')
            self.wait_for(lambda: self.user.show(uuid) is None, 30)
            self.assertEqual([host], self.rig.hosts_running(uuid))
        finally:
            self.rig.thaw_libvirtd(host)
        self.wait_for_status(host, 'enabled')
        self.wait_for(lambda: not self.rig.hosts_running(uuid))
        self.user.delete(new)
        self.wait_for(lambda: not hosts.find_guests(self.rig.hosts[host]))

    def test_delete_during_the_stop_of_a_guest_that_hangs(self):
        uuid, host = self.boot()
        self.rig.signal_guest(host, uuid, signal.SIGSTOP)
        self.user.act(uuid, 'os-stop')
        # libvirt waits for the frozen process, and so does the step.
        time.sleep(3)
        self.assertEqual(
            'powering-off', self.user.show(uuid)['OS-EXT-STS:task_state']
        )
        before = time.monotonic()
        self.user.request('DELETE', f'/servers/{uuid}')
        # libvirt itself takes 15 s until it kills such a process.
        self.wait_for(lambda: self.user.show(uuid) is None, 60)
        self.assertLess(time.monotonic() - before, 45)
        self.wait_for(lambda: not self.rig.hosts_running(uuid), 10)
