# SPDX-License-Identifier: Apache-2.0
"""What systemd learns about real services, at a real socket."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from tests import base
from tests.fixtures import processes
from tests.fixtures import servers
from tests.fixtures.sd_socket import SdSocket
from tests.fixtures.servers import process

_FIXTURES = pathlib.Path(processes.__file__).parent
#: A service with a loop that ``sys.argv`` makes stuck or long to start.
_SERVICE = """
import sys, threading
from minova import exception, loops, service, watchdog

# The attributes are those of a machine with less patience.
loops._CHECK_INTERVAL = 0.2
loops.MAX_CHECK_AGE = 1.0
kind, path = sys.argv[1:3]
is_stuck = threading.Event()


def turn():
    if is_stuck.wait(0.1):
        threading.Event().wait()


class Service:
    def start(self):
        try:
            with open(path) as file:
                assert file
        except FileNotFoundError:
            raise exception.Unavailable(what='The broker', reason='it is down')
        self.loop = loops.Loop('probe', turn, turn_limit=1.0)
        self.loop.start()
        if kind == 'stuck':
            threading.Timer(3, is_stuck.set).start()

    def stop(self):
        self.loop.stop()


service.configure([], 'probe')
sys.exit(service.run('probe', Service, int(sys.argv[3])))
"""


class ProbeTest(base.TestCase):
    """The messages of a service that waits, serves, hangs and ends."""

    def setUp(self):
        super().setUp()
        self.marker = os.path.join(self.directory, 'broker')

    def start(self, kind, workers=1, **options):
        """Start the service; return the socket and the process."""
        notified = self.useFixture(SdSocket(self.directory, **options))
        self.log_path = os.path.join(self.directory, 'log')
        with open(self.log_path, 'wb') as log:
            started = subprocess.Popen(
                [
                    *(sys.executable, '-c', _SERVICE),
                    *(kind, self.marker, str(workers)),
                ],
                stdout=log,
                stderr=log,
                env=os.environ | notified.environment,
            )
        self.addCleanup(started.wait, 60)
        self.addCleanup(started.kill)
        return notified, started

    def log_text(self):
        return pathlib.Path(self.log_path).read_text()

    def broker_comes(self):
        pathlib.Path(self.marker).touch()
        return time.monotonic()

    def test_start_and_stop(self):
        notified, started = self.start('usual', workers=2, watchdog=2)
        notified.wait_for('EXTEND_TIMEOUT_USEC')
        until = time.monotonic() + 30
        waiting = '0 of 2 workers serve: The broker is unavailable'
        while not any(waiting in one for one in notified.statuses()):
            self.assertLess(time.monotonic(), until, notified.messages)
            time.sleep(0.05)
        self.assertEqual([], notified.times('READY'))
        self.assertEqual([], notified.times('WATCHDOG'))
        came = self.broker_comes()
        ready = notified.wait_for('READY')
        self.assertGreater(ready, came)
        notified.wait_for('WATCHDOG', times=4)
        first, *_, fourth = notified.times('WATCHDOG')[:4]
        # Half of WatchdogSec.
        each = (fourth - first) / 3
        self.assertTrue(0.8 < each < 1.9, each)
        started.send_signal(signal.SIGTERM)
        self.assertGreater(notified.wait_for('STOPPING'), ready)
        self.assertEqual(0, started.wait(60))
        # systemd knows the process id of the master only.
        self.assertEqual(
            {started.pid}, {pid for _, pid, _ in notified.messages}
        )

    def test_abstract_socket_without_watchdog(self):
        self.broker_comes()
        notified, _ = self.start('usual', is_abstract=True)
        notified.wait_for('READY')
        time.sleep(1)
        self.assertEqual([], notified.times('WATCHDOG'))
        self.assertIn('Serving', notified.statuses())

    def test_stuck_loop(self):
        self.broker_comes()
        notified, started = self.start('stuck', watchdog=1)
        notified.wait_for('WATCHDOG', times=3)
        until = time.monotonic() + 60
        while 'Health check: worker' not in self.log_text():
            self.assertLess(time.monotonic(), until, self.log_text())
            time.sleep(0.05)
        self.assertIn('Health check: stuck threads: probe', self.log_text())
        count = len(notified.times('WATCHDOG'))
        time.sleep(2)
        self.assertEqual(count, len(notified.times('WATCHDOG')))
        # systemd would end it now; it did not end by itself.
        self.assertIsNone(started.poll())

    def test_reload(self):
        self.broker_comes()
        notified, started = self.start('usual', workers=2, watchdog=4)
        notified.wait_for('READY')
        before = set(process.tree(started.pid)) - {started.pid}
        started.send_signal(signal.SIGHUP)
        at = notified.wait_for('RELOADING')
        notified.wait_for('MONOTONIC_USEC')
        notified.wait_for('READY', since=at)
        after = set(process.tree(started.pid)) - {started.pid}
        self.assertEqual(set(), before & after)
        self.assertEqual(2, len(after))
        notified.wait_for('WATCHDOG', since=at)


class ServicesTest(base.TestCase):
    """Each service is ready when it serves, and healthy until it hangs."""

    time_limit = 300

    def setUp(self):
        super().setUp()
        name = self.id().rpartition('.')[2][:40]
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, name)
        url = f'sqlite:///{os.path.join(self.directory, "minova.sqlite")}'
        database = engine.connect(CONF, url)
        migrate.sync(database)
        database.dispose()
        self.cluster = self.useFixture(
            processes.Cluster(broker.vhost(name), url, self.directory)
        )

    def start(self, module, **more):
        """Start a service; return its process and its socket."""
        place = os.path.join(self.directory, f'sd-{module}')
        os.mkdir(place)
        notified = self.useFixture(SdSocket(place, watchdog=4))
        usual = os.environ.get('PYTHONPATH', '')
        environment = {
            'PYTHONPATH': f'{_FIXTURES}/stuck{os.pathsep}{usual}',
            'MINOVA_TEST_STUCK': f'{self.directory}/{module}.stuck',
        }
        service = self.cluster.start(
            module,
            module,
            wait=False,
            environment=environment | notified.environment,
            **more,
        )
        return service, notified

    def assert_ends(self, service, notified):
        """STOPPING comes before the end."""
        self.assertEqual(0, service.terminate())
        self.assertEqual(1, len(notified.times('STOPPING')))
        pids = {pid for _, pid, _ in notified.messages}
        self.assertEqual({service.pid}, pids)

    def test_compute_and_conductor(self):
        compute, notified = self.start('compute')
        notified.wait_for('EXTEND_TIMEOUT_USEC')
        waiting = '0 of 1 workers serve: not registered yet, see the log'
        until = time.monotonic() + 60
        while waiting not in notified.statuses():
            self.assertLess(time.monotonic(), until, notified.messages)
            time.sleep(0.05)
        self.assertEqual([], notified.times('READY'))
        conductor, at_conductor = self.start('conductor')
        ready = at_conductor.wait_for('READY')
        self.assertIn('Conductor conductor is ready.', conductor.log_text())
        self.assertGreater(notified.wait_for('READY', since=ready - 5), 0)
        self.assertIn('Compute compute is ready.', compute.log_text())
        for at in (notified, at_conductor):
            at.wait_for('WATCHDOG', times=2)
        self._stuck(compute, notified)
        self.assert_ends(conductor, at_conductor)

    def _stuck(self, service, notified):
        """A worker in C code is not healthy, and is not replaced yet."""
        pathlib.Path(f'{self.directory}/compute.stuck').touch()
        service.wait_for('is stuck now')
        service.wait_for('Health check: worker')
        count = len(notified.times('WATCHDOG'))
        time.sleep(5)
        self.assertEqual(count, len(notified.times('WATCHDOG')))

    def test_api(self):
        service, notified = self.start('api', api={'osapi_compute_workers': 2})
        notified.wait_for('READY')
        url = service.newest_url()
        with urllib.request.urlopen(url, timeout=20) as answer:
            self.assertEqual(200, answer.status)
        notified.wait_for('WATCHDOG', times=2)
        self.assert_ends(service, notified)

    def test_novncproxy(self):
        service, notified = self.start(
            'novncproxy', vnc={'novncproxy_port': 0}
        )
        notified.wait_for('READY')
        host, _, port = service.newest_url().rpartition('/')[2].partition(':')
        socket.create_connection((host, int(port)), 20).close()
        notified.wait_for('WATCHDOG', times=2)
        self.assert_ends(service, notified)
