# SPDX-License-Identifier: Apache-2.0
"""The audit while operations run: it has no findings."""

import time

from minova import clock
from minova import states
from minova.audit import examine
from minova.audit import read_snapshot
from minova.engine import begin
from tests.functional.audit_base import AuditTestCase


class FlowsTest(AuditTestCase):
    """The audit has no findings while an operation runs."""

    def faults(self):
        """Scan once with hypervisors; a second scan could hide a finding."""
        found = examine(
            self.cloud.read(read_snapshot),
            {
                host: self.cloud.driver(host).list_host_contents()
                for host in 'ab'
            },
            clock.now(),
        )
        return [one for one in found if one.is_fault]

    def assert_no_fault(self):
        self.assertEqual([], self.faults())

    def watch(self, uuid, observe=lambda: None):
        """Expect no finding until the operation releases the instance."""
        while self.cloud.instance(uuid).task_state:
            observe()
            self.assert_no_fault()
            time.sleep(0.02)

    def test_building(self):
        self.cloud.world.inject_delay('a', 'start', 1)
        uuid = self.cloud.boot(host='a', wait=False)
        self.cloud.wait_for(lambda: self.holds('a', uuid))
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_resizing(self):
        uuid = self.cloud.boot(host='a')
        for host, method in (
            ('a', 'send_disks'),
            ('b', 'grow_disks'),
            ('b', 'start'),
        ):
            self.cloud.world.inject_delay(host, method, 0.4)
        big = self.cloud.flavor('big', vcpus=2)
        self.cloud.resize(uuid, big, wait=False)
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()
        self.assertIn('retained', self.holds('a', uuid))
        self.cloud.revert(uuid, wait=False)
        self.watch(uuid)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_confirm_pending_on_dead_host(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.stop_compute('a')
        self.assert_no_fault()
        self.cloud.confirm(uuid, wait=False)
        self.assertEqual('active', self.cloud.instance(uuid).vm_state)
        self.assertEqual(['guests', 'retained'], self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.holds('a', uuid))
        self.assert_no_fault()

    def test_a_resize_on_one_host(self):
        self.config(group='scheduler', allow_resize_to_same_host=True)
        uuid = self.cloud.boot(host='a')
        big = self.cloud.flavor('big', vcpus=2)
        self.cloud.resize(uuid, big, host='a')
        self.assertEqual('resized', self.cloud.instance(uuid).vm_state)
        self.assertIn('retained', self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.confirm(uuid)
        self.assert_no_fault()

    def test_live_migrating(self):
        self.config(group='fake', migration_seconds=1)
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid, wait=False)
        seen = set()
        self.watch(uuid, lambda: seen.update(self.holds('b', uuid)))
        self.assertIn('incoming', seen)
        self.cloud.settle(uuid)
        self.assert_no_fault()

    def test_delete_pending_on_dead_host(self):
        uuid = self.cloud.boot(host='a')
        self.stop_compute('a')
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        self.assertEqual('deleted', self.cloud.instance(uuid).vm_state)
        self.assertEqual(['guests', 'disks'], self.holds('a', uuid))
        self.assert_no_fault()
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assertEqual([], self.holds('a', uuid))
        self.assert_no_fault()

    def test_the_old_guest_of_a_resize_runs(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('migrate', uuid)
        self.cloud.world.set_power('a', uuid, states.PowerState.RUNNING)
        (fault,) = self.faults()
        self.assertEqual('source_guest_running', fault.name)

    def test_unwound_build(self):
        for host in 'ab':
            self.cloud.world.inject_fault(host, 'start')
        uuid = self.cloud.boot()
        self.assertEqual('error', self.cloud.instance(uuid).vm_state)
        self.assert_no_fault()

    def test_unwound_resize(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('b', 'start')
        self.cloud.resize(uuid, self.cloud.flavor('big', vcpus=2))
        self.assertEqual('active', self.cloud.instance(uuid).vm_state)
        self.assert_no_fault()

    def test_delete_during_resize(self):
        self.config(group='fake', migration_seconds=5)
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(lambda: self.holds('b', uuid))
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == 'deleted'
        )
        self.cloud.settle(uuid)
        self.assert_no_fault()
