# SPDX-License-Identifier: Apache-2.0
"""Start, wait and end of processes with any configuration."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import urllib.parse

from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from tests import base
from tests.fixtures import processes
from tests.fixtures import servers
from tests.fixtures.processes import Cluster
from tests.fixtures.servers import process
from tests.fixtures.user import Refused
from tests.fixtures.user import User
from tests.integration import test_cluster

#: Seconds in which a waiting process must end after SIGTERM.
_PROMPTLY = 5

_SQLITE = {'database': {'connection': 'sqlite://'}}
_NO_DRIVER = 'oracle+cx_oracle://minova:SECRET@127.0.0.1/minova'
_EMBEDDED = {'service': 'embedded', 'directory': '$state_path/images'}


def _default(**options):
    return {'DEFAULT': options}


class WrongConfigurationTest(base.TestCase):
    """An invalid configuration exits with 2 and one line."""

    #: Module, options, text of the line.
    in_the_master = (
        ('api', {}, '[database] connection is not set; set a URL'),
        (
            'api',
            _SQLITE
            | {
                'api': {
                    'auth_strategy': 'noauth2',
                    'osapi_compute_listen': '0.0.0.0',
                    'osapi_compute_listen_port': 0,
                }
            },
            'auth_strategy = noauth2 on 0.0.0.0: every client',
        ),
        (
            'conductor',
            {'database': {'connection': 'minova on my machine'}},
            '[database] connection is not a database URL; the form is',
        ),
        (
            'conductor',
            {'database': {'connection': 'mysql+pymysql://a:b@c:port/d'}},
            '[database] connection is not a database URL; the form is',
        ),
        (
            'conductor',
            {'database': {'connection': _NO_DRIVER}},
            'install minova[mysql] or minova[postgresql]',
        ),
        (
            'compute',
            _default(transport_url='127.0.0.1'),
            'transport_url is not usable: No scheme specified',
        ),
        (
            'compute',
            _default(transport_url='rabbit://guest:guest@127.0.0.1:port/'),
            'transport_url is not usable',
        ),
        (
            'conductor',
            _SQLITE | _default(transport_url='carrier://pigeon'),
            'not usable: Failed to load transport driver "carrier"',
        ),
        ('compute', {'compute': {'compute_driver': 'xen'}}, "found 'xen'"),
        (
            'compute',
            _default(heartbeat_interval='often'),
            'Value for option heartbeat_interval',
        ),
        (
            'compute',
            {'api': {'osapi_compute_listen_port': 99999}},
            'Value for option osapi_compute_listen_port',
        ),
        # Options of libraries, registered at their first use.
        (
            'conductor',
            {'database': {'connection': 'sqlite://', 'max_pool_size': 'x'}},
            'Value for option max_pool_size',
        ),
        (
            'compute',
            _default(transport_url='rabbit://')
            | {'oslo_messaging_rabbit': {'heartbeat_rate': 'x'}},
            'Value for option heartbeat_rate',
        ),
    )

    #: Errors of a worker, whose master logs its own end.
    in_a_worker = (
        (
            'compute',
            {'image': _EMBEDDED, 'libvirt': {'connection_uri': 'test:///x'}},
            '[libvirt] connection_uri = test:///x is not supported',
        ),
        (
            'compute',
            {
                'image': {'service': 'glance'},
                'compute': {'compute_driver': 'fake'},
            },
            '[image] auth_type is not set; set it',
        ),
    )

    def run_with(self, module, options, *arguments):
        """Run a process to its end; return exit code and output."""
        path = os.path.join(self.directory, f'{base.clock.uuid4()}.conf')
        own = {'transport_url': 'memory://', 'state_path': self.directory}
        options = options | {'DEFAULT': own | options.get('DEFAULT', {})}
        with open(path, 'w', encoding='utf-8') as file:
            for group, values in options.items():
                file.write(f'[{group}]\n')
                for name, value in values.items():
                    file.write(f'{name} = {value}\n')
        return self.run_plainly(module, f'--config-file={path}', *arguments)

    def run_plainly(self, module, *arguments):
        command = [sys.executable, '-m', f'minova.cmd.{module}', *arguments]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertNotIn('Traceback', ended.stdout)
        return ended.returncode, ended.stderr.splitlines()

    def run_each(self, cases):
        """Run processes, two at a time."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ended = pool.map(lambda case: self.run_with(*case[:2]), cases)
            return list(zip(cases, ended, strict=True))

    def assert_reported(self, module, text, lines):
        emitted = [
            line for line in lines if line.startswith(f'minova-{module}:')
        ]
        self.assertEqual(1, len(emitted), lines)
        self.assertIn(text, emitted[0])

    def test_error_is_one_line(self):
        for case, (code, lines) in self.run_each(self.in_the_master):
            module, _, text = case
            self.assertEqual((2, 1), (code, len(lines)), f'{case} {lines}')
            self.assert_reported(module, text, lines)

    def test_a_worker_ends_its_master(self):
        for case, (code, lines) in self.run_each(self.in_a_worker):
            module, _, text = case
            self.assertEqual(2, code, f'{case} {lines}')
            self.assert_reported(module, text, lines)

    def test_a_file_that_is_not_there(self):
        code, lines = self.run_plainly('compute', '--config-file=/nowhere')
        self.assertEqual((2, 1), (code, len(lines)), lines)
        self.assert_reported('compute', 'config files: /nowhere', lines)

    def test_invalid_file(self):
        path = os.path.join(self.directory, 'broken.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('[DEFAULT\n')
        code, lines = self.run_plainly('compute', f'--config-file={path}')
        self.assertEqual((2, 1), (code, len(lines)), lines)
        self.assert_reported('compute', f'{path}:1', lines)

    def test_unknown_argument(self):
        code, lines = self.run_with('compute', {}, '--quickly')
        self.assertEqual(2, code)
        self.assert_reported('compute', 'arguments: --quickly', lines)

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            options = _SQLITE | {'api': {'osapi_compute_listen_port': port}}
            code, lines = self.run_with('api', options)
        self.assertEqual((2, 1), (code, len(lines)), lines)
        self.assert_reported(
            'api', f'cannot listen on 127.0.0.1:{port}', lines
        )
        self.assert_reported(
            'api',
            'check [api] osapi_compute_listen and osapi_compute_listen_port',
            lines,
        )


class LateRabbitMQ(servers.RabbitMQ):
    """A broker that a test starts later."""

    late = True

    def start(self):
        """Start at the second call; the first one is the fixture set-up."""
        if self.late:
            self.late = False
        else:
            super().start()


class WaitingTest(base.TestCase):
    """A service waits for a missing server, logs that, and can be stopped."""

    def make_cluster(self, transport_url, database_url):
        self.database_url = database_url
        return self.useFixture(
            Cluster(transport_url, database_url, self.directory)
        )

    def sqlite(self):
        """Create a database; return its URL."""
        url = f'sqlite:///{os.path.join(self.directory, "minova.sqlite")}'
        database = engine.connect(CONF, url)
        migrate.sync(database)
        database.dispose()
        return url

    def assert_ends_promptly(self, service):
        began = base.clock.monotonic()
        self.assertEqual(0, service.terminate())
        self.assertLess(base.clock.monotonic() - began, _PROMPTLY)

    def assert_calm(self, *services):
        """The logs have no traceback."""
        for service in services:
            self.assertNotIn('Traceback', service.log_text())
            self.assertNotIn('exited with status', service.log_text())

    def test_a_broker_that_is_away(self):
        broker = self.useFixture(LateRabbitMQ())
        cluster = self.make_cluster(broker.url, self.sqlite())
        impatient = cluster.start('compute', 'gone', wait=False)
        waiting = [
            cluster.start('conductor', 'c', wait=False),
            cluster.start('compute', 'n', wait=False),
        ]
        address = urllib.parse.urlsplit(broker.url).netloc.rpartition('@')[2]
        for service in (impatient, *waiting):
            service.wait_for(f'Connecting to the message broker {address}.')
            service.wait_for('Connection refused', times=2)
        self.assert_ends_promptly(impatient)
        # The begin of an operation needs no broker.
        api = cluster.start_api()
        user = User(f'{api.url}/v2.1', 'admin:admin')
        user.image()
        user.flavor('small')
        broker.start()
        for service in waiting:
            service.wait_for('is ready.')
        user.boot()
        self.assert_calm(impatient, api, *waiting)

    def test_a_broker_that_refuses(self):
        broker = servers.shared(servers.RabbitMQ)
        wrong = broker.url.replace('guest:guest@', 'guest:wrong@')
        nowhere = f'{broker.url}nowhere'
        unauthorized = self.make_cluster(wrong, '').start(
            'compute', 'unauthorized', wait=False
        )
        lost = self.make_cluster(nowhere, self.sqlite()).start(
            'conductor', 'lost', wait=False
        )
        for service in (unauthorized, lost):
            service.wait_for(
                'retrying in 2 s: The message broker is unavailable', 2
            )
        self.assertIn('ACCESS_REFUSED', unauthorized.log_text())
        self.assertNotIn('wrong', unauthorized.log_text())
        self.assert_ends_promptly(unauthorized)
        self.addCleanup(broker.delete_vhost, 'nowhere')
        broker.vhost('nowhere')
        self.assertIn('vhost nowhere not found', lost.log_text())
        lost.wait_for('is ready.')
        self.assert_calm(unauthorized, lost)

    def test_a_database_that_is_away_and_then_empty(self):
        database = self.useFixture(servers.PostgreSQL(durable=False))
        cluster = self.make_cluster('memory://', database.url('minova'))
        database.stop()
        impatient = cluster.start('conductor', 'gone', wait=False)
        waiting = [
            cluster.start('conductor', 'c', wait=False),
            cluster.start('api', 'api', wait=False),
        ]
        for service in (impatient, *waiting):
            service.wait_for(
                'retrying in 2 s: The database is unavailable', times=2
            )
            self.assertIn('Connection refused', service.log_text())
        self.assert_ends_promptly(impatient)
        database.start()
        for service in waiting:
            service.wait_for('run "minova-manage db sync"')
            self.assertNotIn('is ready', service.log_text())
        processes.sync(self.directory, self.database_url)
        for service in waiting:
            service.wait_for('is ready')
        self._away_again(database, waiting[1])
        self.assert_calm(impatient, *waiting)

    def _away_again(self, database, api):
        """The API answers 503 while the database is down."""
        address = api.log_text().partition('is ready at ')[2].split('/\n')[0]
        user = User(f'{address}/v2.1', 'admin:admin')
        self.assertEqual({'servers': []}, user.request('GET', '/servers'))
        database.stop()
        error = self.assertRaises(Refused, user.request, 'GET', '/servers')
        self.assertEqual(503, error.status)
        self.assertIn('The database is unavailable', error.body)
        database.start()
        self.assertEqual({'servers': []}, user.request('GET', '/servers'))

    def test_a_database_that_refuses(self):
        database = servers.shared(servers.MariaDB)
        known = database.url('processes')
        database.drop('processes')
        cluster = self.make_cluster('memory://', known)
        unknown = cluster.start('conductor', 'c', wait=False)
        unauthorized = self.make_cluster(
            'memory://', known.replace('root@', 'unknown:SECRET@')
        ).start('conductor', 'unauthorized', wait=False)
        for service, text in (
            (unknown, "Unknown database 'processes'"),
            (unauthorized, "Access denied for user 'unknown'"),
        ):
            service.wait_for(text, times=2)
            self.assertIn('retrying in 2 s: The database', service.log_text())
        self.assertNotIn('SECRET', unauthorized.log_text())
        self.assert_ends_promptly(unauthorized)
        self.addCleanup(database.drop, 'processes')
        database.url('processes')
        unknown.wait_for('run "minova-manage db sync"')
        self.assert_calm(unknown, unauthorized)

    def test_invalid_directory(self):
        cluster = self.make_cluster('memory://', 'sqlite://')
        path = os.path.join(self.directory, 'file')
        with open(path, 'w', encoding='utf-8'):
            pass
        service = cluster.start(
            'compute',
            'n',
            wait=False,
            fake={'directory': os.path.join(path, 'fake')},
        )
        service.wait_for('minova-compute cannot start; restarting the worker')
        service.wait_for(f"[Errno 20] Not a directory: '{path}")
        self.assertNotIn('Traceback', service.log_text())
        os.unlink(path)
        service.wait_for('the queue has no consumer')
        self.assertEqual(0, service.terminate())


class EndTest(test_cluster.ClusterTestCase):
    """Idle services end at once and leave nothing behind."""

    def test_idle(self):
        conductor = self.cluster.start(
            'conductor', 'c', wait=False, conductor={'workers': 2}
        )
        compute = self.cluster.start('compute', 'n', wait=False)
        api = self.cluster.start_api(api={'osapi_compute_workers': 2})
        for service, workers in ((conductor, 2), (compute, 1), (api, 2)):
            service.wait_for('is ready', times=workers)
            self.assertEqual(workers + 1, len(process.tree(service.pid)))
        for service in (api, compute, conductor):
            began = base.clock.monotonic()
            # The check also covers processes that are left behind.
            self.assertEqual(0, service.terminate())
            self.assertLess(base.clock.monotonic() - began, 15)
            self.assertIn('has stopped', service.log_text())
            self.assertNotIn('Traceback', service.log_text())

    def test_two_computes_of_one_host(self):
        self.cluster.start('conductor', 'c', wait=False)
        first = self.cluster.start('compute', 'n')
        (pid,) = set(process.tree(first.pid)) - {first.pid}
        # Both processes write to the same log.
        second = self.cluster.start('compute', 'n', wait=False)
        second.wait_for(
            'retrying in 2 s: Host n is unavailable at this time: '
            f'process {pid} already runs its compute service'
        )
        first.freeze()
        second.wait_for('already runs its compute', times=2)
        first.kill()
        second.wait_for('is ready.', times=2)
        self.assertNotIn('Traceback', second.log_text())
