# SPDX-License-Identifier: Apache-2.0
"""The server fixtures, with real clients.

``_ServerContract`` holds for all three: a server serves, keeps its data, and
leaves nothing behind, whatever the end of its user.
"""

import minova  # noqa: F401, I001  keeps eventlet out, so before all others

import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from unittest import mock
import urllib.parse

import amqp
import kombu
import psycopg
import pymysql
import testtools

from tests.fixtures import servers
from tests.fixtures.servers import ports
from tests.fixtures.servers import process
from tests.fixtures.servers import server

_ROOT = pathlib.Path(__file__).parents[2]


def _wait_until(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class _ServerContract:
    """Tests for each server; a subclass names the server and its client."""

    kind = None

    def save(self, running, text):
        """Store a text durably."""
        raise NotImplementedError

    def load(self, running):
        """Fetch the stored texts."""
        raise NotImplementedError

    def _start(self, *args, **kwargs):
        return self.useFixture(self.kind(*args, **kwargs))

    def assert_gone(self, directory):
        """Check that a server has left no file and no process."""
        self.assertFalse(directory.exists())
        self.assertEqual([], process.users_of(directory))

    def test_serves_and_keeps_its_data(self):
        running = self.kind()
        # Checked after the cleanup of the fixture, which ends a killed server.
        self.addCleanup(lambda: self.assert_gone(running.directory))
        self.useFixture(running)
        self.save(running, 'one')
        self.assertEqual(['one'], self.load(running))
        first = running.pid

        running.stop()
        self.assertIsNone(running.pid)
        self.assertEqual(0, running.status)
        self.assertFalse(process.is_alive(first))
        running.start()
        self.assertNotEqual(first, running.pid)
        self.assertEqual(['one'], self.load(running))

        self.save(running, 'two')
        second = running.pid
        running.kill()
        self.assertIsNone(running.pid)
        self.assertEqual(-signal.SIGKILL, running.status)
        self.assertFalse(process.is_alive(second))
        running.start()
        self.assertEqual(['one', 'two'], self.load(running))
        running.kill()

    def test_listens_on_loopback_only(self):
        running = servers.shared(self.kind)
        family = process.tree(running.pid)
        self.assertEqual({'127.0.0.1'}, process.listening(family))

    def test_pauses(self):
        running = self.kind()
        # Checked after the cleanup of the fixture, which ends a paused server.
        self.addCleanup(lambda: self.assert_gone(running.directory))
        self.useFixture(running)
        self.save(running, 'one')
        running.pause()
        loaded = []
        reader = threading.Thread(
            target=lambda: loaded.extend(self.load(running))
        )
        reader.start()
        # The thread ends as soon as the server answers again.
        self.addCleanup(reader.join)
        self.addCleanup(running.resume)
        reader.join(0.5)
        self.assertTrue(reader.is_alive())
        running.resume()
        reader.join(10)
        self.assertEqual(['one'], loaded)

        running.pause()

    def test_leaves_nothing(self):
        with self.kind() as running:
            directory = running.directory
            self.save(running, 'one')
            family = process.tree(running.pid)
            self.assertIn(running.pid, process.users_of(directory))
            self.assertTrue(directory.is_dir())
        self.assert_gone(directory)
        self.assertEqual([], [pid for pid in family if process.is_alive(pid)])

    def test_start_failure_has_a_reason(self):
        class Broken(self.kind):
            def _command(self):
                complaint = 'echo it rains; sleep 0.1; exit 3'
                return ['/bin/sh', '-c', complaint]

        broken = Broken()
        caught = self.assertRaises(servers.ServerError, broken.__enter__)
        self.assertIn('ended with status 3', str(caught))
        self.assertIn('it rains', str(caught))
        self.assertFalse(broken.directory.exists())
        self.assertEqual([], process.users_of(broken.directory))

    def test_gives_up_after_its_time(self):
        class Silent(self.kind):
            def _install(self):
                super()._install()
                self.timeout = 0.3

            def _answers(self):
                return False

        silent = Silent()
        caught = self.assertRaises(servers.ServerError, silent.__enter__)
        self.assertIn('does not answer 0.3 s', str(caught))
        self.assertFalse(silent.directory.exists())
        self.assertEqual([], process.users_of(silent.directory))

    def test_names_the_package_that_is_missing(self):
        with mock.patch.object(self.kind, '_program', return_value=None):
            caught = self.assertRaises(
                servers.ServerError, self.kind().__enter__
            )
        self.assertIn(f'apt-get install {self.kind.package}', str(caught))

    def _start_elsewhere(self, text):
        """Run a program that prints a server's directory, then sleeps."""
        program = textwrap.dedent(text).format(kind=self.kind.__name__)
        started = subprocess.Popen(
            [sys.executable, '-c', program],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(started.wait)
        self.addCleanup(started.stdout.close)
        self.addCleanup(started.kill)
        directory = started.stdout.readline().decode().strip()
        self.assertNotEqual('', directory, 'it did not start')
        self.assertTrue(os.path.isdir(directory), directory)
        return started, directory

    def test_ends_when_its_user_is_killed(self):
        started, directory = self._start_elsewhere(_UNTIL_KILLED)
        self.assertNotEqual([], process.users_of(directory))
        started.send_signal(signal.SIGKILL)
        self.assertTrue(_wait_until(lambda: not process.users_of(directory)))
        self.assertTrue(_wait_until(lambda: not os.path.exists(directory)))

    def test_shared_ends_with_its_process_on_ctrl_c(self):
        started, directory = self._start_elsewhere(_SHARED)
        started.send_signal(signal.SIGINT)
        started.wait()
        # No wait is needed: the process cleaned up before its end.
        self.assertEqual([], process.users_of(directory))
        self.assertFalse(os.path.exists(directory))


_UNTIL_KILLED = """
    import minova
    import time
    from tests.fixtures import servers

    with servers.{kind}() as running:
        print(running.directory, flush=True)
        time.sleep(60)
"""
_SHARED = """
    import minova
    import time
    from tests.fixtures import servers

    running = servers.shared(servers.{kind})
    assert servers.shared(servers.{kind}) is running
    print(running.directory, flush=True)
    time.sleep(60)
"""


class TestRabbitMQ(_ServerContract, testtools.TestCase):
    kind = servers.RabbitMQ

    def _connect(self, url):
        return kombu.Connection(
            url.replace('rabbit:', 'amqp:', 1),
            transport_options={'confirm_publish': True},
        )

    def save(self, running, text):
        with self._connect(running.url) as connection:
            # A durable queue, and messages are persistent by default.
            queue = connection.SimpleQueue('texts')
            queue.put(text)
            queue.close()

    def load(self, running):
        with self._connect(running.url) as connection:
            queue = connection.SimpleQueue('texts')
            found = [queue.get(timeout=5) for _ in range(queue.qsize())]
            # Unacknowledged messages are requeued when the connection closes.
            queue.close()
        return [message.payload for message in found]

    def test_no_epmd_outlives_it(self):
        # A broker does this after a minute if it finds no epmd.
        running = self._start()
        subprocess.run(
            ['epmd', '-daemon'],
            env=os.environ | running._environment(),
            check=False,
            stderr=subprocess.DEVNULL,
        )

        def left_processes():
            family = [running._guard.pid, *process.tree(running.pid)]
            users = process.users_of(running.directory)
            return [pid for pid in users if pid not in family]

        ended = _wait_until(lambda: not left_processes(), 5)
        self.addCleanup(process.send, left_processes(), signal.SIGKILL)
        self.assertTrue(ended, left_processes())
        with socket.socket() as client:
            # As before, a client learns at once that there is no epmd.
            at = ('127.0.0.1', running._epmd_port)
            self.assertRaises(ConnectionRefusedError, client.connect, at)

    def test_virtual_hosts_are_apart(self):
        running = servers.shared(self.kind)
        left = running.vhost('left')
        right = running.vhost('tests.Some/right é')
        with self._connect(left) as one, self._connect(right) as other:
            one.SimpleQueue('queue').put('for the left')
            other.SimpleQueue('queue').put('for the right')
            got = other.SimpleQueue('queue').get(timeout=5)
            self.assertEqual('for the right', got.payload)
            self.assertEqual(1, one.SimpleQueue('queue').qsize())

    def test_virtual_host_goes(self):
        running = servers.shared(self.kind)
        url = running.vhost('brief')
        self.assertEqual(url, running.vhost('brief'))
        with self._connect(url) as connection:
            connection.SimpleQueue('queue').put('lost')
        running.delete_vhost('brief')
        with self._connect(url) as connection:
            caught = self.assertRaises(
                amqp.exceptions.NotAllowed,
                connection.ensure_connection,
                max_retries=1,
            )
        self.assertIn('brief', str(caught))
        caught = self.assertRaises(
            servers.ServerError, running.delete_vhost, 'brief'
        )
        self.assertIn('404', str(caught))

    def test_counts_messages(self):
        running = self._start(prometheus=True)
        received = 'rabbitmq_global_messages_received_total'
        delivered = 'rabbitmq_global_messages_delivered_total'
        self.assertEqual(0, running.counter(received))
        with self._connect(running.url) as connection:
            queue = connection.SimpleQueue('counted')
            for number in range(3):
                queue.put(number)
            for number in range(3):
                self.assertEqual(number, queue.get(timeout=5).payload)
        self.assertEqual(3, running.counter(received))
        self.assertEqual(3, running.counter(delivered))
        self.assertRaises(KeyError, running.counter, 'rabbitmq_no_such')

    def test_needs_no_epmd(self):
        running = servers.shared(self.kind)
        environment = pathlib.Path(f'/proc/{running.pid}/environ').read_text()
        settings = dict(
            line.split('=', 1) for line in environment.split('\0') if line
        )
        # The port of epmd has no listener, and the node has no other port.
        with socket.socket() as probe:
            address = ('127.0.0.1', int(settings['ERL_EPMD_PORT']))
            self.assertRaises(ConnectionRefusedError, probe.connect, address)
        guard = running._guard.pid
        # Some children of the broker are short-lived.
        self.assertTrue(
            _wait_until(
                lambda: (
                    set(process.users_of(running.directory))
                    - set(process.tree(running.pid))
                    == {guard}
                )
            )
        )


class TestMariaDB(_ServerContract, testtools.TestCase):
    kind = servers.MariaDB

    def _execute(self, url, *statements):
        """Run statements in one transaction; return the last result."""
        parts = urllib.parse.urlsplit(url)
        self.assertEqual('mysql+pymysql', parts.scheme)
        with (
            pymysql.connect(
                host=parts.hostname,
                port=parts.port,
                user=parts.username,
                database=parts.path[1:],
                charset='utf8mb4',
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            connection.commit()
            return [row[0] for row in cursor.fetchall()]

    def save(self, running, text):
        self._execute(
            running.url('texts'),
            'CREATE TABLE IF NOT EXISTS told'
            ' (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(99))',
            f"INSERT INTO told (text) VALUES ('{text}')",
        )

    def load(self, running):
        return self._execute(
            running.url('texts'), 'SELECT text FROM told ORDER BY id'
        )

    def test_counts_statements(self):
        running = self._start()
        self.save(running, 'one')
        start = running.counters()
        reading = running.counters()['Questions'] - start['Questions']
        before = running.counters()
        self._execute(
            running.url('texts'),
            'INSERT INTO told (text) VALUES (1), (2)',
            'UPDATE told SET text = 4',
            'UPDATE told SET text = 5',
            'DELETE FROM told',
            'SELECT 1',
        )
        after = running.counters()
        grown = {name: after[name] - before[name] for name in before}
        # The six statements here, and those of the connection.
        self.assertGreaterEqual(grown.pop('Questions') - reading, 6)
        self.assertEqual(
            {
                'Com_insert': 1,
                'Com_update': 2,
                'Com_delete': 1,
                'Com_select': 1,
                'Com_commit': 1,
            },
            grown,
        )

    def test_databases_take_any_character(self):
        running = self._start()
        self.save(running, 'snow ☃ and \N{GRINNING FACE}')
        self.assertEqual(['snow ☃ and \N{GRINNING FACE}'], self.load(running))

    def test_drops_a_database(self):
        running = self._start()
        self.save(running, 'one')
        running.drop('texts')
        self.save(running, 'two')
        self.assertEqual(['two'], self.load(running))
        self.assertRaises(ValueError, running.url, 'no`name')

    def test_durable_by_default(self):
        for durable, expected in ((True, 1), (False, 0)):
            with self.kind(durable=durable) as running:
                found = self._execute(
                    running.url('texts'),
                    'SELECT @@innodb_flush_log_at_trx_commit',
                )
            self.assertEqual([expected], found)


class TestPostgreSQL(_ServerContract, testtools.TestCase):
    kind = servers.PostgreSQL

    def _connect(self, url):
        return psycopg.connect(url.replace('+psycopg', '', 1))

    def save(self, running, text):
        with self._connect(running.url('texts')) as connection:
            connection.execute(
                'CREATE TABLE IF NOT EXISTS told (id SERIAL, text TEXT)'
            )
            connection.execute('INSERT INTO told (text) VALUES (%s)', [text])

    def load(self, running):
        with self._connect(running.url('texts')) as connection:
            rows = connection.execute('SELECT text FROM told ORDER BY id')
            return [text for (text,) in rows.fetchall()]

    def test_stops_under_its_clients(self):
        running = self._start()
        with self._connect(running.url('texts')) as connection:
            connection.execute('SELECT 1')
            running.stop()
            self.assertIsNone(running.pid)
            self.assertRaises(
                psycopg.OperationalError, connection.execute, 'SELECT 1'
            )

    def test_leaves_no_shared_memory(self):
        with self.kind() as running:
            (ours,) = _segments_of(running.pid)
            running.kill()
            self.assertNotIn(ours, _segments_of())
            running.start()
            (ours,) = _segments_of(running.pid)
            os.kill(running.pid, signal.SIGKILL)
            self.assertTrue(_wait_until(lambda: running.pid is None))
        self.assertNotIn(ours, _segments_of())

    def test_drops_a_database(self):
        running = self._start()
        self.save(running, 'one')
        with self._connect(running.url('texts')) as connection:
            connection.execute('SELECT 1')
            running.drop('texts')
            self.assertRaises(
                psycopg.OperationalError, connection.execute, 'SELECT 1'
            )
        self.save(running, 'two')
        self.assertEqual(['two'], self.load(running))

    def test_durable_by_default(self):
        for durable, expected in ((True, 'on'), (False, 'off')):
            with (
                self.kind(durable=durable) as running,
                self._connect(running.url('texts')) as connection,
            ):
                for name in ('fsync', 'synchronous_commit'):
                    found = connection.execute(f'SHOW {name}').fetchone()
                    self.assertEqual((expected,), found, name)


def _segments_of(pid=None):
    """Ids of the System V shared memory that a process, or any, created."""
    lines = pathlib.Path('/proc/sysvipc/shm').read_text().splitlines()
    rows = [line.split() for line in lines[1:]]
    return {row[1] for row in rows if pid is None or row[4] == str(pid)}


class TestPorts(testtools.TestCase):
    def test_held_against_others_until_released(self):
        port = ports.Port()
        self.addCleanup(port.release)
        with mock.patch.object(ports, '_RANGE', [port.number]):
            self.assertRaises(RuntimeError, ports.Port)
            port.release()
            again = ports.Port()
        self.addCleanup(again.release)
        self.assertEqual(port.number, again.number)

    def test_not_one_that_is_in_use(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            number = taken.getsockname()[1]
            with mock.patch.object(ports, '_RANGE', [number]):
                self.assertRaises(RuntimeError, ports.Port)


class TestSharing(testtools.TestCase):
    def test_ended_server_is_not_reused(self):
        running = mock.create_autospec(server.Server, instance=True)
        running.pid = None
        running.name = 'RabbitMQ'
        running.__enter__.return_value = running
        kind = mock.Mock(return_value=running)
        self.assertRaises(servers.ServerError, servers.shared, kind)
