# SPDX-License-Identifier: Apache-2.0
"""The begin of an operation: who is asked, in which order, how often."""

import fixtures

from minova import exception
from minova import states
from minova.engine import begin
from minova.objects.operation_params import NoParams
from tests import base
from tests.fixtures.cloud import Cloud


class BeginTest(base.TestCase):
    """One transaction begins an operation."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(hosts=('a',)))
        self.uuid = self.cloud.boot(host='a')
        self.calls = []
        check = states.check_begin

        def check_begin(kind, row):
            self.calls.append('check')
            return check(kind, row)

        self.useFixture(
            fixtures.MockPatchObject(states, 'check_begin', check_begin)
        )

    def authorize(self, instance):
        self.calls.append('authorize')

    def prepare(self, connection, instance):
        self.calls.append('prepare')
        return NoParams()

    def begin(self, kind):
        return begin.begin(
            self.cloud.database,
            self.cloud.context(),
            kind,
            self.uuid,
            'api.api',
            self.prepare,
            authorize=self.authorize,
        )

    def test_table_is_checked_once(self):
        self.begin('stop')
        self.assertEqual(['authorize', 'check', 'prepare'], self.calls)

    def test_refused_operation_is_not_prepared(self):
        before = self.cloud.instance(self.uuid)
        self.assertRaises(exception.InstanceInvalidState, self.begin, 'start')
        self.assertEqual(['authorize', 'check'], self.calls)
        self.assertEqual(before, self.cloud.instance(self.uuid))
