# SPDX-License-Identifier: Apache-2.0
"""The all-in-one as a process, with the openstack client."""

import concurrent.futures
import glob
import json
import os
import pathlib
import re
import shlex
import socket
import stat
import subprocess
import sys

import fixtures
import openstack
from openstack.config import loader

from tests import base
from tests.fixtures.processes import Service

_OPENSTACK = os.path.join(os.path.dirname(sys.executable), 'openstack')
#: Reads a JSON command line per line; writes exit code and output.
_LOOP = """
import contextlib, io, json, sys
from openstackclient import shell
for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = shell.main(json.loads(line))
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, said.getvalue()]), flush=True)
"""
_IMAGE = b'\0' * 65536
_IS_BROKEN = re.compile(r'\b5\d\d: |HttpException: 5|Traceback')

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
     'none not found'),
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
     '400: * The server already has the flavor m1.small'),
    ('server resize --flavor m1.tiny one',
     '400: * cannot be made smaller. * a root disk of at least 20 GB.'),
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
)
_NOT_OFFERED = (
    ('server lock one', '400: * There is no such action: lock.'),
    ('server unlock one', '400: * There is no such action: unlock.'),
    ('server shelve one', '400: * There is no such action: shelve.'),
    ('server rebuild one', '400: * There is no such action: rebuild.'),
    ('server evacuate one', '400: * There is no such action: evacuate.'),
    ('server image create one', '400: * no such action: createImage.'),
    ('console url show one', '400: * There is no novnc console here'),
    ('server group list', '404: * this URL has no endpoint'),
    ('server volume list one', '404: * this URL has no endpoint'),
    ('usage list', '404: * this URL has no endpoint'),
    ('aggregate create x', '405: * The method is not allowed'),
    ('quota set --instances 3 admin', '405: * The method is not allowed'),
)
# fmt: on


class AllInOneTestCase(base.TestCase):
    """A data directory and its processes."""

    def setUp(self):
        super().setUp()
        self.data = os.path.join(self.directory, 'data')

    def start(self, *arguments):
        """Start the all-in-one; return the process when it is ready."""
        service = Service(
            'allinone',
            'allinone',
            {},
            self.directory,
            (f'--data-dir={self.data}', '--port=0', *arguments),
        )
        self.useFixture(service)
        service.wait_for('timeline SERVER_ID')
        return service

    def start_again(self, service):
        """Restart an ended process; return when it is ready."""
        before = service.log_text().count('timeline SERVER_ID')
        service.start()
        service.wait_for('timeline SERVER_ID', before + 1)

    def refused(self, *arguments):
        """Run a process that cannot start; return its last output line."""
        ended = subprocess.run(
            [sys.executable, '-m', 'minova.cmd.allinone', *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual('', ended.stdout)
        self.assertNotIn('Traceback', ended.stderr)
        last = ended.stderr.splitlines()[-1]
        self.assertEqual(2, ended.returncode, ended.stderr)
        self.assertTrue(last.startswith('minova-allinone: '), last)
        return last

    def connect(self):
        """Return an openstacksdk connection to the cloud."""
        files = [os.path.join(self.data, 'clouds.yaml')]
        region = loader.OpenStackConfig(config_files=files).get_one('minova')
        cloud = openstack.connection.Connection(config=region)
        self.addCleanup(cloud.close)
        return cloud

    def make_image(self, cloud):
        return cloud.create_image(
            'tiny',
            data=_IMAGE,
            disk_format='raw',
            container_format='bare',
            wait=True,
        )

    def wait(self, cloud, server, status='ACTIVE'):
        """Wait until a server has no task state; return it."""
        until = base.clock.monotonic() + 60
        while True:
            server = cloud.compute.get_server(server)
            if server.status == status and server.task_state is None:
                return server
            if base.clock.monotonic() > until:
                self.fail(f'{server.name} is {server.status}, not {status}')
            base.clock.sleep(0.05)

    def guests(self, server):
        """Return the hosts that have the guest of a server."""
        found = glob.glob(f'{self.data}/embedded/*/guests/{server.id}')
        return [pathlib.Path(path).parts[-3] for path in found]


class StartTest(AllInOneTestCase):
    """Start, output and leftovers of the process."""

    def test_arguments_that_cannot_be_meant(self):
        file = os.path.join(self.directory, 'file')
        with open(file, 'w', encoding='utf-8'):
            pass
        here = f'--data-dir={self.data}'
        cases = (
            (('--hosts=0',), "--hosts: '0' is not a number from 1 to 100"),
            (('--hosts=two',), "--hosts: 'two' is not a number from 1 to 100"),
            (('--hypervisor=xen',), "invalid choice: 'xen' (choose from "),
            (('--port=99999',), "'99999' is not a number from 0 to 65535"),
            ((f'--data-dir={file}',), f'--data-dir {file}: File exists'),
            ((here, '--listen=192.0.2.1'), 'check --listen and --port'),
            ((here, '--config-file=/nowhere'), 'config files: /nowhere'),
        )
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            said = pool.map(lambda case: self.refused(*case[0]), cases)
            for (arguments, text), line in zip(cases, said, strict=True):
                self.assertIn(text, line, arguments)

    def test_ready(self):
        service = self.start('--hosts=3')
        said = service.log_text()
        url = re.search(
            r'Minova is ready at (http://127\.0\.0\.1:\d+) with 3 hosts', said
        )[1]
        self.assertIn(
            f'export OS_CLIENT_CONFIG_FILE={self.data}/clouds.yaml '
            'OS_CLOUD=minova\n',
            said,
        )
        self.assertIn('    openstack flavor list\n', said)
        self._run_printed_commands(said)
        self._keeps_secrets()
        self._one_of_a_kind(url)
        self.assertEqual(0, service.terminate())
        self.assertIn('minova-allinone has stopped', service.log_text())
        self.assertNotIn('Traceback', service.log_text())

    def _run_printed_commands(self, said):
        conf = re.search(r'minova-manage --config-file (\S+) timeline', said)
        shown = subprocess.check_output(
            [
                *(sys.executable, '-m', 'minova.cmd.manage'),
                *('--config-file', conf[1], 'host', 'list'),
            ],
            text=True,
        )
        for host in ('node1', 'node2', 'node3'):
            self.assertRegex(shown, rf'(?m)^{host} +up +enabled ')

    def _keeps_secrets(self):
        """Only the owner can read files with the password."""
        data = pathlib.Path(self.data)
        self.assertEqual(0o700, stat.S_IMODE(data.stat().st_mode))
        password = (data / 'identity' / 'admin-password').read_bytes().strip()
        self.assertGreater(len(password), 12)
        emitted = set()
        for path in data.rglob('*'):
            if path.is_file() and password in path.read_bytes():
                emitted.add(path.name)
                self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual({'admin-password', 'clouds.yaml', 'openrc'}, emitted)
        self.assertTrue((data / 'minova.conf').is_file())

    def _one_of_a_kind(self, url):
        """A second process may use neither the directory nor the port."""
        line = self.refused(f'--data-dir={self.data}', '--port=0')
        self.assertIn(f'another minova-allinone uses {self.data}', line)
        self.assertIn('set another --data-dir', line)
        port = url.rpartition(':')[2]
        other = f'{self.data}-2'
        line = self.refused(f'--data-dir={other}', f'--port={port}')
        self.assertIn(f'cannot listen on 127.0.0.1:{port}', line)
        self.assertIn('check --listen and --port', line)

    def test_an_address_of_version_6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(('::1', 0))
        except OSError:
            return  # a machine without it can only say so
        service = self.start('--listen=::1', '--hypervisor=fake', '--hosts=1')
        self.assertIn('ready at http://[::1]:', service.log_text())
        self.assertEqual(5, len(list(self.connect().compute.flavors())))

    def test_guests_outlive_the_process(self):
        service = self.start()
        cloud = self.connect()
        image = self.make_image(cloud)
        flavor = cloud.compute.find_flavor('m1.tiny')
        asked = {
            'image_id': image.id,
            'flavor_id': flavor.id,
            'networks': 'none',
        }
        first, second = (
            cloud.compute.create_server(name=name, **asked)
            for name in ('first', 'second')
        )
        hosts = {}
        for server in (first, second):
            hosts[server.id] = self.wait(cloud, server).compute_host
        cloud.compute.stop_server(second)
        self.wait(cloud, second, 'SHUTOFF')
        self.assertEqual(0, service.terminate())
        self.assertEqual([hosts[first.id]], self.guests(first))

        self.start_again(service)
        cloud = self.connect()
        self.assertEqual(hosts[first.id], self.wait(cloud, first).compute_host)
        self.wait(cloud, second, 'SHUTOFF')
        # A soft reboot needs a running guest.
        cloud.compute.reboot_server(first, 'SOFT')
        self.wait(cloud, first)
        service.kill()

        self.start_again(service)
        cloud = self.connect()
        self.wait(cloud, first)
        cloud.compute.start_server(second)
        self.wait(cloud, second)
        for server in (first, second):
            self.assertEqual([hosts[server.id]], self.guests(server))
            cloud.compute.delete_server(server)
            cloud.compute.wait_for_delete(server, interval=0.1)
            self.assertEqual([], self.guests(server))


class Shell(fixtures.Fixture):
    """The openstack client in one process for many commands.

    Loading the client takes seconds and is done once. Everything else runs
    for each command, as in a process of its own.
    """

    def __init__(self, environment):
        super().__init__()
        self._environment = environment

    def _setUp(self):
        self._process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', _LOOP],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self._end)

    def _end(self):
        self._process.kill()
        self._process.communicate()

    def send(self, command):
        """Start a command."""
        self._process.stdin.write(f'{json.dumps(shlex.split(command))}\n')
        self._process.stdin.flush()

    def receive(self):
        """Return the exit code and the output of the command."""
        return json.loads(self._process.stdout.readline())

    def run(self, command):
        """Run a command; return its exit code and output."""
        self.send(command)
        return self.receive()

    def table(self, command):
        """Run a command with JSON output; return the data."""
        code, said = self.run(f'{command} -f json')
        if code != 0:
            raise AssertionError(f'{command}: {said}')
        return json.loads(said)


class StockClientTest(AllInOneTestCase):
    """User actions with the ``openstack`` command."""

    def setUp(self):
        super().setUp()
        self.service = self.start()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith('OS_')
        } | {
            'OS_CLIENT_CONFIG_FILE': os.path.join(self.data, 'clouds.yaml'),
            'OS_CLOUD': 'minova',
        }
        self.shell = self.useFixture(Shell(self.environment))
        self.cloud = self.connect()
        self.addCleanup(self.assert_calm)

    def assert_calm(self):
        """The log has no server error and no traceback."""
        for text in (' ERROR ', 'Traceback'):
            self.assertNotIn(text, self.service.log_text())

    def openstack(self, *arguments):
        """Run one command as a process; return its exit code and output."""
        ended = subprocess.run(
            [_OPENSTACK, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def image(self):
        path = os.path.join(self.directory, 'image')
        with open(path, 'wb') as file:
            file.write(_IMAGE)
        made = self.shell.table(
            'image create --disk-format raw --container-format bare '
            f'--file {path} tiny'
        )
        self.assertEqual('active', made['status'])

    def show(self, name):
        return self.shell.table(f'server show {name}')

    def done(self, command):
        """A command succeeds without output."""
        self.assertEqual([0, ''], self.shell.run(command), command)

    def refused(self, command, text):
        """A command exits with 1 and this text; `` * `` is a wildcard."""
        code, said = self.shell.run(command)
        self.assertNotRegex(said, _IS_BROKEN, command)
        pattern = '.*'.join(map(re.escape, text.split(' * ')))
        self.assertRegex(said, f'(?s){pattern}', command)
        self.assertEqual(1, code, command)

    def settled(self, name, status='ACTIVE'):
        server = self.cloud.compute.find_server(name, ignore_missing=False)
        return self.wait(self.cloud, server, status)

    def test_user_commands(self):
        self._list_resources()
        self.image()
        self._make_two()
        self._resize_and_confirm()
        self._change_power()
        self._change()
        self._list_history()
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
            ('node1', 'up', 64),
            (shown['hypervisor_hostname'], shown['state'], shown['vcpus']),
        )
        limits = shell.table('limits show --absolute')
        self.assertIn({'Name': 'instances_used', 'Value': 0}, limits)
        quota = shell.table('quota show')
        self.assertIn({'Resource': 'instances', 'Limit': -1}, quota)

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
            self.assertEqual({}, made['addresses'] or {})
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

    def manage(self, *arguments):
        """Run minova-manage; return its output."""
        conf = os.path.join(self.data, 'minova.conf')
        return subprocess.check_output(
            [
                *(sys.executable, '-m', 'minova.cmd.manage'),
                *('--config-file', conf, *arguments),
            ],
            text=True,
        )

    def test_networks(self):
        self.image()
        plug = ('--bridge', 'br0')
        self.manage(
            *('network', 'create', 'private', '--cidr', '10.0.0.0/24', *plug)
        )
        make = 'server create --image tiny --flavor m1.nano'
        self.shell.table(f'{make} --wait only')
        self.manage(
            *('network', 'create', 'other', '--cidr', '10.0.1.0/24', *plug)
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
