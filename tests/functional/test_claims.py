# SPDX-License-Identifier: Apache-2.0
"""Claims never exceed the capacity of a host."""

import threading
from unittest import mock

from minova import states
from minova.db.queries import hosts
from minova.engine import begin
from tests import base
from tests.fixtures.cloud import Cloud


class ClaimsTest(base.TestCase):
    """Allocations are claimed, transferred and released."""

    def setUp(self):
        super().setUp()
        self.config(group='fake', memory_mb=512 + 20 * 512)
        self.config(group='scheduler', host_state_max_age=3600.0)

    def rows(self):
        return {row.host: row for row in self.cloud.read(hosts.list_hosts)}

    def assert_sums(self):
        """The sums on the rows of hosts equal their allocations."""
        sums = dict.fromkeys(self.rows(), 0)
        for row in self.cloud.read(hosts.list_allocations):
            sums[row['host']] += row['memory_mb']
        self.assertEqual(
            sums,
            {host: row.memory_mb_used for host, row in self.rows().items()},
        )

    def test_50_at_once_where_40_fit(self):
        self.cloud = self.useFixture(Cloud(conductors=2))
        uuids = []
        threads = [
            threading.Thread(
                target=lambda: uuids.append(self.cloud.boot(wait=False))
            )
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [self.cloud.settle(uuid) for uuid in uuids]
        states_ = sorted(i.vm_state for i in found)
        self.assertEqual([states.ACTIVE] * 40 + [states.ERROR] * 10, states_)
        self.assert_sums()
        for row in self.rows().values():
            self.assertEqual(20 * 512, row.memory_mb_used)
        for instance in found:
            running = self.cloud.world.running(instance.uuid)
            if instance.vm_state == states.ACTIVE:
                self.assertEqual([instance.host], running)
            else:
                self.assertEqual([], running)
                message = self.cloud.fault(instance.uuid)['message']
                self.assertIn('0 of 512 MiB of memory are free', message)

    def test_allocations_are_released(self):
        self.cloud = self.useFixture(Cloud())
        uuid = self.cloud.boot()
        big = self.cloud.flavor('big', memory_mb=1024)
        self.cloud.resize(uuid, big)
        self.assert_sums()
        used = sorted(row.memory_mb_used for row in self.rows().values())
        self.assertEqual([512, 1024], used)
        self.cloud.confirm(uuid)
        self.assert_sums()
        used = sorted(row.memory_mb_used for row in self.rows().values())
        self.assertEqual([0, 1024], used)
        self.cloud.delete(uuid)
        self.assert_sums()
        self.assertEqual([], self.cloud.read(hosts.list_allocations))

    def test_allocation_of_aborted_resize_is_released(self):
        # The destination has the allocation but no step yet.
        self.cloud = self.useFixture(Cloud())
        for kind in ('delete', 'force_delete'):
            uuid = self.cloud.boot()
            runner = self.cloud.computes[self.cloud.instance(uuid).host].runner
            with mock.patch.object(runner, 'wake'):
                self.cloud.begin('live_migrate', uuid, wait=False)
                self.cloud.wait_for(
                    lambda uuid=uuid: len(self.cloud.allocations(uuid)) == 2
                )
                self.cloud.begin(kind, uuid, begin.delete_params, wait=False)
            self.cloud.settle(uuid)
            self.assertEqual({}, self.cloud.allocations(uuid), kind)

    def test_every_resource_counts(self):
        self.config(group='fake', vcpus=1, disk_gb=10)
        self.config(group='compute', cpu_allocation_ratio=2.0)
        self.cloud = self.useFixture(Cloud(hosts=('a',)))
        for name, values in (
            ('vcpus', {'vcpus': 3}),
            ('GiB of disk', {'root_gb': 8, 'ephemeral_gb': 3}),
            ('GiB of disk', {'root_gb': 10, 'swap_mb': 1}),
            ('MiB of memory', {'memory_mb': 99999}),
        ):
            uuid = self.cloud.boot(flavor=self.cloud.flavor(**values))
            self.assertEqual(states.ERROR, self.cloud.instance(uuid).vm_state)
            self.assertIn(name, self.cloud.fault(uuid)['message'])
        self.assert_sums()
        uuid = self.cloud.boot(flavor=self.cloud.flavor(vcpus=2, root_gb=10))
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)

    def test_filtered_hosts_have_reasons(self):
        self.cloud = self.useFixture(Cloud())

        def disable(connection):
            found = hosts.list_services(connection, 'nova-compute', 'a')
            values = {'disabled': True, 'disabled_reason': 'new fan'}
            hosts.update_service(connection, found[0].id, values)

        self.cloud.database.write(disable)
        uuid = self.cloud.boot(host='a')
        self.assertIn(
            'a: it is disabled (new fan); b: host a is requested',
            self.cloud.fault(uuid)['message'],
        )
        self.assertEqual('b', self.cloud.instance(self.cloud.boot()).host)
        uuid = self.cloud.boot(host='nowhere')
        self.assertIn(
            'nowhere: no host has this name',
            self.cloud.fault(uuid)['message'],
        )

    def test_instances_spread_by_free_memory(self):
        self.cloud = self.useFixture(Cloud())
        on = [self.cloud.instance(self.cloud.boot()).host for _ in range(6)]
        self.assertEqual(['a', 'a', 'a', 'b', 'b', 'b'], sorted(on))
