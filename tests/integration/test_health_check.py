# SPDX-License-Identifier: Apache-2.0
"""A service whose thread has ended is started again by its master."""

import os
import signal
import subprocess
import sys

from minova import clock
from tests import base

_SERVICE = """
import sys

from minova import loops, service

loops._CHECK_INTERVAL = 0.1


class Vanishing:
    def start(self):
        self.loop = loops.Loop('vanishing', lambda: sys.exit(0))
        self.loop.start()

    def stop(self):
        self.loop.stop()


service.configure([], 'probe')
sys.exit(service.run('probe', Vanishing))
"""


class HealthCheckTest(base.TestCase):
    """The message names the thread; another worker starts."""

    def test_thread_that_ended(self):
        path = os.path.join(self.directory, 'log')
        with open(path, 'wb') as log:
            process = subprocess.Popen(
                [sys.executable, '-c', _SERVICE],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        until = clock.monotonic() + 60
        while clock.monotonic() < until:
            with open(path) as log:
                text = log.read()
            if text.count('is starting') >= 2:
                break
            clock.sleep(0.1)
        self.assertIn('Health check: ended threads: vanishing', text)
        self.assertGreaterEqual(text.count('is starting'), 2, text)
