# SPDX-License-Identifier: Apache-2.0
"""Services, hypervisors and availability zones."""

import datetime

from minova.db import tables
from minova.db.queries import hosts
from tests.functional.api import base

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class HostsTestCase(base.ApiTestCase):
    """Two hosts and a conductor that are database rows only."""

    hosts = ()

    def setUp(self):
        super().setUp()
        now = datetime.datetime.now(datetime.UTC)
        for binary, host in (
            ('nova-conductor', 'c'),
            ('nova-compute', 'a'),
            ('nova-compute', 'b'),
        ):
            self.write(
                tables.services.insert().values(
                    uuid=f'{NOWHERE[:-1]}{host}',
                    binary=binary,
                    host=host,
                    incarnation='i',
                    version='1',
                    disabled=False,
                    forced_down=False,
                    started_at=now,
                    last_seen_at=now,
                )
            )
        for host, zone in (('a', 'nova'), ('b', 'attic')):
            self.write(
                tables.hosts.insert().values(
                    uuid=f'{NOWHERE[:-2]}1{host}',
                    host=host,
                    address='192.0.2.1',
                    availability_zone=zone,
                    configured_zone=zone,
                    hypervisor_hostname=f'node-{host}',
                    hypervisor_type='fake',
                    hypervisor_version=1,
                    cpu_info={'arch': 'x86_64'},
                    supported_instances=[],
                    traits=[],
                    numa_cells=[],
                    vcpus=8,
                    pcpus=0,
                    memory_mb=1000,
                    disk_gb=100,
                    reserved_memory_mb=100,
                    reserved_disk_gb=10,
                    cpu_allocation_ratio=4.0,
                    ram_allocation_ratio=1.0,
                    disk_allocation_ratio=1.0,
                    vcpus_used=2,
                    pcpus_used=0,
                    memory_mb_used=300,
                    disk_gb_used=20,
                    created_at=now,
                )
            )

    def write(self, query):
        self.cloud.database.write(lambda c: c.execute(query))

    def stop_heartbeats(self, host):
        old = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        services = tables.services
        self.write(
            services.update()
            .where(services.c.host == host)
            .values(last_seen_at=old)
        )

    def fail_hypervisor(self, host, error):
        """Let the compute of a host report an error, None: no more."""
        self.cloud.database.write(
            lambda c: hosts.record_heartbeat(
                c, 'nova-compute', host, 'i', error
            )
        )

    def server_on(self, host, **columns):
        self.make_flavor()
        uuid = self.boot(wait=False)
        self.write(
            tables.instances.update().values(
                host=host, vm_state='active', task_state=None, **columns
            )
        )
        return uuid


class ServicesTest(HostsTestCase):
    """/os-services."""

    def services(self, query='', version='2.1'):
        body = self.admin.at_version(version).get(f'/os-services{query}').body
        return {one['host']: one for one in body['services']}

    def test_list(self):
        found = self.services()
        self.assertEqual({'a', 'b', 'c'}, set(found))
        compute, conductor = found['b'], found['c']
        self.assertEqual('nova-compute', compute['binary'])
        self.assertEqual('attic', compute['zone'])
        self.assertEqual('enabled', compute['status'])
        self.assertEqual('up', compute['state'])
        self.assertIsNone(compute['disabled_reason'])
        self.assertEqual('nova-conductor', conductor['binary'])
        self.assertEqual('internal', conductor['zone'])
        self.assertIsInstance(compute['id'], int)

    def test_filters(self):
        for query, found in (
            ('?binary=nova-conductor', {'c'}),
            ('?host=a', {'a'}),
            ('?host=a&binary=nova-conductor', set()),
            ('?foo=bar', {'a', 'b', 'c'}),
        ):
            self.assertEqual(found, set(self.services(query)), query)
        reply = self.admin.at_version('2.75').get('/os-services?foo=bar')
        self.assert_refused(400, "'foo'", reply)

    def test_keys_of_each_version(self):
        old = self.services(version='2.10')['a']
        new = self.services(version='2.11')['a']
        self.assertEqual({'forced_down'}, set(new) - set(old))
        newer = self.services(version='2.53')['a']
        self.assertEqual(f'{NOWHERE[:-1]}a', newer['id'])

    def test_service_without_heartbeat_is_down(self):
        self.stop_heartbeats('a')
        found = self.services()
        self.assertEqual('down', found['a']['state'])
        self.assertEqual('up', found['b']['state'])
        self.config('conductor', service_down_time=1e9)
        self.assertEqual('up', self.services()['a']['state'])

    def test_hypervisor_that_does_not_answer(self):
        self.fail_hypervisor('a', 'libvirt is away')
        found = self.services()
        self.assertEqual('enabled', found['b']['status'])
        self.assertEqual(
            ('disabled', 'up', 'AUTO: libvirt is away'),
            tuple(
                found['a'][key]
                for key in ('status', 'state', 'disabled_reason')
            ),
        )
        # The operator's own reason comes first, and stays.
        self.change('disable-log-reason', host='a', disabled_reason='mine')
        self.assertEqual('mine', self.services()['a']['disabled_reason'])
        self.fail_hypervisor('a', None)
        self.assertEqual('mine', self.services()['a']['disabled_reason'])
        self.change('enable', host='a')
        self.fail_hypervisor('a', 'libvirt is away')
        self.fail_hypervisor('a', None)
        found = self.services()['a']
        self.assertEqual('enabled', found['status'])
        self.assertIsNone(found['disabled_reason'])

    def change(self, name, version='2.11', **body):
        which = {'host': 'a', 'binary': 'nova-compute'}
        return self.admin.at_version(version).put(
            f'/os-services/{name}', which | body
        )

    def test_disable_and_enable(self):
        which = {'host': 'a', 'binary': 'nova-compute'}
        reply = self.change('disable')
        self.assertEqual(
            {'service': which | {'status': 'disabled'}}, reply.body
        )
        self.assertEqual('disabled', self.services()['a']['status'])
        self.assertEqual('enabled', self.services()['b']['status'])
        reply = self.change('disable-log-reason', disabled_reason='broken')
        self.assertEqual('broken', reply.body['service']['disabled_reason'])
        self.assertEqual('broken', self.services()['a']['disabled_reason'])
        reply = self.change('enable')
        self.assertEqual('enabled', reply.body['service']['status'])
        self.assertIsNone(self.services()['a']['disabled_reason'])

    def test_force_down(self):
        reply = self.change('force-down', forced_down=True)
        self.assertEqual(
            {'host': 'a', 'binary': 'nova-compute', 'forced_down': True},
            reply.body['service'],
        )
        shown = self.services(version='2.11')['a']
        self.assertIs(True, shown['forced_down'])
        self.assertEqual('down', shown['state'])
        self.change('force-down', forced_down='false')
        self.assertEqual('up', self.services()['a']['state'])
        reply = self.change('force-down', '2.10', forced_down=True)
        self.assert_refused(404, 'Unknown action', reply)

    def test_invalid_changes(self):
        for name, body, status, text in (
            ('dance', {}, 404, 'Unknown action'),
            ('disable', {'host': 'x'}, 404, 'binary nova-compute on host x'),
            ('disable', {'binary': 'x'}, 404, 'binary x on host a'),
            ('disable', {'host': None}, 400, 'host: must be a host name'),
            ('disable', {'x': 1}, 400, "no field 'x'"),
            ('disable-log-reason', {}, 400, 'lacks disabled_reason'),
            ('disable-log-reason', {'disabled_reason': ' '}, 400, 'not all'),
            ('force-down', {}, 400, 'lacks forced_down'),
            ('force-down', {'forced_down': 'x'}, 400, 'true or false'),
        ):
            self.assert_refused(status, text, self.change(name, **body))

    def test_update_by_uuid(self):
        path = f'/os-services/{NOWHERE[:-1]}a'
        admin = self.admin.at_version('2.53')
        reply = admin.put(
            path, {'status': 'disabled', 'disabled_reason': 'broken'}
        )
        self.assertEqual(200, reply.status)
        shown = reply.body['service']
        self.assertEqual(self.services(version='2.53')['a'], shown)
        self.assertEqual('disabled', shown['status'])
        self.assertEqual('broken', shown['disabled_reason'])
        shown = admin.put(path, {'forced_down': True}).body['service']
        self.assertEqual('down', shown['state'])
        self.assertEqual('broken', shown['disabled_reason'])
        shown = admin.put(path, {'status': 'enabled'}).body['service']
        self.assertIsNone(shown['disabled_reason'])

    def test_invalid_updates(self):
        admin = self.admin.at_version('2.53')
        for number, body, status, text in (
            ('a', {}, 400, 'must not be empty'),
            ('a', {'status': 'off'}, 400, 'one of enabled, disabled'),
            ('a', {'disabled_reason': 'x'}, 400, "status is 'enabled' or"),
            ('c', {'status': 'disabled'}, 400, 'Only nova-compute services'),
            ('f', {'status': 'disabled'}, 404, 'could not be found'),
        ):
            reply = admin.put(f'/os-services/{NOWHERE[:-1]}{number}', body)
            self.assert_refused(status, text, reply)
        reply = admin.put('/os-services/disable', {'host': 'a'})
        self.assert_refused(400, "no field 'host'", reply)

    def test_delete(self):
        number = self.services()['a']['id']
        reply = self.admin.delete(f'/os-services/{number}')
        self.assert_refused(409, 'nova-compute on a is up', reply)
        self.stop_heartbeats('a')
        reply = self.admin.delete(f'/os-services/{number}')
        self.assertEqual(204, reply.status)
        self.assertEqual({'b', 'c'}, set(self.services()))
        body = self.admin.get('/os-hypervisors').body
        self.assertEqual(1, len(body['hypervisors']))
        reply = self.admin.delete(f'/os-services/{number}')
        self.assert_refused(404, f'Service {number} could not', reply)
        self.stop_heartbeats('b')
        reply = self.admin.at_version('2.53').delete(
            f'/os-services/{NOWHERE[:-1]}b'
        )
        self.assertEqual(204, reply.status)

    def test_delete_host_in_use(self):
        uuid = self.server_on('a')
        self.stop_heartbeats('a')
        path = f'/os-services/{self.services()["a"]["id"]}'
        reply = self.admin.delete(path)
        self.assert_refused(409, 'that is hosting instances', reply)
        self.write(tables.instances.update().values(host='b'))
        now = datetime.datetime.now(datetime.UTC)
        self.write(
            tables.migrations.insert().values(
                uuid=NOWHERE,
                instance_uuid=uuid,
                operation_id=NOWHERE,
                kind='resize',
                status='finished',
                old_vm_state='active',
                source_host='a',
                source_node='a',
                dest_host='b',
                old_flavor={},
                new_flavor={},
                created_at=now,
            )
        )
        reply = self.admin.delete(path)
        self.assert_refused(409, 'in-progress migrations', reply)
        self.write(tables.migrations.update().values(status='confirmed'))
        self.write(tables.steps.update().values(host='a', state='pending'))
        reply = self.admin.delete(path)
        self.assert_refused(409, 'has pending clean-up', reply)
        self.write(tables.steps.update().values(state='done'))
        self.assertEqual(204, self.admin.delete(path).status)


class HypervisorsTest(HostsTestCase):
    """/os-hypervisors."""

    def list(self, path='', version='2.1'):
        reply = self.admin.at_version(version).get(f'/os-hypervisors{path}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['hypervisors']

    def test_list(self):
        first, second = self.list()
        self.assertEqual(
            {
                'id': first['id'],
                'hypervisor_hostname': 'node-a',
                'state': 'up',
                'status': 'enabled',
            },
            first,
        )
        self.assertEqual('node-b', second['hypervisor_hostname'])

    def test_detail(self):
        self.server_on('a', task_id='x')
        self.write(tables.instances.update().values(task_state='pausing'))
        shown = self.list('/detail')[0]
        self.assertEqual(
            {
                'vcpus': 8,
                'vcpus_used': 2,
                'memory_mb': 1000,
                'memory_mb_used': 400,
                'free_ram_mb': 600,
                'local_gb': 100,
                'local_gb_used': 30,
                'free_disk_gb': 70,
                'disk_available_least': 70,
                'running_vms': 1,
                'current_workload': 1,
                'host_ip': '192.0.2.1',
                'hypervisor_type': 'fake',
                'hypervisor_version': 1,
                'cpu_info': '{"arch": "x86_64"}',
            },
            {
                name: shown[name]
                for name in shown
                if name
                not in (
                    'id',
                    'hypervisor_hostname',
                    'state',
                    'status',
                    'service',
                )
            },
        )
        self.assertEqual('a', shown['service']['host'])
        self.assertIsNone(shown['service']['disabled_reason'])
        number = shown['id']
        reply = self.admin.get(f'/os-hypervisors/{number}')
        self.assertEqual({'hypervisor': shown}, reply.body)

    def test_state_and_status(self):
        self.stop_heartbeats('a')
        self.write(
            tables.services.update().values(
                disabled=True, disabled_reason='why'
            )
        )
        first, second = self.list('/detail')
        self.assertEqual(
            ('down', 'disabled'), (first['state'], first['status'])
        )
        self.assertEqual('up', second['state'])
        self.assertEqual('why', first['service']['disabled_reason'])

    def test_hypervisor_that_does_not_answer(self):
        self.fail_hypervisor('a', 'libvirt is away')
        first, second = self.list('/detail')
        self.assertEqual(('up', 'disabled'), (first['state'], first['status']))
        self.assertEqual(
            'AUTO: libvirt is away', first['service']['disabled_reason']
        )
        self.assertEqual('enabled', second['status'])
        self.fail_hypervisor('a', None)
        self.assertEqual('enabled', self.list()[0]['status'])

    def test_cpu_info_is_an_object_from_2_28_on(self):
        shown = self.list('/detail', '2.28')[0]
        self.assertEqual({'arch': 'x86_64'}, shown['cpu_info'])

    def test_pages_from_2_33_on(self):
        self.assertEqual(2, len(self.list('?limit=1', '2.32')))
        admin = self.admin.at_version('2.33')
        for path in ('/os-hypervisors', '/os-hypervisors/detail'):
            body = admin.get(f'{path}?limit=1').body
            (first,) = body['hypervisors']
            (link,) = body['hypervisors_links']
            body = admin.get(link['href'].partition('.org')[2]).body
            (second,) = body['hypervisors']
            self.assertNotEqual(first['id'], second['id'])
            self.assertNotIn('hypervisors_links', body)
        reply = admin.get('/os-hypervisors?marker=77')
        self.assert_refused(400, 'marker [77] not found', reply)

    def test_uuids_from_2_53_on(self):
        first = self.list(version='2.53')[0]
        self.assertEqual(f'{NOWHERE[:-2]}1a', first['id'])
        admin = self.admin.at_version('2.53')
        reply = admin.get(f'/os-hypervisors/{first["id"]}')
        self.assertEqual(200, reply.status)
        self.assertEqual(
            f'{NOWHERE[:-1]}a', reply.body['hypervisor']['service']['id']
        )
        reply = admin.get('/os-hypervisors/1')
        self.assert_refused(404, "Hypervisor with ID '1' could not", reply)

    def test_by_name_from_2_53_on(self):
        found = self.list('?hypervisor_hostname_pattern=NODE-B', '2.53')
        self.assertEqual(['node-b'], [h['hypervisor_hostname'] for h in found])
        admin = self.admin.at_version('2.53')
        for query, status, text in (
            ('hypervisor_hostname_pattern=x', 404, "matching 'x'"),
            ('hypervisor_hostname_pattern=n&limit=1', 400, 'not supported'),
            ('foo=bar', 400, "'foo'"),
        ):
            reply = admin.get(f'/os-hypervisors?{query}')
            self.assert_refused(status, text, reply)

    def test_servers_on_them(self):
        uuid = self.server_on('a')
        servers = [{'uuid': uuid, 'name': 'web'}]
        for path in ('', '/detail'):
            first, second = self.list(f'{path}?with_servers=true', '2.53')
            self.assertEqual(servers, first['servers'])
            self.assertEqual([], second['servers'])
            self.assertNotIn('servers', self.list(path, '2.53')[0])
        number = first['id']
        reply = self.admin.at_version('2.53').get(
            f'/os-hypervisors/{number}?with_servers=1'
        )
        self.assertEqual(servers, reply.body['hypervisor']['servers'])
        first, second = self.list('/node/servers', '2.52')
        self.assertEqual(servers, first['servers'])
        self.assertNotIn('servers', second)

    def test_search_until_2_52(self):
        (found,) = self.list('/e-b/search', '2.52')
        self.assertEqual('node-b', found['hypervisor_hostname'])
        for path in ('search', 'servers'):
            reply = self.admin.get(f'/os-hypervisors/x/{path}')
            self.assert_refused(404, "No hypervisor matching 'x'", reply)
            reply = self.admin.at_version('2.53').get(
                f'/os-hypervisors/a/{path}'
            )
            self.assert_refused(404, 'could not be found', reply)

    def test_resources_are_gone_from_2_88_on(self):
        before, after = (
            self.admin.at_version(version) for version in ('2.87', '2.88')
        )
        path = '/os-hypervisors/detail?with_servers=1'
        (old, *_), (new, *_) = (
            client.get(path).body['hypervisors'] for client in (before, after)
        )
        self.assertEqual(
            {
                'id',
                'hypervisor_hostname',
                'hypervisor_type',
                'hypervisor_version',
                'host_ip',
                'state',
                'status',
                'service',
                'servers',
                'uptime',
            },
            set(new),
        )
        self.assertEqual({'uptime'}, set(new) - set(old))
        self.assertIsNone(new['uptime'])
        shown = after.get(f'/os-hypervisors/{new["id"]}').body['hypervisor']
        self.assertEqual(set(new) - {'servers'}, set(shown))
        for gone in ('statistics', f'{new["id"]}/uptime'):
            self.assertNotEqual(
                404, before.get(f'/os-hypervisors/{gone}').status
            )
            self.assertEqual(404, after.get(f'/os-hypervisors/{gone}').status)

    def test_statistics(self):
        body = self.admin.get('/os-hypervisors/statistics').body
        found = body['hypervisor_statistics']
        self.assertEqual(2, found['count'])
        self.assertEqual(16, found['vcpus'])
        self.assertEqual(1200, found['free_ram_mb'])
        self.assertEqual(12, len(found))

    def test_uptime_unknown(self):
        number = self.list()[0]['id']
        reply = self.admin.get(f'/os-hypervisors/{number}/uptime')
        self.assert_refused(501, 'The uptime of node-a is unknown', reply)
        reply = self.admin.get('/os-hypervisors/77/uptime')
        self.assert_refused(404, "'77'", reply)


class ZonesTest(HostsTestCase):
    """/os-availability-zone."""

    def zones(self, client, path=''):
        body = client.get(f'/os-availability-zone{path}').body
        return {z['zoneName']: z for z in body['availabilityZoneInfo']}

    def test_list(self):
        found = self.zones(self.user)
        self.assertEqual({'nova', 'attic'}, set(found))
        self.assertEqual({'available': True}, found['nova']['zoneState'])
        self.assertIsNone(found['nova']['hosts'])
        self.write(
            tables.services.update()
            .where(tables.services.c.host == 'a')
            .values(disabled=True)
        )
        found = self.zones(self.user)
        self.assertEqual({'available': False}, found['nova']['zoneState'])

    def test_detail(self):
        self.stop_heartbeats('b')
        found = self.zones(self.admin, '/detail')
        self.assertEqual({'nova', 'attic', 'internal'}, set(found))
        service = found['attic']['hosts']['b']['nova-compute']
        self.assertIs(False, service['available'])
        self.assertIs(True, service['active'])
        self.assertIn('nova-conductor', found['internal']['hosts']['c'])
