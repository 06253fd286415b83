# SPDX-License-Identifier: Apache-2.0
"""A delete ends the work that it preempts; it does not wait for its end.

A delete during the stop, resize, cold migration or rescue of a guest that did
not react waited for 60 s, and for 120 s during a soft reboot: the preempted
step checked for an end only after its whole wait.
"""

import time

from minova import states
from tests.functional import base

#: The default time limits of the waits are 60 s and 120 s.
_LIMIT = 5


class DeleteOfWaitingWorkTest(base.FlowTestCase):
    """A guest that ignores every request to shut down."""

    def setUp(self):
        super().setUp()
        self.config(group='fake', shutdown_seconds=3600)

    def begin(self, kind, uuid, **params):
        """Begin an operation that waits for the guest."""
        host = self.cloud.instance(uuid).host
        self.cloud.begin(kind, uuid, wait=False, **params)
        self.cloud.wait_for(
            lambda: (self.cloud.world.guest(host, uuid) or {}).get('off_at')
        )

    def assert_deleted_soon(self, uuid):
        before = time.monotonic()
        self.cloud.delete(uuid)
        self.assertLess(time.monotonic() - before, _LIMIT)
        self.assert_ended(uuid, states.DELETED)
        self.cloud.wait_for(lambda: not self.cloud.world.running(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))

    def check(self, kind, **params):
        uuid = self.cloud.boot(host='a')
        self.begin(kind, uuid, **params)
        self.assert_deleted_soon(uuid)

    def test_stop(self):
        self.check('stop')

    def test_soft_reboot(self):
        self.check('reboot_soft')

    def test_rescue(self):
        self.check('rescue', image=None)

    def test_migrate(self):
        self.check('migrate', host=None)

    def test_resize(self):
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.check('resize', host=None, flavor=big)

    def test_preparation_of_a_live_migration(self):
        self.cloud.world.inject_delay('b', 'pre_live_migration', 15)
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid, wait=False)
        self.cloud.wait_for(
            lambda: 'live_migration.pre.start' in str(self.emitted(uuid))
        )
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED,
            _LIMIT,
        )


class BusyHostTest(base.FlowTestCase):
    """A host that runs as many steps as it may."""

    def setUp(self):
        super().setUp()
        self.config(group='fake', shutdown_seconds=3600)
        self.config(group='compute', max_concurrent_steps=1)
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')

    def test_delete_does_not_queue_behind_the_step_that_it_ends(self):
        first, second = self.cloud.boot(host='a'), self.cloud.boot(host='a')
        self.cloud.begin('stop', first, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.world.guest('a', first).get('off_at')
        )
        self.cloud.begin('stop', second, wait=False)
        before = time.monotonic()
        self.cloud.delete(first)
        self.assertLess(time.monotonic() - before, _LIMIT)
        self.cloud.delete(second)
        self.assertLess(time.monotonic() - before, 2 * _LIMIT)
