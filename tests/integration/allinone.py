# SPDX-License-Identifier: Apache-2.0
"""The base of tests with the all-in-one as a process.

Its clients are the stock ones: openstacksdk, and the ``openstack`` command in
a process that stays, because its start takes a second.
"""

import glob
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import fixtures
import openstack
from openstack.config import loader

from tests import base
from tests.fixtures.processes import Service

_OPENSTACK = os.path.join(os.path.dirname(sys.executable), 'openstack')
#: Reads a JSON command line per line; writes exit code and output. A command
#: that asks a question finds the end of its input, and not the next command.
_LOOP = """
import contextlib, io, json, os, sys
from openstackclient import shell
commands, sys.stdin = sys.stdin, open(os.devnull)
for line in commands:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = shell.main(json.loads(line))
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, said.getvalue()]), flush=True)
"""
IMAGE = b'\0' * 65536
_IS_BROKEN = re.compile(r'\b5\d\d: |HttpException: 5|Traceback')


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

    def client_environment(self):
        """Return the environment of the openstack client."""
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith('OS_')
        } | {
            'OS_CLIENT_CONFIG_FILE': os.path.join(self.data, 'clouds.yaml'),
            'OS_CLOUD': 'minova',
        }

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
            data=IMAGE,
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


class StockClientTestCase(AllInOneTestCase):
    """A cloud, its client as a command and as a library."""

    def setUp(self):
        super().setUp()
        self.service = self.start()
        self.environment = self.client_environment()
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
            file.write(IMAGE)
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
