# SPDX-License-Identifier: Apache-2.0
"""A libvirtd that is killed or frozen under a compute that is up.

The guests are real and have an empty disk: a guest without an operating
system ignores each request to shut down.
"""

import signal
import time

from minova import states
from minova.conf import CONF
from minova.db.queries import hosts
from minova.engine import service_liveness
from minova.virt.libvirt.qemu import driver as qemu_driver
from minova.virt.libvirt.qemu import host_config
from tests import base
from tests.fixtures.cloud import Cloud
from tests.fixtures.rig import Rig


class RigCloud(Cloud):
    """The services in the test's process, with the hosts of a rig."""

    def __init__(self, rig):
        super().__init__(tuple(rig.hosts))
        self._rig = rig

    def driver(self, host):
        """Return a libvirt driver with the configuration of a host."""
        for group, options in self._rig.options(host).items():
            for name, value in options.items():
                CONF.set_override(
                    name, value, None if group == 'DEFAULT' else group
                )
        return qemu_driver.build_driver(host_config.from_config(host))


class SickHypervisorTest(base.TestCase):
    """Two hosts; the libvirtd of host1 fails and comes back."""

    time_limit = 400

    def setUp(self):
        super().setUp()
        self.rig = self.useFixture(Rig())
        self.cloud = self.useFixture(RigCloud(self.rig))
        self.config(heartbeat_interval=2)

    def service(self):
        """Return the compute of host1."""
        (found,) = self.cloud.read(
            hosts.list_services, 'nova-compute', 'host1'
        )
        return found

    def wait_for_report(self, answers):
        self.cloud.wait_for(
            lambda: (self.service().hypervisor_error is None) is answers, 90
        )

    def boot(self, **params):
        """Return a server, once it is not in BUILD."""
        flavor = self.cloud.flavor(memory_mb=32)
        uuid = self.cloud.boot(wait=False, flavor=flavor, **params)
        return uuid, self.wait_until_idle(uuid)

    def wait_until_idle(self, uuid):
        """Return a server without an operation in progress."""

        def idle():
            instance = self.cloud.instance(uuid)
            return instance if instance.task_id is None else None

        return self.cloud.wait_for(idle, 90)

    def act(self, kind, uuid):
        """Return a server after an operation."""
        self.cloud.begin(kind, uuid, wait=False)
        return self.wait_until_idle(uuid)

    def delete(self, uuid, seconds):
        """Delete a server; the API answers a user within ``seconds``."""
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED,
            seconds,
        )

    def wait_until_gone(self, uuid):
        self.cloud.wait_for(lambda: not self.rig.hosts_running(uuid), 90)

    def test_killed(self):
        uuid, _ = self.boot(host='host1')
        processes = self.rig.processes('host1')
        self.rig.kill_libvirtd('host1')
        # Whether host1 is known to be sick yet or not.
        other, instance = self.boot()
        self.assertEqual('host2', instance.host)
        for kind in (
            *('reboot_hard', 'reboot_soft', 'stop', 'pause', 'suspend'),
            *('rescue', 'migrate'),
        ):
            instance = self.act(kind, uuid)
            self.assertEqual(states.ACTIVE, instance.vm_state, kind)
            last = self.cloud.operations(uuid)[-1]
            self.assertEqual('rolled_back', last.state, kind)
        self.assertEqual(processes, self.rig.processes('host1'))
        self.wait_for_report(answers=False)
        self.assertTrue(service_liveness.is_up(self.service()))
        self.assertIn(
            'AUTO: libvirt at qemu',
            service_liveness.disabled_reason(self.service()),
        )
        self.rig.start_libvirtd('host1')
        self.wait_for_report(answers=True)
        self.assertTrue(service_liveness.is_enabled(self.service()))
        self.assertEqual(states.ACTIVE, self.act('reboot_hard', uuid).vm_state)
        self.assertNotEqual(processes, self.rig.processes('host1'))
        # The guest gets 20 s to shut down.
        self.cloud.begin('stop', uuid, wait=False)
        time.sleep(2)
        self.delete(uuid, seconds=10)
        self.delete(other, seconds=10)
        self.wait_until_gone(uuid)

    def test_frozen(self):
        uuid, _ = self.boot(host='host1')
        self.rig.freeze_libvirtd('host1')
        try:
            self.wait_for_report(answers=False)
            self.assertTrue(service_liveness.is_up(self.service()))
            other, instance = self.boot()
            self.assertEqual('host2', instance.host)
            self.delete(uuid, seconds=30)
            self.assertEqual(['host1'], self.rig.hosts_running(uuid))
        finally:
            self.rig.thaw_libvirtd('host1')
        self.wait_for_report(answers=True)
        self.wait_until_gone(uuid)
        self.check_guest_that_hangs(other)

    def check_guest_that_hangs(self, uuid):
        """A delete does not wait for a process that answers nothing."""
        self.rig.signal_guest('host2', uuid, signal.SIGSTOP)
        self.cloud.begin('stop', uuid, wait=False)
        time.sleep(2)
        self.assertEqual('powering-off', self.cloud.instance(uuid).task_state)
        # libvirt itself takes 12 s until it kills such a process.
        self.delete(uuid, seconds=60)
        self.wait_until_gone(uuid)
