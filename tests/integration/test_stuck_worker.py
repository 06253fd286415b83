# SPDX-License-Identifier: Apache-2.0
"""Workers that are stuck in C code, frozen, or slow to stop."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from tests import base
from tests.fixtures import processes
from tests.fixtures.servers import process

_FIXTURES = pathlib.Path(processes.__file__).parent
#: Seconds for the end of a process, beyond its graceful_shutdown_timeout.
_MARGIN = 20
#: A service whose stop takes longer than any test, or that cannot start.
_SERVICE = """
import sys
from minova import clock
from minova import exception
from minova import service

class Service:
    def start(self):
        if sys.argv[3] == 'invalid':
            raise exception.ConfigInvalid(reason='unusable')

    def stop(self):
        if sys.argv[3] == 'slow':
            clock.sleep(3600)

service.configure(['--config-file', sys.argv[1]], 'test')
sys.exit(service.run('test', Service, int(sys.argv[2]), 'is ready'))
"""


class StuckWorkerTest(base.TestCase):
    """The master acts for a worker that cannot act."""

    def setUp(self):
        super().setUp()
        url = f'sqlite:///{os.path.join(self.directory, "minova.sqlite")}'
        database = engine.connect(CONF, url)
        migrate.sync(database)
        database.dispose()
        self.cluster = self.useFixture(
            processes.Cluster('memory://', url, self.directory)
        )

    def start(self, module, conductor=None, **options):
        """Start a service whose worker ``make_stuck`` blocks."""
        usual = os.environ.get('PYTHONPATH', '')
        environment = {
            'PYTHONPATH': f'{_FIXTURES}/stuck{os.pathsep}{usual}',
            'MINOVA_TEST_STUCK': self.trigger(module),
        }
        arguments = ()
        if module == 'allinone':
            arguments = (
                f'--data-dir={self.directory}/allinone',
                '--hypervisor=fake',
                '--port=0',
            )
        service = self.cluster.start(
            module,
            module,
            wait=False,
            arguments=arguments,
            environment=environment,
            DEFAULT=options,
            conductor=conductor or {},
            vnc={'novncproxy_port': 0},
        )
        service.wait_for('is starting')
        return service

    def trigger(self, module):
        return os.path.join(self.directory, f'{module}.stuck')

    def make_stuck(self, service):
        """Block one worker in C code; return its process id."""
        pathlib.Path(self.trigger(service.name.partition('-')[0])).touch()
        service.wait_for('is stuck now')
        return int(re.search(r'Worker (\d+) is stuck', service.log_text())[1])

    def assert_ends(self, service, code):
        began = time.monotonic()
        self.assertEqual(code, service.terminate())
        self.assertLess(time.monotonic() - began, 2 + _MARGIN)

    def assert_ends_when_stuck(self, module):
        service = self.start(
            module, graceful_shutdown_timeout=2, worker_timeout=300
        )
        pid = self.make_stuck(service)
        self.assert_ends(service, 1)
        self.assertIn(
            f'Worker {pid} did not stop within graceful_shutdown_timeout; '
            'killing it',
            service.log_text(),
        )

    def test_api_ends(self):
        self.assert_ends_when_stuck('api')

    def test_conductor_ends(self):
        self.assert_ends_when_stuck('conductor')

    def test_compute_ends(self):
        self.assert_ends_when_stuck('compute')

    def test_novncproxy_ends(self):
        self.assert_ends_when_stuck('novncproxy')

    def test_allinone_ends(self):
        self.assert_ends_when_stuck('allinone')

    def test_stuck_worker_is_replaced(self):
        service = self.start('conductor', worker_timeout=2)
        pid = self.make_stuck(service)
        service.wait_for('is starting', times=2)
        self.assertIn(
            f'Worker {pid} has not responded for 2 s; killing it',
            service.log_text(),
        )
        self.assertFalse(process.is_alive(pid))
        service.wait_for('is ready')
        self.assert_ends(service, 0)

    def test_one_of_two_workers_is_replaced(self):
        service = self.start(
            'conductor', conductor={'workers': 2}, worker_timeout=2
        )
        service.wait_for('is ready', times=2)
        pid = self.make_stuck(service)
        service.wait_for('is starting', times=3)
        self.assertFalse(process.is_alive(pid))
        self.assertEqual(3, len(process.tree(service.pid)))
        self.assert_ends(service, 0)

    def test_frozen_worker_is_not_replaced(self):
        service = self.start('conductor', worker_timeout=1)
        service.wait_for('is ready')
        (pid,) = set(process.tree(service.pid)) - {service.pid}
        process.freeze([pid])
        time.sleep(4)
        process.send([pid], signal.SIGCONT)
        time.sleep(0.5)
        self.assertEqual([service.pid, pid], process.tree(service.pid))
        self.assert_ends(service, 0)

    def test_stuck_worker_without_master_ends(self):
        service = self.start('conductor', worker_timeout=2)
        pid = self.make_stuck(service)
        process.send([service.pid], signal.SIGKILL)
        self.assertEqual([], process.wait_gone([pid], 60))

    def test_frozen_worker_ends(self):
        service = self.start('conductor', graceful_shutdown_timeout=1)
        (pid,) = set(process.tree(service.pid)) - {service.pid}
        process.freeze([pid])
        self.assert_ends(service, 1)


class ExitCodeTest(base.TestCase):
    """The exit code is the same for any number of workers."""

    def start(self, kind, workers):
        """Start a service; return its process."""
        path = os.path.join(self.directory, 'test.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('[DEFAULT]\ngraceful_shutdown_timeout = 1\n')
        started = subprocess.Popen(
            [sys.executable, '-c', _SERVICE, path, str(workers), kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.addCleanup(started.stdout.close)
        self.addCleanup(process.send, [started.pid], signal.SIGKILL)
        return started

    def exit_code(self, kind, workers):
        """Terminate a service when it is ready; return its exit code."""
        service = self.start(kind, workers)
        lines = iter(service.stdout.readline, b'')
        for _ in range(workers):
            self.assertIn(b'is ready\n', lines)
        service.terminate()
        return service.wait(1 + _MARGIN)

    def test_stop(self):
        self.assertEqual(0, self.exit_code('usual', 1))
        self.assertEqual(0, self.exit_code('usual', 2))

    def test_slow_stop(self):
        self.assertEqual(1, self.exit_code('slow', 1))
        self.assertEqual(1, self.exit_code('slow', 2))

    def test_invalid_configuration(self):
        for workers in (1, 2):
            service = self.start('invalid', workers)
            self.assertEqual(2, service.wait(_MARGIN))
            self.assertIn(
                b'test: Configuration error: unusable', service.stdout.read()
            )
