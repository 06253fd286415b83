# SPDX-License-Identifier: Apache-2.0
"""Each endpoint and action by each kind of caller, from one table.

An endpoint without a row fails. A row has the callers that are allowed and the
status of their reply; all others get 403, or 404 where the thing is of another
project, and 401 without a token.
"""

import dataclasses
import os
from typing import Any
import uuid

import falcon.testing
import orjson

from minova.api import app
from minova.api.http import auth
from minova.api.resources import aggregates
from minova.api.resources import flavor_access
from minova.api.resources import gone
from minova.api.resources import server_actions
from minova.api.resources import versions
from minova.identity import routes as identity_routes
from minova.identity.embedded import Identity
from minova.images import routes as image_routes
from minova.images.embedded import EmbeddedImages
from minova.network import routes as network_routes
from tests.functional.api import base

_PATCH = 'application/openstack-images-v2.1-json-patch'
_KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZgatj1ZD0qlUevOhb/EQhVuXp26TRpBB'
    'dOFRi4eXpv me@home'
)
_IMPLIED = ('admin', 'manager', 'member', 'reader')
#: The roles of callers with a token for the project that owns the things.
_INSIDERS = {
    'auditor': ('cinder_auditor',),
    'reader': ('reader',),
    'member': _IMPLIED[2:],
    'manager': _IMPLIED[1:],
}
#: Those of callers with a token for another project.
_OUTSIDERS = {
    'other': _IMPLIED[2:],
    'other_manager': _IMPLIED[1:],
    'service': ('service',),
}
_SCOPES = {
    'domain_admin': {'domain_id': 'default'},
    'system_admin': {'system_scope': 'all'},
}
#: The callers in the order of a row's requests.
_CALLERS = ('anonymous', *_SCOPES, *_INSIDERS, *_OUTSIDERS, 'admin')

_ALL = frozenset({*_INSIDERS, *_OUTSIDERS, 'admin'})
_READERS = _ALL - {'auditor', 'service'}
_MEMBERS = _READERS - {'reader'}
_MANAGERS = frozenset({'manager', 'other_manager', 'admin'})
_ADMIN = frozenset({'admin'})
_USER = frozenset({'member', 'admin'})
_PROJECT = frozenset({*_INSIDERS, 'admin'})


@dataclasses.dataclass(frozen=True)
class Row:
    """Who is allowed, and what the reply to them is."""

    allowed: frozenset[str] | None
    """The callers; None for all, also without a token."""

    status: int = 200
    body: Any = None
    version: str = '2.1'
    hidden: frozenset[str] = frozenset()
    """Those who do not see the thing: they get 404."""

    headers: tuple = ()

    def get_status(self, caller):
        """Return the expected status for a caller."""
        if self.allowed is None:
            return self.status
        if caller == 'anonymous':
            return 401
        if caller in _SCOPES:
            return 403
        if caller in self.hidden:
            return 404
        return self.status if caller in self.allowed else 403


def _own(allowed, *values, **words):
    return Row(allowed, *values, hidden=frozenset(_OUTSIDERS), **words)


def _own_image(allowed, *values):
    # The rule of the endpoint refuses a service before the image is read.
    hidden = frozenset({'other', 'other_manager'})
    return Row(allowed, *values, hidden=hidden)


_TAGS = {'version': '2.26'}
_IMAGE = '/images/{image_id}'
_SERVER = '/servers/{server_id}'
_FLAVOR = '/flavors/{flavor_id}'
_COMPUTE = {
    'GET /': Row(None),
    'GET /v2': Row(None),
    'GET /v2.1': Row(None),
    'GET /versions/{version_id}': Row(None),
    'GET /v2.1/versions/{version_id}': Row(None),
    'GET /servers': Row(_READERS),
    'GET /servers/detail': Row(_READERS),
    'POST /servers': Row(_MEMBERS, 202, 'server'),
    f'GET {_SERVER}': _own(_READERS),
    f'PUT {_SERVER}': _own(_MEMBERS, 200, {'server': {'name': 'new'}}),
    f'DELETE {_SERVER}': _own(_MEMBERS, 204),
    f'GET {_SERVER}/ips': _own(_READERS),
    f'GET {_SERVER}/ips/{{network}}': _own(_READERS, 404),
    f'POST {_SERVER}/remote-consoles': _own(
        _MEMBERS,
        409,
        {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
        '2.6',
    ),
    'GET /os-console-auth-tokens/{console_token}': Row(
        _ADMIN, 404, version='2.31'
    ),
    f'GET {_SERVER}/os-server-password': _own(_READERS),
    f'DELETE {_SERVER}/os-server-password': _own(_MEMBERS, 204),
    f'GET {_SERVER}/diagnostics': _own(_ADMIN, 409),
    f'GET {_SERVER}/topology': _own(_READERS, version='2.78'),
    f'GET {_SERVER}/metadata': _own(_READERS),
    f'POST {_SERVER}/metadata': _own(_MEMBERS, 200, {'metadata': {'k': 'v'}}),
    f'PUT {_SERVER}/metadata': _own(_MEMBERS, 200, {'metadata': {'k': 'v'}}),
    f'GET {_SERVER}/metadata/{{key}}': _own(_READERS),
    f'PUT {_SERVER}/metadata/{{key}}': _own(
        _MEMBERS, 200, {'meta': {'k': 'v'}}
    ),
    f'DELETE {_SERVER}/metadata/{{key}}': _own(_MEMBERS, 204),
    f'GET {_SERVER}/tags': _own(_READERS, **_TAGS),
    f'PUT {_SERVER}/tags': _own(_MEMBERS, 200, {'tags': ['t']}, **_TAGS),
    f'DELETE {_SERVER}/tags': _own(_MEMBERS, 204, **_TAGS),
    f'GET {_SERVER}/tags/{{tag}}': _own(_READERS, 204, **_TAGS),
    f'PUT {_SERVER}/tags/{{tag}}': _own(_MEMBERS, 204, **_TAGS),
    f'DELETE {_SERVER}/tags/{{tag}}': _own(_MEMBERS, 204, **_TAGS),
    f'GET {_SERVER}/os-instance-actions': _own(_READERS),
    f'GET {_SERVER}/os-instance-actions/{{request_id}}': _own(_READERS, 404),
    f'GET {_SERVER}/os-interface': _own(_READERS),
    f'POST {_SERVER}/os-interface': _own(
        _MEMBERS, 409, {'interfaceAttachment': {}}
    ),
    f'GET {_SERVER}/os-interface/{{port_id}}': _own(_READERS, 404),
    f'DELETE {_SERVER}/os-interface/{{port_id}}': _own(_MEMBERS, 409),
    f'GET {_SERVER}/os-security-groups': _own(_READERS),
    f'GET {_SERVER}/migrations': _own(_MANAGERS, version='2.23'),
    f'GET {_SERVER}/migrations/{{migration_id}}': _own(
        _ADMIN, 404, version='2.23'
    ),
    f'POST {_SERVER}/migrations/{{migration_id}}/action': _own(
        _MANAGERS, 409, {'force_complete': None}, '2.22'
    ),
    f'DELETE {_SERVER}/migrations/{{migration_id}}': _own(
        _MANAGERS, 409, version='2.24'
    ),
    'GET /os-migrations': Row(_MANAGERS),
    'GET /flavors': Row(_ALL),
    'GET /flavors/detail': Row(_ALL),
    'POST /flavors': Row(_ADMIN, 200, 'flavor'),
    f'GET {_FLAVOR}': Row(_ALL),
    f'PUT {_FLAVOR}': Row(
        _ADMIN, 200, {'flavor': {'description': 'new'}}, '2.55'
    ),
    f'DELETE {_FLAVOR}': Row(_ADMIN, 202),
    f'GET {_FLAVOR}/os-flavor-access': Row(_ADMIN, 404),
    f'GET {_FLAVOR}/os-extra_specs': Row(_READERS),
    f'POST {_FLAVOR}/os-extra_specs': Row(
        _ADMIN, 200, {'extra_specs': {'k': 'v'}}
    ),
    f'GET {_FLAVOR}/os-extra_specs/{{key}}': Row(_READERS, 404),
    f'PUT {_FLAVOR}/os-extra_specs/{{key}}': Row(_ADMIN, 200, {'k': 'v'}),
    f'DELETE {_FLAVOR}/os-extra_specs/{{key}}': Row(_ADMIN, 404),
    'GET /os-keypairs': Row(_ALL),
    'POST /os-keypairs': Row(_ALL, 200, 'keypair'),
    'GET /os-keypairs/{name}': Row(_ALL),
    'DELETE /os-keypairs/{name}': Row(_ALL, 202),
    'GET /os-services': Row(_ADMIN),
    'PUT /os-services/{service_id}': Row(
        _ADMIN, 404, {'host': 'h', 'binary': 'minova-compute'}
    ),
    'DELETE /os-services/{service_id}': Row(_ADMIN, 404),
    'GET /os-hypervisors': Row(_ADMIN),
    'GET /os-hypervisors/detail': Row(_ADMIN),
    'GET /os-hypervisors/statistics': Row(_ADMIN),
    'GET /os-hypervisors/{hypervisor_id}': Row(_ADMIN, 404),
    'GET /os-hypervisors/{hypervisor_id}/uptime': Row(_ADMIN, 404),
    'GET /os-hypervisors/{hypervisor_id}/search': Row(_ADMIN, 404),
    'GET /os-hypervisors/{hypervisor_id}/servers': Row(_ADMIN, 404),
    'GET /os-availability-zone': Row(_ALL),
    'GET /os-availability-zone/detail': Row(_ADMIN),
    'GET /os-networks': Row(_READERS),
    'GET /os-networks/{network_id}': Row(
        _READERS, hidden=frozenset({'other', 'other_manager', 'admin'})
    ),
    'GET /os-aggregates': Row(_ADMIN),
    'POST /os-aggregates': Row(_ADMIN, 200, 'aggregate'),
    'PUT /os-aggregates/{aggregate_id}': Row(
        _ADMIN, 404, {'aggregate': {'name': 'new'}}
    ),
    'DELETE /os-aggregates/{aggregate_id}': Row(_ADMIN, 404),
    'GET /os-aggregates/{aggregate_id}': Row(_ADMIN, 404),
    'GET /os-server-groups': Row(_READERS),
    'POST /os-server-groups': Row(_MEMBERS, 200, 'server_group'),
    'GET /os-server-groups/{group_id}': Row(
        _READERS, hidden=frozenset({'other', 'other_manager'})
    ),
    'DELETE /os-server-groups/{group_id}': Row(
        _MEMBERS, 204, hidden=frozenset({'other', 'other_manager'})
    ),
    'GET /limits': Row(_ALL),
    'GET /os-quota-sets/{project_id}': Row(
        frozenset({'reader', 'member', 'manager', 'admin'})
    ),
    'GET /os-quota-sets/{project_id}/detail': Row(
        frozenset({'reader', 'member', 'manager', 'admin'})
    ),
    'GET /os-quota-sets/{project_id}/defaults': Row(_ALL),
    'PUT /os-quota-sets/{project_id}': Row(
        _ADMIN, 200, {'quota_set': {'instances': 90}}
    ),
    'DELETE /os-quota-sets/{project_id}': Row(_ADMIN, 202),
    'POST /os-server-external-events': Row(
        frozenset({'service', 'admin'}),
        404,
        {
            'events': [
                {
                    'name': 'network-changed',
                    'server_uuid': '9f4b2c1e-0000-4000-8000-000000000000',
                }
            ]
        },
    ),
    'GET /os-hosts': Row(_ADMIN),
    'GET /os-hosts/{host_name}': Row(_ADMIN, 404),
    'PUT /os-hosts/{host_name}': Row(_ADMIN, 404, {'status': 'enable'}),
    'GET /os-hosts/{host_name}/startup': Row(_ADMIN, 404),
    'GET /os-hosts/{host_name}/shutdown': Row(_ADMIN, 404),
    'GET /os-hosts/{host_name}/reboot': Row(_ADMIN, 404),
    'GET /os-tenant-networks': Row(_READERS),
    'GET /os-tenant-networks/{network_id}': Row(
        _READERS, hidden=frozenset({'other', 'other_manager', 'admin'})
    ),
    'GET /images': Row(_READERS),
    'GET /images/detail': Row(_READERS),
    f'GET {_IMAGE}': _own_image(_READERS),
    f'DELETE {_IMAGE}': _own_image(_MEMBERS, 204),
    f'GET {_IMAGE}/metadata': _own_image(_READERS),
    f'POST {_IMAGE}/metadata': _own_image(
        _MEMBERS, 200, {'metadata': {'k': 'v'}}
    ),
    f'PUT {_IMAGE}/metadata': _own_image(
        _MEMBERS, 200, {'metadata': {'k': 'v'}}
    ),
    f'GET {_IMAGE}/metadata/{{key}}': _own_image(_READERS),
    f'PUT {_IMAGE}/metadata/{{key}}': _own_image(
        _MEMBERS, 200, {'meta': {'k': 'v'}}
    ),
    f'DELETE {_IMAGE}/metadata/{{key}}': _own_image(_MEMBERS, 204),
    'GET /os-floating-ips': Row(_READERS),
    'POST /os-floating-ips': Row(_MEMBERS, 404, {}),
    'GET /os-floating-ips/{key}': Row(_READERS, 404),
    'DELETE /os-floating-ips/{key}': Row(_MEMBERS, 404),
    'GET /os-floating-ip-pools': Row(_ALL),
    'GET /os-security-groups': Row(_READERS),
    'GET /os-security-groups/{key}': Row(_READERS, 404),
    'DELETE /os-security-groups/{key}': Row(_MEMBERS, 404),
    'GET /extensions': Row(_ALL),
    'GET /extensions/{key}': Row(_ALL, 404),
    **{
        f'{route.method} {route.path}': (
            _own if route.is_server_route else Row
        )(_ALL, 410)
        for route in gone.ROUTES
    },
    'GET /os-quota-class-sets/{class_name}': Row(_ADMIN),
    'GET /os-instance_usage_audit_log': Row(_ADMIN),
    'GET /os-instance_usage_audit_log/{before_timestamp}': Row(_ADMIN, 400),
    'GET /os-simple-tenant-usage': Row(_ADMIN),
    'GET /os-simple-tenant-usage/{project_id}': Row(
        frozenset({'reader', 'member', 'manager', 'admin'})
    ),
    'PUT /os-quota-class-sets/{class_name}': Row(
        _ADMIN, 200, {'quota_class_set': {'instances': 90}}
    ),
}

#: A server without a host accepts no action but its deletion.
_ACTIONS = {
    'os-start': _own(_MEMBERS, 409),
    'os-stop': _own(_MEMBERS, 409),
    'reboot': _own(_MEMBERS, 409, {'type': 'HARD'}),
    'pause': _own(_MEMBERS, 409),
    'unpause': _own(_MEMBERS, 409),
    'suspend': _own(_MEMBERS, 409),
    'resume': _own(_MEMBERS, 409),
    'createImage': _own(_MEMBERS, 409, {'name': 'image'}),
    'createBackup': _own(
        _MEMBERS,
        409,
        {'name': 'image', 'backup_type': 'daily', 'rotation': 1},
    ),
    'rescue': _own(_MEMBERS, 409),
    'unrescue': _own(_MEMBERS, 409),
    'addFixedIp': _own(_MEMBERS, 409, {'networkId': 'n-1'}),
    'removeFixedIp': _own(_MEMBERS, 409, {'address': '10.0.0.9'}),
    'rebuild': _own(_MEMBERS, 409, 'rebuild'),
    'resize': _own(_MEMBERS, 409, {'flavorRef': 'small'}),
    'confirmResize': _own(_MEMBERS, 409),
    'revertResize': _own(_MEMBERS, 409),
    'migrate': _own(_MANAGERS, 409),
    'os-migrateLive': _own(
        _MANAGERS,
        409,
        {'host': None, 'block_migration': False, 'disk_over_commit': False},
    ),
    'evacuate': _own(_ADMIN, 409, {'onSharedStorage': False}),
    'restore': _own(_MEMBERS, 409),
    'shelve': _own(_MEMBERS, 409),
    'unshelve': _own(_MEMBERS, 409),
    'shelveOffload': _own(_ADMIN, 409),
    'forceDelete': _own(_MEMBERS, 202),
    'changePassword': _own(_MEMBERS, 409, {'adminPass': 'secret'}),
    'trigger_crash_dump': _own(_MEMBERS, 409, version='2.17'),
    'addFloatingIp': _own(_MEMBERS, 404, {'address': '192.0.2.9'}),
    'removeFloatingIp': _own(_MEMBERS, 404, {'address': '192.0.2.9'}),
    'addSecurityGroup': _own(_MEMBERS, 404, {'name': 'web'}),
    'removeSecurityGroup': _own(_MEMBERS, 404, {'name': 'web'}),
    'injectNetworkInfo': _own(_ALL, 410),
    'resetNetwork': _own(_ALL, 410),
    'os-getConsoleOutput': _own(_MEMBERS, 409, {}),
    'os-getVNCConsole': _own(_MEMBERS, 409, {'type': 'novnc'}),
    'os-getSPICEConsole': _own(_MEMBERS, 409, {'type': 'spice-html5'}),
    'os-getRDPConsole': _own(_MEMBERS, 400, {'type': 'rdp-html5'}),
    'os-getSerialConsole': _own(_MEMBERS, 409, {'type': 'serial'}),
    'os-resetState': _own(_ADMIN, 202, {'state': 'error'}),
    'unlock': _own(_MEMBERS, 202),
    # The last one: the others need a server that is not locked.
    'lock': _own(_MEMBERS, 202),
}

_FLAVOR_ACTIONS = {
    'addTenantAccess': Row(_ADMIN, 200, {'tenant': 'x'}),
    'removeTenantAccess': Row(_ADMIN, 200, {'tenant': 'x'}),
}

_HOST = {'host': 'a'}
_AGGREGATE_ACTIONS = {
    'add_host': Row(_ADMIN, 404, _HOST),
    'remove_host': Row(_ADMIN, 404, _HOST),
    'set_metadata': Row(_ADMIN, 404, {'metadata': {}}),
}

_IMAGE = '/image/v2/images/{image_id}'
_RAW = {'disk_format': 'raw', 'container_format': 'bare'}
_RENAME = [{'op': 'replace', 'path': '/name', 'value': 'new'}]
_IMAGES = {
    'GET /image': Row(None, 300),
    'GET /image/': Row(None, 300),
    'GET /image/versions': Row(None),
    'GET /image/v2/schemas/image': Row(_ALL),
    'GET /image/v2/schemas/images': Row(_ALL),
    'GET /image/v2/info/import': Row(_ALL),
    'GET /image/v2/images': Row(_READERS),
    'POST /image/v2/images': Row(_MEMBERS, 201, {'name': 'one'}),
    f'GET {_IMAGE}': _own(_READERS),
    f'PATCH {_IMAGE}': _own(
        _MEMBERS, 200, _RENAME, headers=(('Content-Type', _PATCH),)
    ),
    f'DELETE {_IMAGE}': _own(_MEMBERS, 204),
    f'GET {_IMAGE}/file': _own(_MEMBERS, 204),
    f'PUT {_IMAGE}/file': _own(
        _MEMBERS,
        204,
        b'data',
        headers=(('Content-Type', 'application/octet-stream'),),
    ),
    f'PUT {_IMAGE}/tags/{{tag}}': _own(_MEMBERS, 204),
    f'DELETE {_IMAGE}/tags/{{tag}}': _own(_MEMBERS, 404),
}

_NET = '/network/v2.0'
_QUOTA = frozenset({'reader', 'member', 'manager', 'admin'})
_NETWORKS = {
    'GET /network': Row(None),
    f'GET {_NET}': Row(_ALL),
    f'GET {_NET}/extensions': Row(_ALL),
    f'GET {_NET}/extensions/{{row_id}}': Row(_ALL, 404),
    **{
        f'GET {_NET}/{plural}{suffix}': Row(_READERS, status)
        for plural in (
            'networks',
            'subnets',
            'ports',
            'routers',
            'floatingips',
            'security-groups',
            'security-group-rules',
        )
        for suffix, status in (('', 200), ('/{row_id}', 404))
    },
    f'GET {_NET}/networks/{{row_id}}': Row(
        _READERS, hidden=frozenset({'other', 'other_manager'})
    ),
    f'GET {_NET}/quotas/{{project_id}}': Row(_QUOTA),
    f'PUT {_NET}/quotas/{{project_id}}': Row(
        _ADMIN, 200, {'quota': {'port': 5}}
    ),
    f'DELETE {_NET}/quotas/{{project_id}}': Row(_ADMIN, 204),
    f'GET {_NET}/quotas/{{project_id}}/default': Row(_QUOTA),
    f'GET {_NET}/quotas/{{project_id}}/details': Row(_QUOTA),
}

_V3 = '/identity/v3'
_GRANTS = f'{_V3}/projects/{{row_id}}/users/{{user_id}}/roles'
_CREDENTIALS = f'{_V3}/users/{{row_id}}/application_credentials'
_SUBJECT = (('X-Subject-Token', 'fresh'),)
_IDENTITY = {
    'GET /identity': Row(None, 300),
    'GET /identity/': Row(None, 300),
    f'GET {_V3}': Row(None),
    f'GET {_V3}/': Row(None),
    f'POST {_V3}/auth/tokens': Row(None, 400, {}),
    f'GET {_V3}/auth/tokens': Row(_USER | {'service'}, 200, headers=_SUBJECT),
    f'HEAD {_V3}/auth/tokens': Row(_USER | {'service'}, 200, headers=_SUBJECT),
    f'DELETE {_V3}/auth/tokens': Row(_USER, 204, headers=_SUBJECT),
    f'GET {_V3}/auth/catalog': Row(_ALL),
    f'GET {_V3}/auth/projects': Row(_ALL),
    f'GET {_V3}/domains': Row(_ADMIN),
    f'GET {_V3}/domains/{{row_id}}': Row(_ALL),
    f'GET {_V3}/regions': Row(_ALL),
    f'GET {_V3}/regions/{{row_id}}': Row(_ALL),
    **{
        f'GET {_V3}/{plural}{suffix}': Row(_ADMIN, status)
        for plural in ('groups', 'services', 'endpoints')
        for suffix, status in (('', 200), ('/{row_id}', 404))
    },
    f'GET {_V3}/projects': Row(_ADMIN),
    f'POST {_V3}/projects': Row(_ADMIN, 201, 'project'),
    f'GET {_V3}/projects/{{row_id}}': Row(_PROJECT),
    f'PATCH {_V3}/projects/{{row_id}}': Row(
        _ADMIN, 200, {'project': {'description': 'new'}}
    ),
    f'DELETE {_V3}/projects/{{row_id}}': Row(_ADMIN, 204),
    f'GET {_V3}/users': Row(_ADMIN),
    f'POST {_V3}/users': Row(_ADMIN, 201, 'user'),
    f'GET {_V3}/users/{{row_id}}': Row(_USER),
    f'PATCH {_V3}/users/{{row_id}}': Row(
        _ADMIN, 200, {'user': {'email': 'a@example.org'}}
    ),
    f'DELETE {_V3}/users/{{row_id}}': Row(_ADMIN, 204),
    f'POST {_V3}/users/{{row_id}}/password': Row(
        frozenset({'member'}), 400, {}
    ),
    f'GET {_V3}/users/{{row_id}}/projects': Row(_USER),
    f'GET {_V3}/roles': Row(_ADMIN),
    f'POST {_V3}/roles': Row(_ADMIN, 201, 'role'),
    f'GET {_V3}/roles/{{row_id}}': Row(_ADMIN),
    f'PATCH {_V3}/roles/{{row_id}}': Row(
        _ADMIN, 200, {'role': {'description': 'new'}}
    ),
    f'DELETE {_V3}/roles/{{row_id}}': Row(_ADMIN, 204),
    f'GET {_V3}/role_assignments': Row(_ADMIN),
    f'GET {_GRANTS}': Row(_ADMIN),
    f'PUT {_GRANTS}/{{role_id}}': Row(_ADMIN, 204),
    f'GET {_GRANTS}/{{role_id}}': Row(_ADMIN, 404),
    f'HEAD {_GRANTS}/{{role_id}}': Row(_ADMIN, 404),
    f'DELETE {_GRANTS}/{{role_id}}': Row(_ADMIN, 404),
    f'GET {_CREDENTIALS}': Row(_USER),
    f'POST {_CREDENTIALS}': Row(frozenset({'member'}), 201, 'credential'),
    f'GET {_CREDENTIALS}/{{credential_id}}': Row(_USER, 404),
    f'DELETE {_CREDENTIALS}/{{credential_id}}': Row(_USER, 404),
}


class _Names:
    """Accepts the names of callers as tokens beside tokens of a strategy."""

    def __init__(self, strategy, project_id):
        self._strategy = strategy
        self._project_id = project_id

    def authenticate(self, req):
        name = req.get_header('X-Auth-Token')
        if name in _SCOPES:
            scope = {'project_id': None, **_SCOPES[name]}
            return {'user_id': name, 'roles': list(_IMPLIED), **scope}
        project, roles = self._project_id, _INSIDERS.get(name)
        if name in _OUTSIDERS:
            project, roles = f'of-{name}', _OUTSIDERS[name]
        if roles is None:
            return self._strategy.authenticate(req)
        return {'user_id': name, 'project_id': project, 'roles': list(roles)}

    def has_project(self, project_id):
        return self._strategy.has_project(project_id)


class RolesTest(base.ApiTestCase):
    """The table against the application."""

    hosts = ()

    def setUp(self):
        super().setUp()
        directory = os.path.join(self.directory, 'identity')
        self.identity = Identity(directory)
        self.images = EmbeddedImages(os.path.join(self.directory, 'images'))
        default = {'id': 'default'}
        find = self.identity.find_project
        self.project = find(name='demo', domain=default).id
        self.user_id = self.identity.find_user(name='demo', domain=default).id
        embedded = auth.EmbeddedAuth(self.identity)
        names = _Names(embedded, self.project)
        self.patch(auth, 'load_strategy', lambda identity: names)
        admin = self.identity.find_user(name='admin', domain=default)
        project = find(name='admin', domain=default)
        self.tokens = {
            'anonymous': None,
            'member': self.issue_token(),
            'admin': self.identity.issue_token(admin.id, project.id),
        }
        self.restart_api()
        self.numbers = iter(range(10**6))
        self.wrong = {}
        self.make_flavor()
        self.network = self.make_network(project=self.project).id
        self.make_server()

    def restart_api(self):
        if not hasattr(self, 'tokens'):
            return
        self.app = app.make_app(self.backend, self.identity, self.images)
        self.http = falcon.testing.TestClient(self.app)
        self.clients = {
            name: base.Client(self.http, self.tokens.get(name, name))
            for name in _CALLERS
        }
        self.admin = self.clients['admin']
        self.user = self.clients['member']

    # -- fixtures ------------------------------------------------------------

    def issue_token(self):
        return self.identity.issue_token(self.user_id, self.project)

    def name(self):
        return f'n{next(self.numbers)}'

    def make_server(self):
        self.uuid = self.boot(wait=False, metadata={'k': 'v'})

    def replace_deleted_server(self):
        if self.user.get(f'/servers/{self.uuid}').status == 404:
            self.make_server()

    def make_image(self):
        reply = self.send('member', 'POST', '/image/v2/images', _RAW)
        self.assertEqual(201, reply.status_code, reply.text)
        return reply.json['id']

    def add_private_image(self):
        return self.image_store.add(
            owner=self.project, visibility='private', properties={'k': 'v'}
        ).id

    def make_group(self):
        self.config('quota', server_groups=-1)
        given = self.make_body('server_group')
        made = self.user.post('/os-server-groups', given)
        self.assertEqual(200, made.status, made.body)
        return made.body['server_group']['id']

    def make_row(self, singular, **values):
        path = f'{_V3}/{singular}s'
        content = {singular: {'name': self.name(), **values}}
        reply = self.send('admin', 'POST', path, content)
        self.assertEqual(201, reply.status_code, reply.text)
        return reply.json[singular]['id']

    def get_row_id(self, method, path):
        """Return the id for {row_id} in a path of a companion service."""
        kind = path.split('/')[3]
        changes = method in ('PATCH', 'DELETE') and '{user_id}' not in path
        if kind in ('projects', 'users', 'roles'):
            if changes and path.endswith('{row_id}'):
                return self.make_row(kind[:-1])
            if kind == 'roles':
                return next(iter(self.identity.accounts.roles))
            return self.project if kind == 'projects' else self.user_id
        return {
            'domains': 'default',
            'regions': 'RegionOne',
            'networks': self.network,
        }.get(kind, 'nothing')

    def fill(self, method, path, caller):
        """Return a path with the ids of things that exist."""
        values = {
            'server_id': self.uuid,
            'project_id': self.project,
            'network_id': self.network,
            'user_id': self.user_id,
            'version_id': 'v2.1',
            'class_name': 'default',
            'key': 'k',
            'tag': 't',
        }
        for name in (
            'request_id',
            'migration_id',
            'service_id',
            'network',
            'port_id',
            'before_timestamp',
            'host_name',
        ):
            values[name] = '1'
        for name in ('hypervisor_id', 'aggregate_id', 'console_token'):
            values[name] = '7000'
        values['role_id'] = values['credential_id'] = 'nothing'
        if method == 'PUT' and '{role_id}' in path:
            values['role_id'] = self.make_row('role')
        if '{flavor_id}' in path:
            values['flavor_id'] = self.make_flavor(self.name())
        if '{image_id}' in path:
            values['image_id'] = (
                self.add_private_image()
                if path.startswith('/images/')
                else self.make_image()
            )
        if '{group_id}' in path:
            values['group_id'] = self.make_group()
        if '{name}' in path:
            values['name'] = name = self.name()
            content = {'keypair': {'name': name, 'public_key': _KEY}}
            self.clients[caller].post('/os-keypairs', content)
        if '{row_id}' in path:
            values['row_id'] = self.get_row_id(method, path)
        return path.format(**values)

    def make_body(self, body):
        name = self.name()
        if not isinstance(body, str):
            return body
        return {
            'server': {'server': self.server()},
            'rebuild': {'imageRef': self.image},
            'flavor': {
                'flavor': {'name': name, 'ram': 1, 'vcpus': 1, 'disk': 1}
            },
            'keypair': {'keypair': {'name': name, 'public_key': _KEY}},
            'aggregate': {'aggregate': {'name': name}},
            'server_group': {
                'server_group': {'name': name, 'policies': ['affinity']}
            },
            'project': {'project': {'name': name}},
            'user': {'user': {'name': name}},
            'role': {'role': {'name': name}},
            'credential': {'application_credential': {'name': name}},
        }[body]

    def send(self, caller, method, path, body=None, headers=()):
        sent = {'Content-Type': 'application/json', **dict(headers)}
        if 'X-Subject-Token' in sent:
            sent['X-Subject-Token'] = self.issue_token()
        token = self.clients[caller].token
        if token is not None:
            sent['X-Auth-Token'] = token
        raw = body if isinstance(body, bytes) else None
        if raw is None and body is not None:
            raw = orjson.dumps(body)
        return self.http.simulate_request(method, path, headers=sent, body=raw)

    # -- the tests -----------------------------------------------------------

    def check(self, row, endpoint, request):
        """Send a request as each caller; keep the wrong statuses."""
        for caller in _CALLERS:
            expected, found = row.get_status(caller), request(caller)
            if found != expected:
                self.wrong[endpoint, caller] = (expected, found)

    def assert_all_right(self):
        self.assertEqual({}, self.wrong, '(expected, found)')

    def check_companion(self, table, routes):
        known = [
            (name.removeprefix('on_').upper(), template)
            for template, resource in routes
            for name in dir(resource)
            if name.startswith('on_')
        ]
        known = [
            (method, path)
            for method, path in known
            if path != '/network/'  # the same as without the slash
        ]
        self.assertEqual({f'{m} {path}' for m, path in known}, set(table))
        for method, path in known:
            row = table[f'{method} {path}']

            def request(caller, method=method, path=path, row=row):
                return self.send(
                    caller,
                    method,
                    self.fill(method, path, caller),
                    self.make_body(row.body),
                    row.headers,
                ).status_code

            self.check(row, f'{method} {path}', request)
        self.assert_all_right()

    def test_compute(self):
        apart = {
            f'POST {path}/action'
            for path in (_SERVER, _FLAVOR, '/os-aggregates/{aggregate_id}')
        }
        known = {
            f'{route.method} {route.path}'
            for route in (*versions.ROUTES, *app.ROUTES)
        }
        self.assertEqual(known - apart, set(_COMPUTE))
        # The server's deletion is last.
        order = sorted(_COMPUTE, key=lambda one: one == f'DELETE {_SERVER}')
        for endpoint in order:
            method, _, path = endpoint.partition(' ')
            row = _COMPUTE[endpoint]

            def request(
                caller, endpoint=endpoint, method=method, path=path, row=row
            ):
                client = self.clients[caller].at_version(row.version)
                if endpoint == f'DELETE {_SERVER}':
                    self.replace_deleted_server()
                if path.endswith('/tags/{tag}'):
                    self.user.at_version('2.26').put(
                        f'/servers/{self.uuid}/tags', {'tags': ['t']}
                    )
                if path.endswith('/metadata/{key}'):
                    self.user.put(
                        f'/servers/{self.uuid}/metadata',
                        {'metadata': {'k': 'v'}},
                    )
                return client.request(
                    method,
                    self.fill(method, path, caller),
                    self.make_body(row.body),
                ).status

            self.check(row, endpoint, request)
        self.assert_all_right()

    def test_actions_of_servers(self):
        self.assertEqual(set(server_actions.ACTIONS), set(_ACTIONS))
        for action, row in _ACTIONS.items():
            # An id that does not exist shows the same to all.
            for server in (None, str(uuid.uuid4())):
                expected = row
                if server is not None:
                    expected = dataclasses.replace(
                        row, allowed=_ALL, status=404
                    )

                def request(caller, server=server, action=action, row=row):
                    self.replace_deleted_server()
                    return (
                        self.clients[caller]
                        .at_version(row.version)
                        .act(
                            server or self.uuid,
                            action,
                            self.make_body(row.body),
                        )
                        .status
                    )

                self.check(expected, action, request)
        self.assert_all_right()

    def test_actions_of_flavors(self):
        self.assertEqual(set(flavor_access.ACTIONS), set(_FLAVOR_ACTIONS))
        for action, row in _FLAVOR_ACTIONS.items():
            self.check(
                row,
                action,
                lambda caller, action=action, row=row: (
                    self.clients[caller]
                    .post('/flavors/small/action', {action: row.body})
                    .status
                ),
            )
        self.assert_all_right()

    def test_actions_of_aggregates(self):
        self.assertEqual(set(aggregates.ACTIONS), set(_AGGREGATE_ACTIONS))
        for action, row in _AGGREGATE_ACTIONS.items():
            self.check(
                row,
                action,
                lambda caller, action=action, row=row: (
                    self.clients[caller]
                    .post('/os-aggregates/7000/action', {action: row.body})
                    .status
                ),
            )
        self.assert_all_right()

    def test_images(self):
        self.check_companion(_IMAGES, image_routes.routes(self.images))

    def test_networks(self):
        self.check_companion(
            _NETWORKS, network_routes.routes(self.cloud.database)
        )

    def test_identity(self):
        self.check_companion(_IDENTITY, identity_routes.routes(self.identity))

    def test_nothing_of_another_project_is_listed(self):
        image, port = self.make_image(), None
        secrets = (self.uuid, self.network, self.project, image, port)
        for caller in ('other', 'other_manager'):
            for path in (
                '/servers',
                '/servers/detail',
                '/servers/detail?all_tenants=0',
                f'/servers?tenant_id={self.project}',
                '/os-migrations',
                '/os-networks',
                '/limits',
                '/os-keypairs',
            ):
                reply = self.clients[caller].get(path)
                text = str(reply.body)
                found = [one for one in secrets if one and one in text]
                self.assertEqual([], found, (caller, path))
            for path in (
                '/image/v2/images',
                '/image/v2/images?visibility=all',
                f'/image/v2/images?owner={self.project}',
                f'{_NET}/networks',
                f'{_NET}/subnets',
                f'{_NET}/ports',
                f'{_NET}/ports?device_id={self.uuid}',
            ):
                path, _, query = path.partition('?')
                reply = self.http.simulate_get(
                    path,
                    query_string=query,
                    headers={'X-Auth-Token': caller},
                )
                # The links of the list repeat the query.
                (rows, *_) = (
                    value
                    for value in reply.json.values()
                    if isinstance(value, list)
                )
                found = [one for one in secrets if one and one in str(rows)]
                self.assertEqual([], found, (caller, path))
