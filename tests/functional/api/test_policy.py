# SPDX-License-Identifier: Apache-2.0
"""Every endpoint checks its rule, and a policy file applies."""

import os

from minova import policy
from minova.api import app
from minova.api.http import microversion
from minova.db import tables
from minova.identity import routes as identity_routes
from minova.images import routes as image_routes
from minova.network import routes as network_routes
from minova.policy import defaults
from tests.functional.api import base


def _version(route):
    return f'2.{route.since}'


class RulesTest(base.ApiTestCase):
    """Endpoints for administrators are forbidden for others."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)

    def path(self, route):
        return route.path.format(
            server_id=self.uuid,
            flavor_id='small',
            service_id='1',
            hypervisor_id='1',
            migration_id='1',
            aggregate_id='1',
            project_id='22222222bbbbbbbb',
            class_name='default',
            request_id='req-1',
            network='private',
            network_id='1',
            key='a',
            tag='a',
            console_token='a',
            host_name='a',
            image_id='a',
            before_timestamp='a',
        )

    def test_endpoints_of_administrators(self):
        checked = 0
        for route in app.ROUTES:
            if policy.DEFAULTS.get(route.rule) != defaults.ADMIN:
                continue
            checked += 1
            client = self.user.at_version(_version(route))
            body = {} if route.body else None
            if route.is_server_route and body is not None:
                continue
            reply = client.request(route.method, self.path(route), body)
            self.assert_refused(
                403,
                f"Policy doesn't allow {route.rule} to be performed. By "
                'default it is allowed for administrators.',
                reply,
            )
            self.assertEqual(['forbidden'], list(reply.body))
            admin = self.admin.at_version(_version(route))
            reply = admin.request(route.method, self.path(route), body)
            self.assertNotEqual(403, reply.status, route)
        self.assertGreater(checked, 20)

    def test_every_rule_is_registered_and_every_route_known(self):
        names = {rule.name for rule in policy.list_rules()}
        for route in app.ROUTES:
            if route.rule is not None:
                self.assertIn(route.rule, names)

    def test_requests_that_rules_name_exist(self):
        known = {(route.method, route.path) for route in app.ROUTES}
        known |= {
            (name[3:].upper(), '/' + template.split('/', 2)[2])
            for module in (image_routes, network_routes, identity_routes)
            for template, resource in module.routes(None)
            if template.count('/') > 1
            for name in dir(resource)
            if name.startswith('on_')
        }
        for rule in policy.list_rules():
            for operation in getattr(rule, 'operations', ()):
                path = operation['path'].partition(' ')[0]
                path = path.replace('{action}', '{service_id}')
                path = path.replace('{pattern}', '{hypervisor_id}')
                self.assertIn((operation['method'], path), known, rule.name)

    def test_unscoped_token_sees_nothing(self):
        # The embedded identity's unscoped token.
        class Unscoped:
            def authenticate(self, req):
                return {'user_id': 'u', 'project_id': None, 'roles': []}

        (auth,) = [
            m.__self__
            for m in self.app._middleware[0]
            if type(m.__self__).__name__ == 'AuthMiddleware'
        ]
        auth._strategy = Unscoped()
        for path in ('/servers', f'/servers/{self.uuid}', '/flavors'):
            reply = self.user.get(path)
            self.assert_refused(
                403, 'needs a token with a project scope', reply
            )
        self.assertEqual(200, self.user.get('/').status)


class PolicyFileTest(base.ApiTestCase):
    """policy.yaml."""

    hosts = ()

    def override(self, *lines):
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w') as file:
            file.write('\n'.join(lines))
        self.config('oslo_policy', policy_file=path)
        self.restart_api()

    def test_relaxed_rule(self):
        self.assertEqual(403, self.user.get('/os-services').status)
        self.override('"os_compute_api:os-services:list": "role:member"')
        self.assertEqual(200, self.user.get('/os-services').status)
        self.assertEqual(403, self.user.get('/os-hypervisors').status)

    def test_restricted_rule(self):
        self.override('"os_compute_api:servers:create": "role:builder"')
        self.make_flavor()
        reply = self.user.post('/servers', {'server': self.server()})
        self.assert_refused(403, 'os_compute_api:servers:create', reply)

    def test_admin_rule(self):
        self.make_flavor()
        uuid = self.boot(wait=False)
        reply = self.other.get(f'/servers/{uuid}')
        self.assertEqual(404, reply.status)
        self.override('"context_is_admin": "role:admin or user_id:other"')
        self.assertEqual(200, self.other.get(f'/servers/{uuid}').status)

    def test_attributes_may_be_shown_to_users(self):
        self.make_flavor()
        uuid = self.boot(wait=False)
        tables_ = tables.instances
        self.cloud.database.write(
            lambda c: c.execute(tables_.update().values(host='a'))
        )
        self.override(
            '"os_compute_api:os-extended-server-attributes": "@"',
            '"os_compute_api:servers:show:flavor-extra-specs": "!"',
        )
        latest = microversion.to_string(microversion.MAXIMUM)
        shown = self.show(uuid, self.user.at_version(latest))
        self.assertEqual('a', shown['OS-EXT-SRV-ATTR:host'])
        self.assertNotIn('extra_specs', shown['flavor'])
        (listed,) = (
            self.user.at_version(latest).get('/servers/detail').body['servers']
        )
        self.assertEqual('a', listed['OS-EXT-SRV-ATTR:host'])
