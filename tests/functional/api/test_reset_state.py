# SPDX-License-Identifier: Apache-2.0
"""os-resetState: who may reset a server, to which state, at any version."""

from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class ResetStateTest(base.ApiTestCase):
    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def reset(self, state, client=None, uuid=None):
        return (client or self.admin).act(
            uuid or self.uuid, 'os-resetState', {'state': state}
        )

    def test_error_and_active(self):
        for version in ('2.1', LATEST):
            client = self.admin.at_version(version)
            for state in ('error', 'active'):
                reply = self.reset(state, client)
                self.assertEqual((202, None), (reply.status, reply.body))
                shown = self.show(self.uuid, self.admin)
                self.assertEqual(state.upper(), shown['status'])
                fault = shown.get('fault', {}).get('message')
                if state == 'error':
                    self.assertIn('reset the state to error', fault)
                else:
                    self.assertIsNone(fault)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        last = self.cloud.operations(self.uuid)[-1]
        self.assertEqual(
            ('reset_state', 'done', 0),
            (last.kind, last.state, last.open_step_count),
        )

    def test_other_states_are_refused(self):
        for content in (
            {'state': 'stopped'},
            {'state': None},
            {'state': 'ACTIVE'},
            {},
            None,
            {'state': 'active', 'force': True},
        ):
            reply = self.admin.act(self.uuid, 'os-resetState', content)
            self.assertEqual(400, reply.status, (content, reply.body))
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_members_are_refused(self):
        reply = self.reset('error', self.user)
        self.assert_refused(
            403, 'os_compute_api:os-admin-actions:reset_state', reply
        )
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_unknown_server(self):
        reply = self.reset('error', uuid=NOWHERE)
        self.assert_refused(404, f'Instance {NOWHERE}', reply)

    def test_locked_server(self):
        self.user.act(self.uuid, 'lock')
        self.assertEqual(202, self.reset('error').status)
