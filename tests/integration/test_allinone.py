# SPDX-License-Identifier: Apache-2.0
"""The all-in-one as a process: start, output, what survives it."""

import concurrent.futures
import os
import pathlib
import re
import socket
import sqlite3
import stat
import subprocess
import sys

from minova import clock
from tests.integration.allinone import AllInOneTestCase


class StartTest(AllInOneTestCase):
    """Start, output and leftovers of the process."""

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
            ((f'--data-dir={file}',), f'--data-dir: {file}: File exists'),
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

    def test_locked_database(self):
        self.start()
        cloud = self.connect()
        body = {
            'name': 'one',
            'imageRef': self.make_image(cloud).id,
            'flavorRef': '1',
            'networks': 'none',
        }

        def create():
            return cloud.compute.post(
                '/servers', json={'server': body}, microversion='2.37'
            )

        other = sqlite3.connect(
            os.path.join(self.data, 'minova.sqlite'), isolation_level=None
        )
        self.addCleanup(other.close)
        other.execute('BEGIN IMMEDIATE')
        began = clock.monotonic()
        self.assertEqual(503, create().status_code)
        self.assertLess(clock.monotonic() - began, 9)
        other.execute('ROLLBACK')
        self.assertEqual([], list(cloud.compute.servers()))
        reply = create()
        self.assertEqual(202, reply.status_code)
        made = cloud.compute.get_server(reply.json()['server']['id'])
        self.wait(cloud, made)

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
