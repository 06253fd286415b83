# SPDX-License-Identifier: Apache-2.0
"""A live migration that had succeeded ended as one that was rolled back.

The guest ran at the destination and the instance was free, but the source
could not remove its old definition until the operation's deadline. The
operation then announced a rollback, set the record of the migration from
``completed`` to ``error`` and never released the resources of the source. An
operation that owns nothing any more has no deadline: its step is retried.
"""

import datetime

from minova import clock
from minova.db.queries import migrations
from minova.db.queries import operations
from tests import base
from tests.fixtures.cloud import Cloud


class LateSourceCleanupTest(base.TestCase):
    """The source cleans up after the deadline."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.uuid = self.cloud.boot(host='a')

    def operation(self):
        return self.cloud.operations(self.uuid)[-1]

    def migration(self):
        return self.cloud.read(
            migrations.get_by_operation, self.operation().id
        )

    def step(self):
        steps = self.cloud.read(operations.list_steps, self.operation().id)
        return next(step for step in steps if step.method == 'live_migration')

    def test_operation_ends_as_done(self):
        self.cloud.world.inject_fault('a', 'destroy', 'device busy', times=3)
        self.cloud.begin('live_migrate', self.uuid, wait=False)
        self.cloud.wait_for(lambda: self.step().attempts)
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda c: operations.update(
                c, self.operation().id, {'deadline': past}
            )
        )
        self.assertEqual('completed', self.migration().status)
        self.cloud.wait_for(lambda: self.operation().finished_at)
        self.assertEqual('done', self.operation().state)
        self.assertEqual('completed', self.migration().status)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))
        self.assertEqual(
            {'b'}, {h for h, _ in self.cloud.allocations(self.uuid)}
        )
        emitted = {n.event_type for n in self.cloud.notifications(self.uuid)}
        self.assertFalse(
            {name for name in emitted if 'rollback' in name}, emitted
        )
