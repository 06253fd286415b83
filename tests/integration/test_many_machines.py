# SPDX-License-Identifier: Apache-2.0
"""The page on several machines, followed to the letter.

The environments, the configuration files and the commands are those of
doc/source/admin/many-machines.rst. Only names that belong to a site are
replaced, such as host names; a second configuration file has the ports and
directories of the test, and libvirt's test driver instead of QEMU.
"""

import dataclasses
import http.client
import json
import os
import pathlib
import shlex
import subprocess
import time

from tests import base
from tests.fixtures import page
from tests.fixtures import servers
from tests.fixtures.processes import READY
from tests.fixtures.processes import Service
from tests.fixtures.servers import environments
from tests.fixtures.servers import ports
from tests.integration.allinone import Shell
from tests.integration.server_life import ServerLife

_PAGE = 'admin/many-machines.rst'
_ROOT = pathlib.Path(base.__file__).parents[1]
#: Where the page installs Minova, and what it installs.
_HOME = '/opt/minova'
_PACKAGE = 'minova['
_CONF = '``/etc/minova/minova.conf``::'
_CONTROLLER = 'Controllers'
_COMPUTE = 'Compute hosts'
_FIRST = 'The first server'
#: Seconds in which a service answers.
_TIMEOUT = 120


class ManyMachinesTest(base.TestCase):
    """What the page says is what runs."""

    time_limit = 900

    def setUp(self):
        super().setUp()
        self.blocks = page.read_blocks(_PAGE)
        self.homes = {
            machine: self.install(machine)
            for machine in (_CONTROLLER, _COMPUTE)
        }
        self.broker = self.useFixture(servers.RabbitMQ())
        self.database = self.useFixture(servers.MariaDB(durable=False))
        self.keystone = self.useFixture(servers.Keystone())
        self.useFixture(servers.Glance(self.keystone))
        variables = self.keystone.client_environment()
        self.shell = self.useFixture(Shell(os.environ | variables))
        self.image = f'{self.directory}/debian.qcow2'
        port = ports.Port()
        self.addCleanup(port.release)
        self.api_port = port.number
        #: What the page calls by other names.
        self.names = {
            'rabbit1:5672': self.broker.address,
            'rabbit2:5672': self.broker.address,
            '@database/': f'@127.0.0.1:{self.database.port}/',
            'https://keystone.example.org': self.keystone.url,
            'https://compute.example.org': f'http://127.0.0.1:{self.api_port}',
            'debian.qcow2': self.image,
        }

    # -- the page ------------------------------------------------------------

    def install(self, machine):
        """Make the environment of a machine with the commands of the page.

        An installation of this checkout that runs the changed code is used
        again until the requirements change.
        """
        (block, *_) = self.blocks_of(machine)
        commands = [
            [self.local(word) for word in words]
            for words in block.commands()
            if words[0] != 'apt-get'
        ]
        self.assertEqual(['-m', 'venv', '{}'], commands[0][1:])
        self.assertEqual(['{}/bin/pip', 'install'], commands[1][:2])
        commands[1].insert(-1, '--editable')
        files = [
            (_ROOT / name).read_text()
            for name in ('setup.cfg', 'requirements.txt', 'constraints.txt')
        ]
        name = machine.partition(' ')[0].lower()
        return environments.cached(name, files, commands)

    def local(self, word):
        """Return a word of an installation for this machine."""
        if word == 'python3':
            return environments.base_python()
        if word.startswith(_PACKAGE):
            word = str(_ROOT) + word.removeprefix('minova')
        return word.replace(_HOME, '{}')

    def blocks_of(self, heading):
        return [b for b in self.blocks if b.heading == heading]

    def translate(self, text):
        """Replace the names of the page's site."""
        for name, here in self.names.items():
            text = text.replace(name, here)
        return text

    def configure(self, machine, name, **overrides):
        """Write the file of the page and that of the test.

        Returns the options that name both.
        """
        (block,) = (
            b for b in self.blocks_of(machine) if b.introduction == _CONF
        )
        documented = pathlib.Path(self.directory, f'{name}.page.conf')
        text = self.translate(block.text).replace('kvm1', name)
        documented.write_text(text)
        own = pathlib.Path(self.directory, f'{name}.test.conf')
        overrides['DEFAULT'] = {'state_path': f'{self.directory}/{name}'}
        with own.open('w') as file:
            for group, options in overrides.items():
                file.write(f'[{group}]\n')
                for option, value in options.items():
                    file.write(f'{option} = {value}\n')
        return [f'--config-file={documented}', f'--config-file={own}']

    # -- commands ------------------------------------------------------------

    def run_block(self, block):
        """Run the commands of a block; return the output of the last."""
        output = ''
        for program, *arguments in block.commands():
            words = [self.translate(word) for word in arguments]
            output = getattr(self, f'run_{program.replace("-", "_")}')(*words)
        return output

    def run_mariadb(self, *arguments):
        server = ['--host=127.0.0.1', f'--port={self.database.port}']
        return self.run_program(
            ['mariadb', '--no-defaults', *server, '--user=root', *arguments]
        )

    def run_rabbitmqctl(self, command, *arguments):
        getattr(self.broker, command)(*arguments)

    def run_printed_commands(self, output):
        for line in output.splitlines():
            program, *words = shlex.split(line)
            self.assertEqual('rabbitmqctl', program)
            self.run_rabbitmqctl(*words)

    def run_openstack(self, *arguments):
        code, output = self.shell.run(shlex.join(arguments))
        self.assertEqual(0, code, f'openstack {arguments}: {output}')
        return output

    def run_minova_manage(self, *arguments):
        program = f'{self.homes[_CONTROLLER]}/bin/minova-manage'
        is_piped = arguments[-2:] == ('|', 'sh')
        if is_piped:
            arguments = arguments[:-2]
        output = self.run_program([program, *self.controller, *arguments])
        if is_piped:
            self.run_printed_commands(output)
        return output

    def run_program(self, command):
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=environments.clean_environment(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
        self.assertEqual(
            0,
            ended.returncode,
            f'{" ".join(command)}:\n{ended.stdout}{ended.stderr}',
        )
        return ended.stdout

    def run_minova_conductor(self):
        return self.run_service('conductor', _CONTROLLER, self.controller)

    def run_minova_api(self):
        return self.run_service('api', _CONTROLLER, self.controller)

    def run_service(self, module, machine, options, name=None):
        """Start a service; return it when it is ready."""
        service = self.useFixture(
            Service(
                name or module,
                module,
                {},
                self.directory,
                environment={'PYTHONPATH': ''},
                command=[
                    f'{self.homes[machine]}/bin/minova-{module}',
                    *options,
                ],
            )
        )
        service.wait_for(READY[module])
        return service

    # -- requests ------------------------------------------------------------

    def get(self, path, token, **headers):
        """Send a request to the api; return status and body."""
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.api_port, timeout=_TIMEOUT
        )
        try:
            connection.request(
                'GET',
                path,
                headers={'X-Auth-Token': token} | headers,
            )
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    # -- the tests -----------------------------------------------------------

    def test_page(self):
        self.start_controller()
        self.start_computes(
            'kvm1', 'kvm2', libvirt={'connection_uri': 'test:///'}
        )
        self.create_first_server()
        self.live_through_actions()
        self.check_tokens()

    def start_controller(self):
        self.controller = self.configure(
            _CONTROLLER,
            'controller',
            api={
                'osapi_compute_listen': '127.0.0.1',
                'osapi_compute_listen_port': self.api_port,
            },
        )
        for block in self.blocks_of(_CONTROLLER)[1:]:
            if block.introduction != _CONF:
                self.run_block(block)

    def start_computes(self, *hosts, **overrides):
        """Start the services of hosts; return them by host."""
        started = {}
        account, _, start = self.blocks_of(_COMPUTE)[1:]
        self.assertEqual([['minova-compute']], start.commands())
        for host in hosts:
            text = account.text.replace('kvm1', host)
            self.run_block(dataclasses.replace(account, text=text))
            options = self.configure(_COMPUTE, host, **overrides)
            service = self.run_service('compute', _COMPUTE, options, host)
            self.assertNotIn('Traceback', service.log_text())
            started[host] = service
        return started

    def create_first_server(self):
        self.run_program(
            ['qemu-img', 'create', '-q', '-f', 'qcow2', self.image, '1M']
        )
        network, requests = self.blocks_of(_FIRST)
        self.run_block(network)
        shown = self.run_block(requests)
        self.assertIn('ACTIVE', shown)
        hosts = self.run_openstack('hypervisor', 'list')
        self.assertIn('kvm1', hosts)
        self.assertIn('kvm2', hosts)

    def live_through_actions(self):
        """Run every action on hosts whose driver has each."""
        for host in ('kvm1', 'kvm2'):
            self.run_openstack(
                *('compute', 'service', 'set', '--disable'),
                *(host, 'nova-compute'),
            )
        computes = self.start_computes(
            'kvm3',
            'kvm4',
            compute={'compute_driver': 'fake'},
            fake={'directory': f'{self.directory}/fake'},
        )
        self.run_openstack(
            *('flavor', 'create', '--ram', '1024', '--disk', '2', 'bigger')
        )
        life = ServerLife(
            self,
            self.shell,
            hosts=['kvm3', 'kvm4'],
            image='debian',
            flavors=('small', 'bigger'),
            network='private',
            is_real=False,
            # Without a network service the client knows no names.
            network_id=self.network_id(),
        )
        life.fail = lambda host: computes[host].kill()
        life.restart = lambda host: self.restart(computes[host])
        life.run()

    def network_id(self):
        _, body = self.get('/v2.1/os-networks', self.keystone.token())
        (network,) = json.loads(body)['networks']
        return network['id']

    def restart(self, service):
        service.start()
        service.wait_for(READY['compute'], times=2)

    def check_tokens(self):
        """The section on Keystone, with a real one."""
        known = self.keystone.token()
        status, body = self.get('/v2.1/servers', known)
        self.assertEqual((200, 1), (status, len(json.loads(body)['servers'])))
        system = self.keystone.token(system={'all': True})
        status, body = self.get('/v2.1/os-hypervisors', system)
        self.assertEqual(403, status, body)
        invalid = {'X-Service-Token': 'invalid'}
        self.assertEqual(401, self.get('/v2.1/servers', known, **invalid)[0])
        self.assertEqual(401, self.get('/v2.1/servers', 'invalid')[0])
        unseen = self.keystone.token()
        for outage in (self.keystone.pause, self.keystone.kill):
            outage()
            self.assertEqual(200, self.get('/v2.1/servers', known)[0])
            self.assertEqual(200, self.get('/v2.1', '')[0])
            began = time.monotonic()
            self.assertEqual(503, self.get('/v2.1/servers', unseen)[0])
            self.assertLess(time.monotonic() - began, 60)
