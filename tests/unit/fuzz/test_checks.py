# SPDX-License-Identifier: Apache-2.0
"""The fuzz notices what is wrong with a reply."""

import json

from minova.conf import CONF
from minova.policy import Policy
from tests import base
from tests.fuzz import checks
from tests.fuzz.endpoints import Endpoint
from tests.fuzz.framing import Request
from tests.fuzz.raw_http import Reply

_SERVER = Endpoint(
    'GET', '/v2.1/servers/{server_id}', rule='os_compute_api:servers:show'
)
_SERVICES = Endpoint(
    'GET', '/v2.1/os-services', rule='os_compute_api:os-services:list'
)
_IDS = {'x-openstack-request-id': 'req-1', 'content-type': 'application/json'}
_REFUSED = b'{"forbidden": {"code": 403, "message": "no"}}'


class Pools:
    """The member of project a, and one text of project b."""

    def creds(self, actor):
        roles = ['member', 'reader']
        if actor == 'admin':
            roles.append('admin')
        return {'user_id': 'u', 'project_id': 'a', 'roles': roles}

    def secrets(self):
        return [b'the-token']

    def foreign_texts(self, actor):
        return [('b', b'fzmarkb')] if actor == 'member' else []

    def is_shared(self, request):
        return False


class ChecksTest(base.TestCase):
    """One error of a reply at a time."""

    def setUp(self):
        super().setUp()
        self.checks = checks.Checks(Policy(CONF), Pools(), 5)

    def find(
        self,
        status=403,
        body=_REFUSED,
        endpoint=_SERVER,
        actor='member',
        seconds=0.1,
        headers=_IDS,
        **more,
    ):
        target = endpoint.path.format(server_id='1')
        request = Request(
            1, actor, endpoint, endpoint.method, target, [], **more
        )
        reply = Reply(status, headers, body, seconds)
        return ' '.join(self.checks.find(request, reply, 'token'))

    def test_nothing(self):
        self.assertEqual('', self.find())
        self.assertEqual('', self.find(200, b'{"server": {}}'))
        services = b'{"services": []}'
        self.assertEqual('', self.find(200, services, _SERVICES, 'admin'))
        unavailable = {'serviceUnavailable': {'code': 503, 'message': 'x'}}
        self.assertEqual('', self.find(503, json.dumps(unavailable).encode()))

    def test_server_error(self):
        fault = {'computeFault': {'code': 500, 'message': 'x'}}
        self.assertIn('500', self.find(500, json.dumps(fault).encode()))
        self.assertIn('closed', self.find(0))
        self.assertEqual('', self.find(0, may_close=True))

    def test_slow_reply(self):
        self.assertIn('took 5.1 s', self.find(seconds=5.1))

    def test_form(self):
        self.assertIn('no JSON', self.find(403, b'{'))
        self.assertIn('no JSON', self.find(200, b'{"a": NaN}'))
        self.assertIn('form', self.find(403, b'{"error": "x"}'))
        self.assertIn('no body', self.find(403, b''))
        self.assertIn('a body', self.find(204, b'x'))
        text = {**_IDS, 'content-type': 'text/html'}
        self.assertIn('text/html', self.find(headers=text))

    def test_secrets(self):
        for text in ('Traceback', 'sqlalchemy', 'the-token', 'fzsecret1'):
            body = json.dumps({'server': {'a': text}}).encode()
            self.assertIn('contains', self.find(200, body), text)

    def test_header_of_a_user(self):
        headers = {**_IDS, 'set-cookie': 'evil=1'}
        self.assertIn('header', self.find(headers=headers))

    def test_permissions(self):
        ok = b'{"server": {}}'
        self.assertIn('needs a token', self.find(200, ok, actor='anonymous'))
        self.assertIn('policy', self.find(200, ok, _SERVICES))
        self.assertIn('another project', self.find(200, ok, is_foreign=True))

    def test_another_project(self):
        body = b'{"server": {"name": "fzmarkb-1"}}'
        self.assertIn('of project b', self.find(200, body))
        self.assertEqual('', self.find(200, body, actor='admin'))
        asked = [('X-Name', 'fzmarkb')]
        request = Request(1, 'member', _SERVER, 'GET', '/v2.1/x', asked)
        reply = Reply(200, _IDS, body, 0.1)
        self.assertEqual([], self.checks.find(request, reply, 'token'))
