# SPDX-License-Identifier: Apache-2.0
"""Operations whose deadline has passed."""

import datetime

import fixtures

from minova import clock
from minova import states
from minova.context import get_admin_context
from minova.db.queries import operations
from minova.engine import begin
from minova.flows import lifecycle
from tests import base as test_base
from tests.fixtures.cloud import Cloud


class DeadlineTest(test_base.TestCase):
    """Each operation ends, also with a bug in a step."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())

    def begin_in_the_past(self, kind, uuid):
        """Begin an operation whose deadline has passed already."""
        begun = begin.begin(
            self.cloud.database, get_admin_context(), kind, uuid, 'api.api'
        )
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda c: operations.update(
                c, begun.operation.id, {'deadline': past}
            )
        )

    def test_a_step_that_cannot_begin(self):
        uuid = self.cloud.boot(host='a')
        self.useFixture(
            fixtures.MockPatchObject(
                lifecycle.PauseInstance,
                'on_start',
                side_effect=ValueError('x'),
            )
        )
        self.begin_in_the_past('pause', uuid)
        instance = self.cloud.settle(uuid)
        self.assertEqual(states.ACTIVE, instance.vm_state)
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.assertIn(
            'pause did not end before its deadline',
            self.cloud.fault(uuid)['message'],
        )

    def test_a_step_that_cannot_end(self):
        uuid = self.cloud.boot(host='a')
        self.useFixture(
            fixtures.MockPatchObject(
                lifecycle.PauseInstance,
                'on_success',
                side_effect=ValueError('x'),
            )
        )
        self.begin_in_the_past('pause', uuid)
        instance = self.cloud.settle(uuid)
        self.assertIsNone(instance.task_id)

    def test_a_step_that_must_succeed_and_does_not(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_fault('a', 'destroy', 'device busy', times=100)
        begun = begin.begin(
            self.cloud.database,
            get_admin_context(),
            'delete',
            uuid,
            'api.api',
            begin.delete_params,
        )
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        self.assertIn(
            'attempt 1 failed: Instance (any): destroy failed: device busy',
            self.cloud.operations(uuid)[-1].wait_reason,
        )
        past = clock.now() - datetime.timedelta(seconds=1)
        self.cloud.database.write(
            lambda c: operations.update(
                c, begun.operation.id, {'deadline': past}
            )
        )
        instance = self.cloud.settle(uuid)
        self.assertEqual(states.ERROR, instance.vm_state)
        self.assertIn('device busy', self.cloud.fault(uuid)['message'])
        # The request can be repeated.
        self.cloud.world.inject_fault('a', 'destroy', times=0)
        self.cloud.world.store.delete('a/faults/remove')
        self.assertEqual(states.DELETED, self.cloud.delete(uuid).vm_state)
