# SPDX-License-Identifier: Apache-2.0
"""The clients of the fuzz."""

from tests import base
from tests.fuzz.clients import Caller


class RevokedTokenTest(base.TestCase):
    """A request of the fuzz has revoked the token of a caller."""

    def test_another_token(self):
        caller = Caller('http://cloud', 'member', 'project')
        sent = []

        def send(method, path, body, **headers):
            if path.endswith('/auth/tokens'):
                token = {'X-Subject-Token': f'token-{len(sent)}'}
                return 201, token, {'token': {}}
            sent.append(caller.client.token)
            return 401 if len(sent) == 1 else 201, {}, {'id': 'image'}

        caller.client._send = send
        caller.log_in()
        made = caller.client.make('/image/v2/images', {}, None)
        self.assertEqual('image', made['id'])
        self.assertEqual(['token-0', 'token-1'], sent)
