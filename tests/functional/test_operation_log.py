# SPDX-License-Identifier: Apache-2.0
"""What the log holds at INFO: operations, and nothing else."""

import re

from minova import clock
from minova.engine import begin
from tests import base
from tests.fixtures.cloud import Cloud

_BEGINS = r'begins: request=req-[-0-9a-f]{36} deadline=[-0-9]{10}T[:0-9]{8}Z'
_ENDS = r'ends: outcome=done duration=\d+\.\d{3}s'


class OperationLogTest(base.TestCase):
    """Two hosts on which everything goes well."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        # A service logs that it is ready after it has registered.
        self.cloud.wait_for(lambda: self.log.output.count(' is ready.') == 3)
        self.known = len(self.log.output)

    def lines(self):
        """Return what has been logged since the services are up."""
        return self.log.output[self.known :].splitlines()

    def test_lines_of_operations(self):
        uuid = self.cloud.boot(host='a')
        self.cloud.begin('live_migrate', uuid)
        self.cloud.wait_for(lambda: self.all_ended(uuid))
        # Heartbeats and sweeps, every half second here, log nothing.
        self.cloud.computes['b'].reconciler.reconcile_soon()
        clock.sleep(1.2)
        expected = [
            re.escape(
                f'Operation {operation.id} {operation.kind} instance={uuid}: '
            )
            + event
            for operation in self.cloud.operations(uuid)
            for event in (_BEGINS, _ENDS)
        ]
        lines = self.lines()
        self.assertEqual(4, len(lines), lines)
        for pattern, line in zip(expected, lines, strict=True):
            self.assertRegex(line, f'^{pattern}$')

    def all_ended(self, uuid):
        return all(
            operation.finished_at for operation in self.cloud.operations(uuid)
        )

    def test_failure_has_its_reason(self):
        uuid = self.cloud.boot(host='a')
        self.known = len(self.log.output)
        self.cloud.world.inject_fault('a', 'shutdown', 'no answer')
        self.cloud.begin('stop', uuid)
        begins, failed, back, ends = (
            line.partition(f' stop instance={uuid}: ')[2]
            for line in self.lines()
        )
        self.assertRegex(begins, f'^{_BEGINS}$')
        self.assertRegex(failed, '^step stop_instance on a failed: .*no answ')
        self.assertRegex(
            back, '^rolls back: stop_instance on a failed: .*no answer'
        )
        self.assertRegex(
            ends,
            r'^ends: outcome=rolled_back duration=\d+\.\d{3}s error: '
            '.*no answer',
        )

    def test_preempted_operation(self):
        uuid = self.cloud.boot(host='a')
        self.known = len(self.log.output)
        self.cloud.world.inject_delay('a', 'shutdown', 2)
        stop = self.cloud.begin('stop', uuid, wait=False).operation
        self.cloud.begin('force_delete', uuid, begin.delete_params)
        delete = self.cloud.operations(uuid)[-1]
        lines = [
            line.partition(f'Operation {stop.id} stop instance={uuid}: ')[2]
            for line in self.lines()
        ]
        self.assertIn(f'is preempted by force_delete {delete.id}', lines)
        self.assertTrue(
            [line for line in lines if line.startswith('ends: outcome=preem')]
        )
