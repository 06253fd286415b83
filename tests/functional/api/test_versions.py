# SPDX-License-Identifier: Apache-2.0
"""Versions, headers, request ids and errors of every request."""

import re
import uuid

from minova.api.http import microversion
from tests.functional.api import base
from tests.functional.api.base import LATEST

_REQUEST_ID = re.compile('req-[0-9a-f-]{36}')


class VersionsTest(base.ApiTestCase):
    """The version documents."""

    hosts = ()

    def test_root_needs_no_token(self):
        reply = self.anonymous.get('/')
        self.assertEqual(200, reply.status)
        old, version = reply.body['versions']
        self.assertEqual(
            {
                'id': 'v2.0',
                'status': 'DEPRECATED',
                'version': '',
                'min_version': '',
                'updated': '2011-01-21T11:33:21Z',
                'links': [
                    {'rel': 'self', 'href': 'http://falconframework.org/v2/'}
                ],
            },
            old,
        )
        self.assertEqual('v2.1', version['id'])
        self.assertEqual('CURRENT', version['status'])
        self.assertEqual('2.1', version['min_version'])
        self.assertEqual(LATEST, version['version'])
        (link,) = version['links']
        self.assertEqual('self', link['rel'])
        self.assertEqual('http://falconframework.org/v2.1/', link['href'])

    def test_version_needs_no_token(self):
        for path in ('/v2.1', '/v2.1/'):
            reply = self.anonymous.get(path)
            self.assertEqual(200, reply.status)
            version = reply.body['version']
            self.assertEqual(LATEST, version['version'])
            self.assertEqual(
                'application/json', version['media-types'][0]['base']
            )
            self.assertEqual(
                ['self', 'describedby'],
                [link['rel'] for link in version['links']],
            )

    def test_version_by_id(self):
        for path in ('/versions/', '/v2.1/versions/', '/v2/versions/'):
            for name in ('v2.0', 'v2.1'):
                reply = self.anonymous.request('GET', path + name)
                self.assertEqual(200, reply.status, path)
                self.assertEqual(name, reply.body['version']['id'])
            reply = self.user.request('GET', f'{path}v3.0')
            self.assert_refused(404, 'could not be found', reply)

    def test_links_of_all_versions_work(self):
        listed = self.anonymous.get('/').body['versions']
        for one in listed:
            path = one['links'][0]['href'].removeprefix(
                'http://falconframework.org'
            )
            reply = self.anonymous.request('GET', path)
            shown = reply.body['version']
            self.assertEqual(one['links'], shown['links'][:1])
            self.assertEqual(one['version'], shown['version'])
            (media,) = shown['media-types']
            self.assertEqual(
                'application/vnd.openstack.compute+json;version='
                + {'v2.0': '2', 'v2.1': '2.1'}[one['id']],
                media['type'],
            )

    def test_link_prefix_option_sets_links(self):
        self.config(
            'api', compute_link_prefix='https://cloud.example/compute/'
        )
        reply = self.anonymous.get('/v2.1')
        self.assertEqual(
            'https://cloud.example/compute/v2.1/',
            reply.body['version']['links'][0]['href'],
        )

    def test_unknown_path_is_404(self):
        for path in ('/nothing', '/servers/a/b/c', '/v2.1/os-nothing'):
            reply = self.user.get(path)
            self.assert_refused(404, 'could not be found', reply)
            self.assertEqual(['itemNotFound'], list(reply.body))

    def test_wrong_method_is_405_with_allow(self):
        reply = self.user.request('PATCH', '/servers')
        self.assertEqual(['badMethod'], list(reply.body))
        self.assert_refused(405, 'not allowed', reply)
        self.assertIn('GET', reply.headers['Allow'])
        self.assertIn('POST', reply.headers['Allow'])
        self.assertNotIn('PATCH', reply.headers['Allow'])


class LegacyTest(base.ApiTestCase):
    """/v2: no microversions, and unknown fields are ignored."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.new = self.user.at_version(LATEST)

    def request(self, method, path, body=None):
        return self.new.request(method, f'/v2{path}', body)

    def test_no_microversion(self):
        uuid = self.boot(wait=False)
        for path in ('', '/22222222bbbbbbbb'):
            reply = self.request('GET', f'{path}/servers/{uuid}')
            self.assertEqual(200, reply.status, reply.body)
            shown = reply.body['server']
            self.assertNotIn('tags', shown)
            self.assertEqual(
                f'http://falconframework.org/v2{path}/servers/{uuid}',
                shown['links'][0]['href'],
            )
            self.assertNotIn('OpenStack-API-Version', reply.headers)
        reply = self.request('GET', f'/servers/{uuid}/tags')
        self.assert_refused(404, 'could not be found', reply)

    def test_unknown_fields_are_ignored(self):
        server = self.server(x=1, metadata={'a': 'b', 'c/d': 'e'})
        server['networks'] = []
        reply = self.request('POST', '/servers', {'server': server, 'y': 2})
        self.assertEqual(202, reply.status, reply.body)
        uuid = reply.body['server']['id']
        self.assertEqual({'a': 'b'}, self.show(uuid)['metadata'])
        self.assertEqual(
            400, self.user.post('/servers', {'server': server}).status
        )
        reply = self.request('POST', '/servers', {'server': {'name': 'x'}})
        self.assert_refused(400, 'lacks', reply)

    def test_unknown_fields_of_actions(self):
        uuid = self.boot(wait=False)
        body = {'reboot': {'type': 'HARD', 'x': 1}}
        reply = self.request('POST', f'/servers/{uuid}/action', body)
        self.assert_refused(409, "Cannot 'reboot' instance", reply)

    def test_no_token(self):
        reply = self.anonymous.request('GET', '/v2/servers')
        self.assertEqual(401, reply.status)


class MicroversionTest(base.ApiTestCase):
    """The microversion of a request."""

    hosts = ()

    def effective_version(self, **headers):
        """Return the version of the reply."""
        named = {k.replace('_', '-'): v for k, v in headers.items()}
        reply = self.user.get('/servers', headers=named)
        self.assertEqual(200, reply.status, reply.body)
        both = reply.headers['OpenStack-API-Version']
        legacy = reply.headers['X-OpenStack-Nova-API-Version']
        self.assertEqual(f'compute {legacy}', both)
        self.assertIn('OpenStack-API-Version', reply.headers['Vary'])
        self.assertIn('X-OpenStack-Nova-API-Version', reply.headers['Vary'])
        return legacy

    def test_default_is_the_first(self):
        self.assertEqual('2.1', self.effective_version())

    def test_new_header(self):
        self.assertEqual(
            '2.53',
            self.effective_version(OpenStack_API_Version='compute 2.53'),
        )

    def test_new_header_with_other_services(self):
        header = 'identity 3.1, compute 2.7,volume 3.50'
        self.assertEqual(
            '2.7', self.effective_version(OpenStack_API_Version=header)
        )

    def test_header_for_another_service(self):
        self.assertEqual(
            '2.1', self.effective_version(OpenStack_API_Version='volume 3.50')
        )

    def test_header_precedence(self):
        self.assertEqual(
            '2.11', self.effective_version(X_OpenStack_Nova_API_Version='2.11')
        )
        self.assertEqual(
            '2.12',
            self.effective_version(
                X_OpenStack_Nova_API_Version='2.11',
                OpenStack_API_Version='compute 2.12',
            ),
        )

    def test_latest(self):
        self.assertEqual(
            LATEST,
            self.effective_version(OpenStack_API_Version='compute latest'),
        )

    def test_outside_of_the_range_is_406(self):
        above = f'2.{microversion.MAXIMUM + 1}'
        for wanted in (above, '2.0', '3.1', '1.9'):
            reply = self.user.at_version(wanted).get('/servers')
            self.assert_refused(
                406,
                f'Version {wanted} is not supported by the API. Minimum is '
                f'2.1 and maximum is {LATEST}.',
                reply,
            )
            self.assertEqual(['computeFault'], list(reply.body))

    def test_malformed_is_400(self):
        for wanted in ('2', 'abc', '2.1.1', '2.01', '2.', '-2.1', '2.1x', ''):
            reply = self.user.at_version(wanted).get('/servers')
            self.assert_refused(400, 'is of invalid format', reply)

    def test_endpoint_before_its_version_is_404(self):
        server = str(uuid.uuid4())
        for version, path in (
            ('2.25', f'/servers/{server}/tags'),
            ('2.22', f'/servers/{server}/migrations'),
        ):
            reply = self.user.at_version(version).get(path)
            self.assert_refused(404, 'could not be found', reply)

    def test_endpoint_after_its_last_version_is_404(self):
        reply = self.admin.at_version('2.53').get('/os-hypervisors/a/search')
        self.assert_refused(404, 'could not be found', reply)


class RequestIdTest(base.ApiTestCase):
    """Request ids, which connect a reply with the logs."""

    hosts = ()

    def test_every_reply_has_a_new_one(self):
        replies = [
            self.user.get('/servers'),
            self.anonymous.get('/servers'),
            self.user.get('/nothing'),
            self.user.at_version('9.9').get('/servers'),
            self.anonymous.get('/'),
        ]
        seen = set()
        for reply in replies:
            number = reply.headers['X-OpenStack-Request-ID']
            self.assertTrue(_REQUEST_ID.fullmatch(number), number)
            self.assertEqual(number, reply.headers['X-Compute-Request-ID'])
            seen.add(number)
        self.assertEqual(len(replies), len(seen))
        for reply in replies:
            self.assertEqual('application/json', reply.headers['Content-Type'])

    def test_client_request_id_is_logged(self):
        self.make_flavor()
        given = f'req-{uuid.uuid4()}'
        reply = self.user.post(
            '/servers',
            {'server': self.server()},
            headers={'X-OpenStack-Request-ID': given},
        )
        own = reply.headers['X-OpenStack-Request-ID']
        self.assertNotEqual(given, own)
        (operation,) = self.cloud.operations(reply.body['server']['id'])
        self.assertEqual(own, operation.request_id)
        self.assertEqual(given, operation.context['global_request_id'])

    def test_malformed_request_id_is_ignored(self):
        self.make_flavor()
        reply = self.user.post(
            '/servers',
            {'server': self.server()},
            headers={'X-OpenStack-Request-ID': 'req-1 OR 1=1'},
        )
        (operation,) = self.cloud.operations(reply.body['server']['id'])
        self.assertIsNone(operation.context['global_request_id'])


class ProjectInUrlTest(base.ApiTestCase):
    """The project in the URL."""

    hosts = ()

    def test_own_project(self):
        self.make_flavor()
        uuid_ = self.boot(wait=False)
        project = self.user.token.partition(':')[2]
        reply = self.user.get(f'/{project}/servers/{uuid_}')
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual(
            f'http://falconframework.org/v2.1/{project}/servers/{uuid_}',
            reply.body['server']['links'][0]['href'],
        )

    def test_links_without_project(self):
        self.make_flavor()
        uuid_ = self.boot(wait=False)
        self.assertEqual(
            [
                f'http://falconframework.org/v2.1/servers/{uuid_}',
                f'http://falconframework.org/servers/{uuid_}',
            ],
            [link['href'] for link in self.show(uuid_)['links']],
        )

    def test_another_project_is_400_for_administrators_too(self):
        for client in (self.user, self.admin):
            reply = client.get('/33333333cccccccc/servers')
            self.assert_refused(
                400, "URL's project_id '33333333cccccccc' doesn't", reply
            )

    def test_invalid_project_is_404(self):
        reply = self.user.get('/nothing-known/servers')
        self.assert_refused(404, 'could not be found', reply)


class UnauthenticatedTest(base.ApiTestCase):
    """Without a token only the version documents are visible."""

    hosts = ()

    def test_no_token_is_401_with_auth_url(self):
        reply = self.anonymous.get('/servers')
        self.assert_refused(401, 'requires authentication', reply)
        self.assertEqual(['unauthorized'], list(reply.body))
        self.assertEqual(
            'Keystone uri="http://falconframework.org/identity/v3"',
            reply.headers['WWW-Authenticate'],
        )

    def test_invalid_token_is_401(self):
        for token in ('user', 'user:', ':project', 'a:b:c'):
            client = base.Client(self.http, token)
            self.assert_refused(401, 'requires', client.get('/servers'))

    def test_unknown_url_without_token_is_401(self):
        self.assert_refused(401, 'requires', self.anonymous.get('/nothing'))
