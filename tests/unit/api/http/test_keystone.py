# SPDX-License-Identifier: Apache-2.0
"""Tokens of Keystone, and Keystone away."""

import datetime
import socket
import sys
import time

from keystoneauth1 import fixture as tokens
from keystoneauth1 import loading
from keystonemiddleware import fixture

from minova import exception
from minova.api.http import keystone
from minova.conf import CONF
from tests.unit.api.http.test_auth import AuthTestCase

#: A port on which no process listens.
_NOWHERE = 'http://127.0.0.1:1'
#: Seconds that distinguish a limit from none, also on a busy machine.
_SOON = 60


def make_token(*roles, project='p', **scope):
    """Return a token of the user ``u``."""
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(1)
    token = tokens.V3Token(
        user_id='u',
        user_name='un',
        user_domain_id='ud',
        user_domain_name='udn',
        expires=expires.replace(tzinfo=None),
        **scope,
    )
    if project:
        token.set_project_scope(
            id=project, name='pn', domain_id='pd', domain_name='pdn'
        )
    for role in roles:
        token.add_role(name=role)
    return token


class KeystoneTestCase(AuthTestCase):
    """An application whose tokens keystonemiddleware validates."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self._unregister)
        self.config('api', auth_strategy='keystone')
        self.options()

    def _unregister(self):
        """Remove required options, which the next test does not set."""
        CONF.reset()
        CONF.unregister_opts(
            loading.get_auth_plugin_conf_options('password'),
            group='keystone_authtoken',
        )

    def options(self, **values):
        """Set options of [keystone_authtoken] as a file does."""
        values = {
            'auth_type': 'password',
            'auth_url': _NOWHERE,
            'username': 'minova',
            'password': 'secret',
            'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        } | values
        self.conf.load_raw_values(group='keystone_authtoken', **values)

    def get(self, path='/v2.1/flavors/x', **headers):
        headers = {k.replace('_', '-'): v for k, v in headers.items()}
        return self.client().simulate_get(path, headers=headers)


class TokenTest(KeystoneTestCase):
    """Keystone answers."""

    def setUp(self):
        super().setUp()
        known = self.useFixture(fixture.AuthTokenFixture())
        self.add = known.add_token

    def test_owner_of_the_token(self):
        self.add(make_token('member', 'admin'), 'good')
        self.get(X_Auth_Token='good')
        (caller,) = self.callers
        self.assertEqual(
            ('u', 'un', 'ud', 'p', 'pn', 'pd', None),
            (
                caller.user_id,
                caller.user_name,
                caller.user_domain_id,
                caller.project_id,
                caller.project_name,
                caller.project_domain_id,
                caller.system_scope,
            ),
        )
        self.assertEqual(['member', 'admin'], caller.roles)
        self.assertIs(True, caller.is_admin)

    def assert_refused(self, result):
        self.assertEqual(401, result.status_code)
        self.assertEqual([], self.callers)
        self.assertEqual(['unauthorized'], list(result.json))
        self.assertEqual(
            f'Keystone uri="{_NOWHERE}"', result.headers['WWW-Authenticate']
        )
        self.assertIn('X-Openstack-Request-Id', result.headers)

    def test_unknown_token(self):
        self.options(www_authenticate_uri=_NOWHERE)
        self.assert_refused(self.get(X_Auth_Token='unknown'))

    def test_no_token(self):
        self.assert_refused(self.get())

    def test_headers_of_the_client_are_ignored(self):
        own = {
            'X_Identity_Status': 'Confirmed',
            'X_User_Id': 'u',
            'X_Roles': 'admin',
        }
        self.assert_refused(self.get(**own))
        self.add(make_token('member'), 'good')
        self.get(X_Auth_Token='good', **own)
        self.assertEqual(['member'], self.callers[0].roles)

    def test_invalid_service_token_is_refused(self):
        self.options(www_authenticate_uri=_NOWHERE)
        self.add(make_token('member'), 'good')
        self.add(make_token('service'), 'service')
        self.assert_refused(
            self.get(X_Auth_Token='good', X_Service_Token='unknown')
        )
        # A service token needs the role.
        self.assert_refused(
            self.get(X_Auth_Token='good', X_Service_Token='good')
        )
        self.get(X_Auth_Token='good', X_Service_Token='service')
        self.assertEqual('u', self.callers[0].user_id)

    def test_token_of_the_system_is_forbidden(self):
        token = make_token('admin', project=None)
        token.set_system_scope()
        self.add(token, 'system')
        for path in ('/os-hypervisors', '/servers', '/os-services'):
            result = self.get(f'/v2.1{path}', X_Auth_Token='system')
            self.assertEqual(403, result.status_code, path)
            self.assertIn('Use a token for a project', result.text)
        token = make_token('admin', project=None)
        token.set_domain_scope(id='d', name='dn')
        self.add(token, 'domain')
        result = self.get('/v2.1/os-hypervisors', X_Auth_Token='domain')
        self.assertEqual(403, result.status_code)

    def test_cache_servers_that_are_away(self):
        self.options(
            memcached_servers='127.0.0.1:1',
        )
        self.add(make_token('member'), 'good')
        self.get(X_Auth_Token='good')
        self.assertEqual('u', self.callers[0].user_id)


class OutageTest(KeystoneTestCase):
    """Keystone does not answer."""

    def assert_unavailable(self):
        began = time.monotonic()
        result = self.get(X_Auth_Token='unseen')
        self.assertLess(time.monotonic() - began, _SOON)
        self.assertEqual(503, result.status_code)
        self.assertEqual(
            {
                'code': 503,
                'message': 'The identity service is unavailable at this '
                'time. Try again later.',
            },
            result.json['serviceUnavailable'],
        )
        self.assertIn('X-Openstack-Request-Id', result.headers)

    def test_connection_refused(self):
        self.assert_unavailable()

    def test_no_answer(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            port = silent.getsockname()[1]
            self.options(
                auth_url=f'http://127.0.0.1:{port}',
                http_connect_timeout='1',
            )
            self.assert_unavailable()

    def test_requests_have_a_limit(self):
        keystone.KeystoneAuth()
        found = CONF.keystone_authtoken
        self.assertEqual(5, found.http_connect_timeout)
        self.assertEqual(1, found.http_request_max_retries)
        self.assertEqual('compute', found.service_type)

    def test_version_documents(self):
        for path in ('/', '/v2.1', '/v2.1/'):
            for headers in ({}, {'X_Auth_Token': 'unseen'}):
                self.assertEqual(200, self.get(path, **headers).status_code)


class ConfigurationTest(KeystoneTestCase):
    """Options that cannot work fail the start."""

    def assert_invalid(self, text):
        error = self.assertRaises(
            exception.ConfigInvalid, keystone.KeystoneAuth
        )
        self.assertIn(text, str(error))

    def hide(self, *modules):
        """Make modules not importable."""
        for name in modules:
            before = sys.modules.get(name)
            sys.modules[name] = None
            self.addCleanup(self._show, name, before)

    def _show(self, name, module):
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module

    def test_missing_middleware(self):
        self.hide('keystonemiddleware.auth_token')
        self.assert_invalid('install the extra minova[keystone]')

    def test_missing_cache_library(self):
        self.hide('memcache', 'bmemcached')
        self.options(memcached_servers='127.0.0.1:11211')
        self.assert_invalid(
            '[keystone_authtoken] memcached_servers needs the package '
            'python-memcached, which is not installed'
        )
        self.options(
            memcached_servers='127.0.0.1:11211',
            memcache_sasl_enabled='true',
        )
        self.assert_invalid('the package python-binary-memcached')

    def test_missing_auth_type(self):
        self.options(auth_type='')
        self.assert_invalid('[keystone_authtoken] auth_type is not set')

    def test_unknown_auth_type(self):
        self.options(auth_type='passphrase')
        self.assert_invalid('[keystone_authtoken]: ')
