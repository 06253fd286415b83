# SPDX-License-Identifier: Apache-2.0
"""The base class of all tests: own configuration, time limit, no leftovers.

A test fails if it leaves a thread behind or exceeds the time limit. A warning
from the code of Minova is an error.
"""

import logging
import threading
import time
import warnings

import fixtures
import futurist._thread
from oslo_config import fixture as config_fixture
import testtools

import minova
from minova import clock
from minova.conf import CONF

#: Seconds after which a test counts as hanging. The limit does not measure
#: speed: a test of ten seconds may take minutes on a busy machine.
TIME_LIMIT = 300
#: Seconds that ending threads get at the end of a test.
_GRACE = 5.0

# The interval in which an idle worker of an RPC server checks whether its
# server has stopped.
futurist._thread.ThreadWorker.MAX_IDLE_FOR = 0.02


class TestCase(testtools.TestCase):
    """The base of all tests."""

    time_limit = TIME_LIMIT

    def setUp(self):
        super().setUp()
        self.addCleanup(self._require_no_threads, set(threading.enumerate()))
        self.useFixture(fixtures.Timeout(self.time_limit, gentle=True))
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        self.addCleanup(self._warnings.__exit__, None, None, None)
        warnings.filterwarnings('error', module=r'minova(\.|$)')
        self.conf = self.useFixture(config_fixture.Config(CONF))
        self.conf.conf([], project='minova', default_config_files=[])
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.config(state_path=self.directory)
        # Otherwise each test would probe KVM with a guest.
        self.config(group='libvirt', virt_type='qemu')
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def config(self, group=None, **values):
        """Set options until the test ends."""
        self.conf.config(group=group, **values)

    def patch(self, obj, attribute, value):
        """Replace an attribute that exists until the test ends.

        Testtools creates a missing attribute, which hides a rename.
        """
        getattr(obj, attribute)
        super().patch(obj, attribute, value)

    def _require_no_threads(self, before):
        """Fail for threads that the test started and that still run."""
        until = time.monotonic() + _GRACE
        while True:
            left = [t for t in threading.enumerate() if t not in before]
            if not left:
                return
            if time.monotonic() > until:
                names = sorted(thread.name for thread in left)
                self.fail(f'threads are left behind: {names}')
            time.sleep(0.01)


assert minova is not None and clock is not None
