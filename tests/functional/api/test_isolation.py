# SPDX-License-Identifier: Apache-2.0
"""A project reaches nothing of another one, by any endpoint or action.

The endpoints and the bodies are those of the application, so that a new one
is here without a change of the test.
"""

import json
import random

from tests.functional.api import base
from tests.fuzz import endpoints
from tests.fuzz.values import KEY
from tests.fuzz.values import Values

_TEXT = 'only-for-its-owner'
_NEWEST = 'latest'


class IsolationTest(base.ApiTestCase):
    """Two members; the first has a server, a key and a flavor."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_network()
        self.make_flavor('theirs', **{'os-flavor-access:is_public': False})
        owner = {'tenant': base.USER.partition(':')[2]}
        self.admin.post('/flavors/theirs/action', {'addTenantAccess': owner})
        self.user = self.user.at_version(_NEWEST)
        self.uuid = self.boot(
            self.user,
            wait=False,
            networks='auto',
            name=_TEXT,
            description=_TEXT,
            metadata={'a': _TEXT},
            tags=[_TEXT],
        )
        key = {'name': _TEXT, 'type': 'ssh', 'public_key': KEY}
        reply = self.user.post('/os-keypairs', {'keypair': key})
        self.assertEqual(201, reply.status, reply.body)
        self.before = self.rows()

    def rows(self):
        """Return the server as its owner sees it, with its history."""
        history = f'/servers/{self.uuid}/os-instance-actions'
        return self.show(self.uuid, self.user), self.user.get(history).body

    def version(self, endpoint):
        return f'2.{endpoint.until}'

    def path(self, endpoint):
        (action,) = self.before[1]['instanceActions'][:1]
        names = dict.fromkeys(endpoint.params, '1') | {
            'server_id': self.uuid,
            'flavor_id': 'theirs',
            'name': _TEXT,
            'tag': _TEXT,
            'key': 'a',
            'network': 'private',
            'request_id': action['request_id'],
            'project_id': base.USER.partition(':')[2],
        }
        return endpoint.path.removeprefix('/v2.1').format(**names)

    def send(self, client, endpoint):
        """Send a valid request: the reply is not about its form."""
        client = client.at_version(self.version(endpoint))
        path = self.path(endpoint)
        if not endpoint.bodies:
            return client.request(endpoint.method, path)
        for seed in range(40):
            values = Values(
                random.Random(seed), lambda kind: self.image, 'x', True
            )
            body = values.valid(endpoint.schema(endpoint.until))
            if endpoint.action:
                body.setdefault(endpoint.action, None)
            reply = client.request(endpoint.method, path, body)
            if reply.status != 400:
                break
        return reply

    def found(self, wanted):
        return [
            one
            for one in endpoints.find_endpoints()
            if one.is_compute and wanted(one)
        ]

    def test_every_endpoint_and_action_of_a_server(self):
        rows = self.found(
            lambda one: (
                '{server_id}' in one.path
                # The row of all actions, which are rows too.
                and (one.action or not one.path.endswith('{server_id}/action'))
            )
        )
        for endpoint in rows:
            reply = self.send(self.other, endpoint)
            # Policy may refuse before the server is looked up; what has gone
            # does not look it up.
            self.assertIn(reply.status, (403, 404, 410), endpoint.label)
            self.assertNotIn(_TEXT, json.dumps(reply.body), endpoint.label)
        actions = {one.action for one in rows} - {''}
        self.assertGreaterEqual(len(actions), 17)
        self.assertGreaterEqual(len(rows), 40)
        self.assertEqual(self.before, self.rows())

    def test_every_list_and_every_other_object(self):
        rows = self.found(
            lambda one: '{server_id}' not in one.path and not one.action
        )
        for endpoint in rows:
            if endpoint.method != 'GET':
                continue
            path = self.path(endpoint)
            client = self.other.at_version(self.version(endpoint))
            for query in ('', '?all_tenants=1', '?deleted=1', '?project_id=1'):
                reply = client.get(f'{path}{query}')
                text = json.dumps(reply.body)
                self.assertLess(reply.status, 500, endpoint.label)
                if reply.status < 400:
                    self.assertNotIn(_TEXT, text, endpoint.label)
                    self.assertNotIn(self.uuid, text, endpoint.label)
                    self.assertNotIn('"theirs"', text, endpoint.label)
        self.assertGreaterEqual(len(rows), 24)

    def test_the_objects_of_the_test_are_there(self):
        """Their owner sees what the other member must not see."""
        for path, text in (
            ('/servers/detail', _TEXT),
            (f'/servers/{self.uuid}', _TEXT),
            (f'/servers/{self.uuid}/tags', _TEXT),
            ('/os-keypairs', _TEXT),
            (f'/os-keypairs/{_TEXT}', _TEXT),
            ('/flavors', 'theirs'),
            ('/flavors/theirs', 'theirs'),
        ):
            reply = self.user.get(path)
            self.assertEqual(200, reply.status, path)
            self.assertIn(text, json.dumps(reply.body), path)
            reply = self.other.at_version(_NEWEST).get(path)
            if reply.status == 200:
                self.assertNotIn(text, json.dumps(reply.body), path)

    def test_what_others_own_is_no_reference(self):
        other = self.other.at_version(_NEWEST)
        for values in (
            {'flavorRef': 'theirs'},
            {'key_name': _TEXT},
            {'imageRef': self.private_image()},
        ):
            body = self.server(networks='auto', **values)
            reply = other.post('/servers', {'server': body})
            self.assertEqual(400, reply.status, reply.body)
        self.assertEqual([], self.ids(other))

    def private_image(self):
        owner = base.USER.partition(':')[2]
        return self.image_store.add(visibility='private', owner=owner).id

    def test_project_of_another_one_in_the_url(self):
        """CVE-2012-0030."""
        theirs = base.USER.partition(':')[2]
        for path in (f'/v2.1/{theirs}/servers', f'/v2/{theirs}/servers'):
            reply = self.other.get(path)
            self.assert_refused(400, "doesn't match Context's", reply)
