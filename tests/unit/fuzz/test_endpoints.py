# SPDX-License-Identifier: Apache-2.0
"""The fuzz knows every endpoint and what it reads."""

from minova.api import app
from minova.api.resources import gone as gone_routes
from minova.api.resources import server_actions
from tests import base
from tests.fuzz import endpoints

#: Endpoints with a body that is no JSON, or with none although they write.
_WITHOUT_SCHEMA = {
    'PUT /identity/v3/projects/{row_id}/users/{user_id}/roles/{role_id}',
    'PUT /image/v2/images/{image_id}/file',
    'PUT /image/v2/images/{image_id}/tags/{tag}',
    'PUT /v2.1/servers/{server_id}/tags/{tag}',
}


class EndpointsTest(base.TestCase):
    """The list is that of the application."""

    def setUp(self):
        super().setUp()
        self.found = endpoints.find_endpoints()
        self.labels = {one.label for one in self.found}

    def test_every_route(self):
        for route in app.ROUTES:
            self.assertIn(f'{route.method} /v2.1{route.path}', self.labels)
        for path in (
            'POST /identity/v3/auth/tokens',
            'PATCH /image/v2/images/{image_id}',
            'GET /network/v2.0/ports/{row_id}',
        ):
            self.assertIn(path, self.labels)

    def test_every_action(self):
        for action in server_actions.ACTIONS:
            label = f'POST /v2.1/servers/{{server_id}}/action {action}'
            self.assertIn(label, self.labels)
        label = 'POST /v2.1/flavors/{flavor_id}/action addTenantAccess'
        self.assertIn(label, self.labels)

    def test_every_body_has_a_schema(self):
        """A new endpoint needs one, or a line above."""
        missing = {
            one.label
            for one in self.found
            if one.method in ('POST', 'PUT', 'PATCH') and not one.bodies
        }
        gone = {f'{one.method} /v2.1{one.path}' for one in gone_routes.ROUTES}
        self.assertEqual(set(), missing - _WITHOUT_SCHEMA - gone)
