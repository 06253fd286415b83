# SPDX-License-Identifier: Apache-2.0
"""User actions with the ``openstack`` command, on a fresh all-in-one."""

import json

from tests import base
from tests.integration.allinone import Shell
from tests.integration.allinone import StockClientTestCase

#: Commands that fail for a server ``one`` on ``{host}``, and their error
#: texts; `` * `` is a wildcard.
# fmt: off
_MISTAKES = (
    ('server create --image none --flavor 2 x', 'No Image found for none'),
    ('server create --image tiny --flavor none x', 'No Flavor found for none'),
    ('server create --image tiny --flavor 2 --key-name k x',
     "400: * has no key pair 'k'"),
    ('server create --image tiny --flavor 2 --availability-zone none x',
     '400: * The requested availability zone is not available'),
    ('server create --image tiny --flavor 2 --network none x',
     'No Network found for none'),
    ('server show none', 'No Server found for none'),
    ('server delete none', 'No Server found for none'),
    ('server delete --force none', 'No Server found for none'),
    ('server resize confirm one',
     "409: * Cannot 'confirmResize' instance * is in vm_state active"),
    ('server resize revert one',
     "409: * Cannot 'revertResize' instance * is in vm_state active"),
    ('server start one',
     "409: * Cannot 'start' instance * is in vm_state active"),
    ('server unpause one',
     "409: * Cannot 'unpause' instance * is in vm_state active"),
    ('server resize --flavor none one', 'No Flavor found for none'),
    ('server resize --flavor m1.small one',
     '400: * When resizing, instances must change flavor!'),
    ('server resize --flavor m1.tiny one',
     '400: * root disk cannot be made smaller. * at least 20 GB of root'),
    ('server migrate --live-migration --host none one',
     '400: * Compute host none could not be found.'),
    ('server migrate --live-migration --host {host} one',
     '400: * Unable to migrate instance * to current host ({host})'),
    ('server migrate --live-migration --shared-migration one',
     '400: * is not on shared storage'),
    ('server migrate --host none one', '400: * none: no host has this name'),
    ('server migration abort one 77', "409: * Cannot 'abort' instance"),
    ('server event show one req-none',
     'Action for request_id req-none on instance * not found'),
    ('server event list none', 'No Server found for none'),
    ('hypervisor show none', 'No Hypervisor found for none'),
    ('compute service set --disable none nova-compute',
     'service for host "none" and binary "nova-compute" not found.'),
    ('compute service delete none',
     '404: * Service none could not be found.'),
    ('flavor create --id 2 --ram 64 x',
     '409: * Flavor with ID 2 already exists.'),
    ('flavor create --ram 64 m1.tiny',
     '409: * Flavor with name m1.tiny already exists.'),
    ('flavor delete none', 'No Flavor found for none'),
    ('server evacuate one',
     '400: * Compute service of {host} is still in use.'),
)
_NOT_OFFERED = (
    ('console url show one', '400: * Unavailable console type novnc.'),
    ('console url show --spice one',
     '400: * Unavailable console type spice-html5.'),
    ('server volume list one', '404: * this URL has no endpoint'),
)
# fmt: on


class StockClientTest(StockClientTestCase):
    """What users do, and what they do wrong."""

    def test_user_commands(self):
        self._list_resources()
        self.image()
        self._make_two()
        self._resize_and_confirm()
        self._change_power()
        self._change()
        self._list_history()
        self._lock()
        self._reset_state()
        self._rebuild()
        self._reach_into_guest()
        self._out_of_service()
        self._delete()

    def _list_resources(self):
        shell = self.shell
        names = [row['Name'] for row in shell.table('flavor list')]
        self.assertEqual(
            ['m1.nano', 'm1.tiny', 'm1.small', 'm1.medium', 'm1.large'], names
        )
        made = shell.table(
            'flavor create --id 7 --ram 128 --disk 2 --vcpus 3 seventh'
        )
        self.assertEqual(
            (128, 2, 3), (made['ram'], made['disk'], made['vcpus'])
        )
        self.done('flavor delete seventh')
        self.refused('flavor show seventh', 'No Flavor found for seventh')
        hypervisors = shell.table('hypervisor list --long')
        self.assertEqual(
            [('node1', 'up'), ('node2', 'up')],
            sorted(
                (r['Hypervisor Hostname'], r['State']) for r in hypervisors
            ),
        )
        shown = shell.table('hypervisor show node1')
        self.assertEqual(
            ('node1', 'up', 'enabled'),
            (shown['hypervisor_hostname'], shown['state'], shown['status']),
        )
        # The client asks for 2.88, which shows no resources.
        self.assertNotIn('vcpus', shown)
        limits = shell.table('limits show --absolute')
        self.assertIn({'Name': 'instances_used', 'Value': 0}, limits)
        quota = shell.table('quota show')
        self.assertIn({'Resource': 'instances', 'Limit': 10}, quota)

    def _make_two(self):
        """Run two commands at once: the client polls every five seconds."""
        other = self.other = self.useFixture(Shell(self.environment))
        make = 'server create --image tiny --flavor m1.tiny --wait -f json'
        self.shell.send(f'{make} --nic none one')
        other.send(f'{make} two')
        for shell in (self.shell, other):
            code, said = shell.receive()
            self.assertEqual(0, code, said)
            made = json.loads(said)
            self.assertEqual('ACTIVE', made['status'])
            # The cloud has one network; "one" does without it.
            networks = [] if made['name'] == 'one' else ['private']
            self.assertEqual(networks, list(made['addresses'] or {}))
        listed = self.shell.table('server list --long')
        self.assertEqual(
            {
                ('one', 'ACTIVE', 1, 'tiny', 'm1.tiny'),
                ('two', 'ACTIVE', 1, 'tiny', 'm1.tiny'),
            },
            {
                tuple(
                    row[name]
                    for name in (
                        'Name',
                        'Status',
                        'Power State',
                        'Image Name',
                        'Flavor',
                    )
                )
                for row in listed
            },
        )
        everywhere = self.shell.table('server list --all-projects')
        self.assertEqual(
            {row['ID'] for row in listed}, {row['ID'] for row in everywhere}
        )
        self.assertEqual({'node1', 'node2'}, {row['Host'] for row in listed})

    def _resize_and_confirm(self):
        """The other server reboots meanwhile."""
        shell, other = self.shell, self.other
        source = self.show('one')['OS-EXT-SRV-ATTR:host']
        for first, second in (
            (
                'migrate --live-migration --wait one',
                'reboot --soft --wait two',
            ),
            (
                'resize --flavor m1.small --wait one',
                'reboot --hard --wait two',
            ),
        ):
            shell.send(f'server {first}')
            other.send(f'server {second}')
            for code, said in (shell.receive(), other.receive()):
                self.assertEqual(0, code, said)
                self.assertIn('Complete', said)
            if 'live' in first:
                shown = self.show('one')
                self.assertEqual('ACTIVE', shown['status'])
                self.assertNotEqual(source, shown['OS-EXT-SRV-ATTR:host'])
        self.assertEqual('VERIFY_RESIZE', self.show('one')['status'])
        self.done('server resize confirm one')
        self.settled('one')
        self.assertEqual('m1.small', self.show('one')['flavor']['name'])
        host = self.show('one')['OS-EXT-SRV-ATTR:host']
        self.done('server resize --flavor m1.medium one')
        self.settled('one', 'VERIFY_RESIZE')
        self.done('server resize revert one')
        self.settled('one')
        shown = self.show('one')
        self.assertEqual(
            ('m1.small', host),
            (shown['flavor']['name'], shown['OS-EXT-SRV-ATTR:host']),
        )

    def _change_power(self):
        for command, status in (
            ('stop', 'SHUTOFF'),
            ('start', 'ACTIVE'),
            ('pause', 'PAUSED'),
            ('unpause', 'ACTIVE'),
        ):
            self.done(f'server {command} two')
            self.settled('two', status)
            self.assertEqual(status, self.show('two')['status'])

    def _change(self):
        self.done('server set --name zwei --property a=b --property c=d two')
        self.done('server unset --property c zwei')
        self.assertEqual({'a': 'b'}, self.show('zwei')['properties'])
        self.done('server set --name two zwei')

    def _list_history(self):
        shell = self.shell
        migrations = shell.table('server migration list --server one')
        self.assertEqual(
            [
                ('resize', 'reverted'),
                ('resize', 'confirmed'),
                ('live-migration', 'completed'),
            ],
            [
                (migration['Type'], migration['Status'])
                for migration in migrations
            ],
        )
        events = shell.table('server event list one')
        self.assertEqual(
            [
                'revertResize',
                'resize',
                'confirmResize',
                'resize',
                'live-migration',
                'create',
            ],
            [event['Action'] for event in events],
        )
        number = events[-2]['Request ID']
        shown = shell.table(f'server event show one {number}')
        self.assertEqual('live-migration', shown['action'])
        self.assertEqual(
            {'Success'}, {event['result'] for event in shown['events']}
        )

    def _lock(self):
        self.done('server lock --reason audit one')
        shown = self.show('one')
        self.assertEqual(
            (True, 'audit'), (shown['locked'], shown['locked_reason'])
        )
        (listed,) = self.shell.table('server list --locked')
        self.assertEqual('one', listed['Name'])
        self.done('server unlock one')
        self.assertFalse(self.show('one')['locked'])

    def _reset_state(self):
        for state in ('error', 'active'):
            self.done(f'server set --auto-approve --state {state} one')
            self.assertEqual(state.upper(), self.show('one')['status'])

    def _rebuild(self):
        """The client waits; without an image it names the current one."""
        for words in (
            '--name eins --wait one',
            '--image tiny --name one --property e=f --wait eins',
        ):
            code, said = self.shell.run(f'server rebuild {words}')
            self.assertEqual(0, code, said)
            self.assertIn('Complete', said)
        shown = self.show('one')
        self.assertEqual(
            ('ACTIVE', {'e': 'f'}), (shown['status'], shown['properties'])
        )

    def _reach_into_guest(self):
        """Embedded hosts have guests without an operating system."""
        self.done('server dump create one')
        shown = self.shell.table('server show --diagnostics one')
        self.assertEqual('running', shown['state'])
        self.assertEqual(1, shown['num_cpus'])
        shown = self.shell.table('console url show --serial one')
        self.assertEqual(
            ('serial', 'serial'), (shown['protocol'], shown['type'])
        )
        self.assertRegex(shown['url'], r'^ws://127\.0\.0\.1:\d+/\?token=')
        self.refused(
            'server set --password secret one',
            '409: * Failed to set admin password on * no guest agent',
        )

    def _out_of_service(self):
        """A disabled host gets no servers."""
        host = self.show('one')['OS-EXT-SRV-ATTR:host']
        (other,) = {'node1', 'node2'} - {host}
        self.done(
            'compute service set --disable --disable-reason dust '
            f'{other} nova-compute'
        )
        listed = self.shell.table('compute service list --long')
        self.assertEqual(
            {('allinone', 'enabled'), (host, 'enabled'), (other, 'disabled')},
            {(row['Host'], row['Status']) for row in listed},
        )
        self.refused(
            'server migrate --live-migration one',
            '400: * No valid host was found.',
        )
        self.done(f'compute service set --enable {other} nova-compute')
        self.settled('one')

    def _delete(self):
        self.shell.send('server delete --wait one')
        self.other.send('server delete --force two')
        for shell in (self.shell, self.other):
            self.assertEqual([0, ''], shell.receive())
        server = self.cloud.compute.find_server('two')
        if server is not None:
            self.cloud.compute.wait_for_delete(server, interval=0.1)
        self.assertEqual([], self.shell.table('server list'))
        self._count_usage()

    def _count_usage(self):
        """Show the hours of the two servers, which are deleted."""
        (used,) = self.shell.table('usage list')
        shown = self.shell.table('usage show --project admin')
        for found in (used, shown):
            self.assertEqual(
                ['one', 'two'],
                sorted(server['name'] for server in found['Servers']),
            )
            self.assertGreater(found['CPU Hours'], 0)
        self.assertEqual(used['CPU Hours'], shown['CPU Hours'])

    def test_user_errors(self):
        self.image()
        self.shell.table(
            'server create --image tiny --flavor m1.small --nic none one'
        )
        host = self.settled('one').compute_host
        for command, text in (*_MISTAKES, *_NOT_OFFERED):
            self.refused(command.format(host=host), text.format(host=host))
        self.assertEqual('ACTIVE', self.show('one')['status'])
        self.assertEqual(1, len(self.shell.table('server list')))

    def test_networks(self):
        self.image()
        self._list_networks()
        make = 'server create --image tiny --flavor m1.nano'
        self.shell.table(f'{make} --wait only')
        self.manage(
            *('network', 'create', 'other', '--cidr', '10.0.1.0/24'),
            *('--bridge', 'br0'),
        )
        reply = self.cloud.compute.get('/os-networks', microversion='2.1')
        ids = {one['label']: one['id'] for one in reply.json()['networks']}
        self.assertEqual({'private', 'other'}, set(ids))
        self.refused(f'{make} x', '409: * Multiple possible networks found')
        fixed = f'--nic net-id={ids["other"]},v4-fixed-ip=10.0.1.20'
        for words in (
            '--network other named',
            f'{fixed} fixed',
            '--network private --network other both',
            '--nic none none',
        ):
            self.shell.table(f'{make} {words}')
        self.refused(f'{make} {fixed} x', '400: * 10.0.1.20 * already in use')
        for name, networks in (
            ('only', {'private'}),
            ('named', {'other'}),
            ('fixed', {'other'}),
            ('both', {'private', 'other'}),
            ('none', set()),
        ):
            self.settled(name)
            addresses = self.show(name)['addresses'] or {}
            self.assertEqual(networks, set(addresses), name)
        self.assertEqual(
            ['10.0.1.20'], self.show('fixed')['addresses']['other']
        )
        found = self.shell.table('server list --ip ^10.0.1.20$')
        self.assertEqual(['fixed'], [row['Name'] for row in found])
        self.assertIn('in use   3 of', self.manage('network', 'show', 'other'))
        for name in ('only', 'named', 'fixed', 'both', 'none'):
            self.done(f'server delete --force {name}')
        until = base.clock.monotonic() + 30
        while 'in use   0 of' not in self.manage('network', 'show', 'other'):
            self.assertLess(base.clock.monotonic(), until)
        self.manage('network', 'delete', 'other')

    def _list_networks(self):
        table = self.shell.table
        (network,) = table('network list')
        self.assertEqual('private', network['Name'])
        shown = table('network show private')
        self.assertEqual((True, 'ACTIVE'), (shown['shared'], shown['status']))
        self.assertEqual(network['Subnets'], shown['subnets'])
        (subnet,) = table('subnet list --network private')
        self.assertEqual('10.0.0.0/16', subnet['Subnet'])
        self.refused('network show none', 'No Network found for none')
        for words in ('port list', 'floating ip list', 'security group list'):
            self.assertEqual([], table(words))
        self.assertIn({'Resource': 'ports', 'Limit': 500}, table('quota show'))
        self.assertIn(
            {'Resource': 'ports', 'Limit': 500, 'In Use': 0, 'Reserved': 0},
            table('quota show --usage'),
        )

    def test_quotas(self):
        table = self.shell.table

        def limits(words):
            return {row['Resource']: row['Limit'] for row in table(words)}

        def expect(expected, words='quota show --compute demo'):
            found = limits(words)
            self.assertEqual(expected, {n: found[n] for n in expected})

        expect({'instances': 10, 'cores': 20, 'ram': 51200})
        self.done('quota set --instances 50 --cores 100 --ram -1 demo')
        expect({'instances': 50, 'cores': 100, 'ram': -1, 'key-pairs': 100})
        expect({'instances': 10}, 'quota show --compute admin')
        (listed,) = table('quota list --compute')
        self.assertEqual((50, 100), (listed['Instances'], listed['Cores']))
        self.done('quota set --ports 7 demo')
        expect({'ports': 7, 'instances': 50}, 'quota show demo')
        self.done('quota set --default --instances 12')
        expect({'instances': 12}, 'quota show --default')
        self.done('quota delete demo')
        expect({'instances': 12, 'ports': 500}, 'quota show demo')
        self.refused('quota set --floating-ips 5 demo', 'must be one of -1')
        self.refused('quota set --instances 5 none', 'No Project found')
        reply = self.cloud.compute.get('/os-quota-sets/none')
        self.assertEqual(400, reply.status_code, reply.text)
        self._exceed_quotas()

    def _exceed_quotas(self):
        self.image()
        self.done('quota set --instances 1 admin')
        make = 'server create --image tiny --flavor m1.nano --nic none'
        self.shell.table(f'{make} one')
        self.refused(
            f'{make} two',
            '403: * Quota exceeded for instances: Requested 1, but already '
            'used 1 of 1 instances',
        )
        self.refused(
            'quota set --instances 0 admin',
            '400: * must be greater than or equal to already used',
        )
        self.done('quota set --force --instances 0 admin')
        self.settled('one')
        said = self.manage(
            'quota', 'set', self.project_id('admin'), '--instances', '2'
        )
        self.assertRegex(said, r'instances +1 +2\n')
        self.shell.table(f'{make} two')
        self.settled('two')
        said = self.manage('quota', 'delete', self.project_id('admin'))
        self.assertRegex(said, r'instances +2 +12\n')

    def project_id(self, name):
        return self.shell.table(f'project show {name}')['id']

    def test_exit_codes_and_the_newest_version(self):
        newest = self.cloud.compute.get_endpoint_data().max_microversion
        major, minor = newest
        self.assertEqual(2, major)
        self.assertGreater(minor, 79)
        at = f'--os-compute-api-version={major}.{minor}'
        self.image()
        self.shell.table('server create --image tiny --flavor 2 one')
        self.settled('one')
        code, said, _ = self.openstack(at, 'server', 'show', 'one', '-fjson')
        self.assertEqual(0, code)
        shown = json.loads(said)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual('UP', shown['host_status'])
        code, said, _ = self.openstack(
            at, 'server', 'show', '--topology', 'one', '-fjson'
        )
        self.assertEqual(0, code)
        self.assertEqual([], json.loads(said)['topology']['nodes'])
        code, _, said = self.openstack(at, 'server', 'start', 'one')
        self.assertEqual(1, code)
        self.assertIn("Cannot 'start' instance", said)
        # The client cannot select this version; the next one is refused.
        reply = self.cloud.compute.get(
            '/servers', headers={'OpenStack-API-Version': 'compute 2.999'}
        )
        self.assertEqual(406, reply.status_code)
        self.assertIn(
            f'Version 2.999 is not supported by the API. Minimum is 2.1 and '
            f'maximum is {major}.{minor}.',
            reply.text,
        )
