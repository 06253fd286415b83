# SPDX-License-Identifier: Apache-2.0
"""Servers with CPUs, NUMA cells and huge pages of their hosts."""

from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries import placements
from tests.functional.api import base
from tests.functional.api.base import LATEST


class NumaTestCase(base.ApiTestCase):
    """Hosts with two cells of four CPUs, of which two are dedicated."""

    options = {
        'fake': {
            'vcpus': 8,
            'memory_mb': 16384,
            'numa_nodes': 2,
            'huge_pages': ['2048:1024'],
        },
        'compute': {
            'cpu_dedicated_set': '2-3,6-7',
            'cpu_shared_set': '0-1,4-5',
        },
    }

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def flavor(self, name, specs, **values):
        flavor = self.make_flavor(name, **values)
        reply = self.admin.post(
            f'/flavors/{flavor}/os-extra_specs', {'extra_specs': specs}
        )
        self.assertEqual(200, reply.status, reply.body)
        return flavor

    def pinned(self, vcpus=2, **more):
        specs = {'hw:cpu_policy': 'dedicated'} | more
        return self.flavor('pinned', specs, vcpus=vcpus)

    def boot_pinned(self, flavor, **values):
        uuid = self.boot(flavorRef=flavor, **values)
        self.assertEqual('ACTIVE', self.show(uuid)['status'])
        return uuid

    def pins(self, uuid):
        """Return the host and the pins in the claim and in the guest."""
        found = self.cloud.instance(uuid)
        record = self.cloud.world.guest(found.host, uuid)
        guests = self.cloud.database.read(placements.list_placements)
        (placed,) = [one for one in guests if one.instance_uuid == uuid]
        self.assertEqual(found.host, placed.host)
        self.assertEqual(placed.placement, record['spec']['placement'])
        cpus = [cell['cpus'] for cell in placed.placement['cells']]
        return found.host, cpus

    def used(self):
        """Return the dedicated CPUs in use by host."""
        rows = self.cloud.database.read(hosts.list_hosts)
        return {row.host: row.pcpus_used for row in rows}


class OneHostTest(NumaTestCase):
    """One host."""

    hosts = ('a',)

    def test_last_cpu(self):
        flavor = self.pinned()
        taken = [self.pins(self.boot_pinned(flavor)) for _ in range(2)]
        self.assertEqual([('a', [[2, 3]]), ('a', [[6, 7]])], taken)
        uuid = self.boot(flavorRef=flavor)
        fault = self.show(uuid, self.admin)['fault']['message']
        self.assertIn('0 of 2 dedicated CPUs', fault)
        # Others are not affected.
        self.assertEqual('ACTIVE', self.show(self.boot())['status'])

    def test_delete_frees_the_cpus(self):
        flavor = self.pinned()
        uuids = [self.boot_pinned(flavor) for _ in range(2)]
        self.assertEqual({'a': 4}, self.used())
        self.user.delete(f'/servers/{uuids[0]}')
        self.cloud.settle(uuids[0])
        self.assertEqual({'a': 2}, self.used())
        self.assertEqual(('a', [[2, 3]]), self.pins(self.boot_pinned(flavor)))

    def test_topology(self):
        uuid = self.boot_pinned(self.pinned(**{'hw:numa_nodes': '2'}))
        reply = self.admin.at_version(LATEST).get(f'/servers/{uuid}/topology')
        self.assertEqual(
            {
                'nodes': [
                    {
                        'vcpu_set': [0],
                        'siblings': [],
                        'memory_mb': 256,
                        'host_node': 0,
                        'cpu_pinning': {'0': 2},
                    },
                    {
                        'vcpu_set': [1],
                        'siblings': [],
                        'memory_mb': 256,
                        'host_node': 1,
                        'cpu_pinning': {'1': 6},
                    },
                ],
                'pagesize_kb': None,
            },
            reply.body,
        )

    def test_huge_pages(self):
        specs = {'hw:mem_page_size': 'large'}
        flavor = self.flavor('huge', specs, ram=1536)
        self.boot_pinned(flavor)
        self.boot_pinned(flavor)
        uuid = self.boot(flavorRef=flavor)
        fault = self.show(uuid, self.admin)['fault']['message']
        self.assertIn('no large memory pages for 1536 MiB', fault)
        self.assertIn('free: 256 of 2048 KiB', fault)

    def test_rebuild_keeps_the_cpus(self):
        uuid = self.boot_pinned(self.pinned())
        before = self.pins(uuid)
        image = self.image_store.add(properties={'hw_numa_nodes': '2'}).id
        path = f'/servers/{uuid}/action'
        reply = self.user.post(path, {'rebuild': {'imageRef': image}})
        self.assert_refused(400, 'NUMA topology cannot be changed', reply)
        reply = self.user.post(path, {'rebuild': {'imageRef': self.image}})
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(uuid)
        self.assertEqual(before, self.pins(uuid))


class TwoHostsTest(NumaTestCase):
    """Servers that move between two hosts."""

    def act(self, uuid, name, value=None):
        admin = self.admin.at_version('2.34')
        reply = admin.post(f'/servers/{uuid}/action', {name: value})
        self.assertIn(reply.status, (202, 204), reply.body)
        self.cloud.settle(uuid)

    def test_live_migration(self):
        flavor = self.pinned()
        uuid = self.boot_pinned(flavor)
        # On both hosts a neighbour has the first cell.
        while len(set(self.used().values())) > 1:
            self.boot_pinned(flavor)
        host, _ = self.pins(uuid)
        before = self.used()
        self.act(
            uuid, 'os-migrateLive', {'host': None, 'block_migration': 'auto'}
        )
        moved, cpus = self.pins(uuid)
        self.assertNotEqual(host, moved)
        self.assertEqual([[6, 7]], cpus)
        self.assertEqual(before[host] - 2, self.used()[host])
        self.assertEqual(before[moved] + 2, self.used()[moved])

    def test_resize_and_revert(self):
        uuid = self.boot_pinned(self.pinned())
        before = self.pins(uuid)
        larger = self.flavor(
            'larger',
            {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'},
            vcpus=4,
        )
        self.act(uuid, 'resize', {'flavorRef': larger})
        host, cpus = self.pins_of_new(uuid)
        self.assertEqual([[2, 3], [6, 7]], cpus)
        self.assertEqual({before[0]: 2, host: 4}, self.used())
        self.act(uuid, 'revertResize')
        self.assertEqual(before, self.pins(uuid))
        self.assertEqual({before[0]: 2, host: 0}, self.used())

    def pins_of_new(self, uuid):
        """Return host and pins of a guest whose old host has a claim too."""
        found = self.cloud.instance(uuid)
        record = self.cloud.world.guest(found.host, uuid)
        placement = record['spec']['placement']
        return found.host, [cell['cpus'] for cell in placement['cells']]

    def boot_alone(self):
        """Return a server that no other host can take, and its host."""
        self.config('scheduler', allow_resize_to_same_host=True)
        uuid = self.boot_pinned(self.pinned())
        host, _ = self.pins(uuid)
        (other,) = {'a', 'b'} - {host}
        reply = self.admin.put(
            '/os-services/disable', {'host': other, 'binary': 'nova-compute'}
        )
        self.assertEqual(200, reply.status, reply.body)
        return uuid, host

    def smaller(self):
        return self.flavor('one', {'hw:cpu_policy': 'dedicated'}, vcpus=1)

    def test_resize_on_the_same_host(self):
        uuid, host = self.boot_alone()
        _, cpus = self.pins(uuid)
        self.act(uuid, 'resize', {'flavorRef': self.smaller()})
        self.assertEqual((host, [[6]]), self.pins_of_new(uuid))
        self.act(uuid, 'revertResize')
        self.assertEqual((host, cpus), self.pins(uuid))
        self.assertEqual({host: 2}, self.in_use())

    def in_use(self):
        return {host: cpus for host, cpus in self.used().items() if cpus}

    def test_reset_of_a_revert_on_the_same_host(self):
        """The old guest comes back to its own CPUs, not those of the new."""
        uuid, host = self.boot_alone()
        before = self.pins(uuid)
        self.act(uuid, 'resize', {'flavorRef': self.smaller()})
        self.cloud.world.inject_fault(host, 'remove_disks', times=1000)
        path = f'/servers/{uuid}/action'
        reply = self.admin.post(path, {'revertResize': None})
        self.assertEqual(202, reply.status, reply.body)
        owner = self.cloud.instance(uuid).task_id
        self.cloud.wait_for(
            lambda: any(
                step.error
                for step in self.cloud.read(operations.list_steps, owner)
            )
        )
        reply = self.admin.post(path, {'os-resetState': {'state': 'active'}})
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.world.clear_faults()
        self.cloud.settle(uuid)
        self.assertEqual(before, self.pins(uuid))
        self.assertEqual({host: 2}, self.in_use())

    def test_cold_migration_and_shelve(self):
        uuid = self.boot_pinned(self.pinned())
        self.act(uuid, 'migrate')
        self.act(uuid, 'confirmResize')
        host, _ = self.pins(uuid)
        self.assertEqual(2, self.used()[host])
        # The image service of the API is that of the hosts.
        self.image_store.show = self.cloud.images.show
        self.config('conductor', shelved_offload_time=0)
        self.act(uuid, 'shelve')
        self.assertEqual({'a': 0, 'b': 0}, self.used())
        self.act(uuid, 'unshelve')
        self.pins(uuid)
        self.assertEqual([0, 2], sorted(self.used().values()))
