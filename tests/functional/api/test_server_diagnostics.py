# SPDX-License-Identifier: Apache-2.0
"""GET /servers/{id}/diagnostics and /servers/{id}/topology."""

from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class DiagnosticsTest(base.ApiTestCase):
    """What the hypervisor counts, in both forms."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()
        self.path = f'/servers/{self.uuid}/diagnostics'

    def get(self, version, client=None):
        return (client or self.admin).at_version(version).get(self.path)

    def test_before_2_48(self):
        reply = self.get('2.47')
        self.assertEqual(200, reply.status, reply.body)
        instance = self.cloud.instance(self.uuid)
        self.assertEqual(
            instance.flavor.memory_mb * 1024, reply.body['memory']
        )
        for name in ('cpu0_time', 'vda_read', 'vda_read_req', 'vda_errors'):
            self.assertEqual(0, reply.body[name])

    def test_since_2_48(self):
        reply = self.get('2.48')
        self.assertEqual(200, reply.status, reply.body)
        body = reply.body
        self.assertEqual(
            {
                'config_drive', 'cpu_details', 'disk_details', 'driver',
                'hypervisor', 'hypervisor_os', 'memory_details',
                'nic_details', 'num_cpus', 'num_disks', 'num_nics', 'state',
                'uptime',
            },
            set(body),
        )  # fmt: skip
        self.assertEqual('running', body['state'])
        self.assertEqual(
            [{'id': 0, 'time': 0, 'utilisation': None}], body['cpu_details']
        )
        self.assertEqual((1, 1), (body['num_cpus'], body['num_disks']))
        self.assertEqual(len(body['nic_details']), body['num_nics'])
        self.assertEqual(
            {
                'read_bytes', 'read_requests', 'write_bytes',
                'write_requests', 'errors_count',
            },
            set(body['disk_details'][0]),
        )  # fmt: skip
        instance = self.cloud.instance(self.uuid)
        self.assertEqual(
            {'maximum': instance.flavor.memory_mb, 'used': None},
            body['memory_details'],
        )
        self.assertGreaterEqual(body['uptime'], 0)
        self.assertIs(False, body['config_drive'])

    def test_only_for_administrators(self):
        self.assert_refused(
            403, 'os-server-diagnostics', self.get('2.48', self.user)
        )

    def test_paused(self):
        self.admin.act(self.uuid, 'pause')
        self.cloud.settle(self.uuid)
        self.assertEqual('paused', self.get('2.48').body['state'])

    def test_off(self):
        self.admin.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        for version in ('2.47', '2.48'):
            self.assert_refused(409, 'is not ready', self.get(version))

    def test_host_down(self):
        reply = self.admin.at_version('2.11').put(
            '/os-services/force-down',
            {
                'host': self.cloud.instance(self.uuid).host,
                'binary': 'nova-compute',
                'forced_down': True,
            },
        )
        self.assertEqual(200, reply.status, reply.body)
        self.assert_refused(409, 'its host is down', self.get('2.48'))

    def test_unknown(self):
        reply = self.admin.get(f'/servers/{NOWHERE}/diagnostics')
        self.assert_refused(404, NOWHERE, reply)


class TopologyTest(base.ApiTestCase):
    """The NUMA topology."""

    hosts = ('a',)

    options = {'fake': {'numa_nodes': 2, 'huge_pages': ['2048:1000']}}

    def topology(self, uuid, client=None):
        reply = (
            (client or self.user)
            .at_version(LATEST)
            .get(f'/servers/{uuid}/topology')
        )
        self.assertEqual(200, reply.status, reply.body)
        return reply.body

    def test_without_requirements(self):
        self.make_flavor()
        uuid = self.boot()
        self.assertEqual(
            {'nodes': [], 'pagesize_kb': None}, self.topology(uuid)
        )

    def test_huge_pages(self):
        self.make_flavor(vcpus=4)
        reply = self.admin.post(
            '/flavors/small/os-extra_specs',
            {
                'extra_specs': {
                    'hw:mem_page_size': '2048',
                    'hw:cpu_threads': '2',
                }
            },
        )
        self.assertEqual(200, reply.status, reply.body)
        uuid = self.boot()
        memory_mb = self.cloud.instance(uuid).flavor.memory_mb
        node = {
            'vcpu_set': [0, 1, 2, 3],
            'siblings': [[0, 1], [2, 3]],
            'memory_mb': memory_mb,
        }
        self.assertEqual(
            {'nodes': [node], 'pagesize_kb': 2048}, self.topology(uuid)
        )
        node |= {'cpu_pinning': {}, 'host_node': 0}
        self.assertEqual(
            {'nodes': [node], 'pagesize_kb': 2048},
            self.topology(uuid, self.admin),
        )

    def test_version(self):
        self.make_flavor()
        uuid = self.boot()
        reply = self.user.at_version('2.77').get(f'/servers/{uuid}/topology')
        self.assertEqual(404, reply.status)
