# SPDX-License-Identifier: Apache-2.0
"""The cloud of a fuzz: the objects that its callers own.

Two projects have objects whose names, texts and ids are markers: one project
must not see those of the other.
"""

import base64
import json
import secrets
import threading
import time
import urllib.parse

from tests.fuzz.clients import Caller
from tests.fuzz.clients import Client
from tests.fuzz.clients import MARKERS
from tests.fuzz.clients import ROLES
from tests.fuzz.inventory import Inventory
from tests.fuzz.values import KEY

#: The projects with objects, and who makes them.
_MEMBERS = (('a', 'member'), ('b', 'other'))
#: The servers that each project always has, and the most that all have.
_SERVERS = 3
_MAX_SERVERS = 40
_MAX_OBJECTS = 60


class Pools:
    """The ids of all objects by kind, with their owners."""

    def __init__(self, url, password):
        """Create the projects, users and first objects as admin."""
        self._url = url
        self._ids = {}
        self._protected = set()
        self._images = []
        self._flavors = []
        self._lock = threading.Lock()
        self._admin = Client(url)
        self._admin_password = password
        self._own = self._admin.log_in('admin', password, 'admin')
        self.callers = {}
        self._projects = {}
        self._make_accounts()
        self._make_objects()
        self.refresh()

    # -- for requests ---------------------------------------------------------

    def marker(self, actor):
        """Return the beginning of all texts of a caller."""
        return MARKERS.get(self._side(actor), 'fzanon')

    def projects(self):
        """Return the ids of both projects and that of the administrator."""
        return list(self._projects.values())

    def token(self, actor):
        """Return the token of a caller, '' if anonymous."""
        if actor == 'anonymous':
            return ''
        return self.callers[actor].client.token

    def creds(self, actor):
        """Return the credentials of a caller."""
        return self.callers[actor].creds()

    def pick(self, kind, actor, is_write, roll, is_own=False):
        """Return an id and its owner; the roll chooses."""
        found = self._ids.get(kind, [])
        if kind == 'token':
            # Its revocation ends the token of a caller, who logs in again.
            found = [(self.token(one), None) for one in self.callers]
        side = self._side(actor)
        if is_own and side in ('a', 'b'):
            found = [one for one in found if one[1] in (None, side)]
        if is_write and actor == 'admin':
            found = [one for one in found if one[0] not in self._protected]
        if roll > 0.95 or not found:
            return '6f70656e-7374-4163-8b00-000000000002', None
        return found[int(roll / 0.95 * len(found))]

    def is_foreign(self, owner, actor):
        """Tell whether a caller must not reach the objects of an owner."""
        side = self._side(actor)
        return side in ('a', 'b') and owner in ('a', 'b') and owner != side

    def foreign_texts(self, actor):
        """Return owners and texts that no reply to a caller has."""
        side = self._side(actor)
        if side == 'admin':
            return []
        return [one for one in self._texts if one[0] != side]

    def secrets(self):
        """Return the passwords and tokens of all callers."""
        found = [self._admin.token, self._admin_password]
        for one in self.callers.values():
            found += [one.client.token, one.password]
        return [text.encode() for text in found]

    def fail_to_log_in(self):
        """Try a wrong password."""
        client = Client(self._url)
        try:
            client.log_in('admin', 'wrong', 'admin')
        except AssertionError:
            return
        raise AssertionError('a wrong password is accepted')

    def is_shared(self, request):
        """Tell whether an image was opened for others by its owner."""
        if not request.target.startswith('/image'):
            return False
        images = self._admin.get('/image/v2/images?limit=1000', 'images')
        return any(
            one['visibility'] in ('public', 'community')
            and MARKERS['a'][:-1] in json.dumps(one)
            for one in images
        )

    def _side(self, actor):
        return ROLES.get(actor, (actor,))[0]

    # -- accounts -------------------------------------------------------------

    def _make_accounts(self):
        admin = self._admin
        roles = {
            one['name']: one['id']
            for one in admin.get('/identity/v3/roles', 'roles')
        }
        tail = secrets.token_hex(3)
        names = {side: f'{MARKERS[side]}-{tail}' for side in MARKERS}
        for side, name in names.items():
            made = admin.make(
                '/identity/v3/projects',
                {'project': {'name': name, 'description': MARKERS[side]}},
                'project',
            )
            self._projects[side] = made['id']
        for actor, (side, role) in ROLES.items():
            caller = Caller(self._url, actor, names[side])
            user = admin.make(
                '/identity/v3/users',
                {'user': {'name': caller.name, 'password': caller.password}},
                'user',
            )
            path = f'{self._projects[side]}/users/{user["id"]}'
            status, _, _ = admin.call(
                'PUT', f'/identity/v3/projects/{path}/roles/{roles[role]}'
            )
            assert status == 204, status
            caller.log_in()
            self.callers[actor] = caller
            self._protected.add(user['id'])
        for kind in ('users', 'projects', 'roles'):
            self._protected |= {
                one['id'] for one in admin.get(f'/identity/v3/{kind}', kind)
            }

    # -- objects --------------------------------------------------------------

    def _make_objects(self):
        for flavor, public in (('fzpublic', True), ('fzprivate', False)):
            name = f'{flavor}-{secrets.token_hex(2)}'
            made = self._admin.make(
                '/v2.1/flavors',
                {
                    'flavor': {
                        'name': name,
                        'id': name,
                        'ram': 64,
                        'vcpus': 1,
                        'disk': 1,
                        'os-flavor-access:is_public': public,
                    }
                },
                'flavor',
            )
            self._protected.add(made['id'])
            self._flavors.append((made['id'], None if public else 'a'))
        self._admin.call(
            'POST',
            f'/v2.1/flavors/{self._flavors[1][0]}/action',
            {'addTenantAccess': {'tenant': self._projects['a']}},
        )
        for side, actor in _MEMBERS:
            self._make_image(side, actor)
            self._make_key(side, actor)

    def _make_image(self, side, actor):
        client = self.callers[actor].client
        made = client.make(
            '/image/v2/images',
            {
                'name': f'{MARKERS[side]}-image',
                'disk_format': 'raw',
                'container_format': 'bare',
                'visibility': 'private',
                'fz_property': f'{MARKERS[side]}-property',
                'tags': [f'{MARKERS[side]}-tag'],
            },
            None,
        )
        client.call(
            'PUT',
            f'/image/v2/images/{made["id"]}/file',
            b'\0' * 512,
            **{'Content-Type': 'application/octet-stream'},
        )
        self._protected.add(made['id'])
        self._images.append((made['id'], side))

    def _make_key(self, side, actor):
        """Import the key of a member, unless it is there."""
        self.callers[actor].client.call(
            'POST',
            '/v2.1/os-keypairs',
            {
                'keypair': {
                    'name': f'{MARKERS[side]}-key',
                    'type': 'ssh',
                    'public_key': KEY,
                }
            },
        )

    def _make_server(self, side, actor):
        mark = MARKERS[side]
        image = next(one for one, owner in self._images if owner == side)
        status, _, _ = self.callers[actor].client.call(
            'POST',
            '/v2.1/servers',
            {
                'server': {
                    'name': f'{mark}-{secrets.token_hex(2)}',
                    'description': f'{mark}-description',
                    'imageRef': image,
                    'flavorRef': self._flavors[0][0],
                    'networks': 'auto',
                    'metadata': {'mark': f'{mark}-metadata'},
                    'tags': [f'{mark}-tag'],
                    'user_data': base64.b64encode(mark.encode()).decode(),
                }
            },
        )
        return status == 202

    # -- upkeep ---------------------------------------------------------------

    def refresh(self):
        """Repair the hosts, keep few objects, and read all ids."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._enable_services()
            servers = self._servers()
            for side, actor in _MEMBERS:
                self._raise_quota(side)
                self._replace_missing(side, actor)
                mine = [
                    one
                    for one in servers
                    if one['tenant_id'] == self._projects[side]
                    and one['status'] != 'ERROR'
                ]
                for _ in range(_SERVERS - len(mine)):
                    self._make_server(side, actor)
            for one in servers[_MAX_SERVERS:]:
                self._delete_server(one)
            self._trim()
            self._read()
        finally:
            self._lock.release()

    def _replace_missing(self, side, actor):
        """Make the image and the key again that a member has deleted."""
        for image, owner in list(self._images):
            status, _, shown = self._admin.call(
                'GET', f'/image/v2/images/{image}'
            )
            if owner == side and (status != 200 or not shown['size']):
                self._images.remove((image, owner))
                self._make_image(side, actor)
        self._make_key(side, actor)

    def _raise_quota(self, side):
        """Unlimit a project; requests of the fuzz set other limits."""
        names = ('instances', 'cores', 'ram', 'metadata_items', 'key_pairs')
        self._admin.call(
            'PUT',
            f'/v2.1/os-quota-sets/{self._projects[side]}',
            {'quota_set': {'force': True, **dict.fromkeys(names, -1)}},
        )
        self._admin.call(
            'PUT',
            f'/network/v2.0/quotas/{self._projects[side]}',
            {'quota': {'port': -1}},
        )

    def _servers(self):
        return self._admin.get(
            '/v2.1/servers/detail?all_tenants=1&sort_key=created_at'
            '&sort_dir=asc',
            'servers',
        )

    def _delete_server(self, one):
        self._admin.call(
            'POST', f'/v2.1/servers/{one["id"]}/action', {'forceDelete': None}
        )

    def _enable_services(self):
        for one in self._admin.get('/v2.1/os-services', 'services'):
            if one['status'] != 'enabled' or one.get('forced_down'):
                self._admin.call(
                    'PUT',
                    f'/v2.1/os-services/{one["id"]}',
                    {'status': 'enabled', 'forced_down': False},
                )

    def _trim(self, keep=_MAX_OBJECTS):
        """Delete the objects above a number, except those of the fuzz."""
        for service, plural, path in (
            ('identity', 'users', '/identity/v3/users'),
            ('identity', 'projects', '/identity/v3/projects'),
            ('identity', 'roles', '/identity/v3/roles'),
            ('compute', 'flavors', '/v2.1/flavors?is_public=None&limit=1000'),
            ('image', 'images', '/image/v2/images?limit=1000'),
        ):
            found = [
                one['id']
                for one in self._admin.get(path, plural)
                if one['id'] not in self._protected
            ]
            base = path.partition('?')[0]
            for one in found[keep:]:
                if service == 'image':
                    self.open_image(one)
                name = urllib.parse.quote(one, safe='')
                self._admin.call('DELETE', f'{base}/{name}')
        for caller in self.callers.values():
            keys = caller.client.get('/v2.1/os-keypairs?limit=100', 'keypairs')
            for one in keys[keep // 2 :]:
                name = urllib.parse.quote(one['keypair']['name'], safe='')
                caller.client.call('DELETE', f'/v2.1/os-keypairs/{name}')

    def open_image(self, image):
        """Let an image be deleted."""
        self._admin.call(
            'PATCH',
            f'/image/v2/images/{image}',
            [{'op': 'replace', 'path': '/protected', 'value': False}],
            **{'Content-Type': 'application/openstack-images-v2.1-json-patch'},
        )

    def _read(self):
        """Read the ids of all objects, and the texts of each project."""
        owners = {one: side for side, one in self._projects.items()}
        reader = Inventory(self._admin, self.callers, owners)
        found = reader.read(self._images, self._flavors, self._servers())
        texts = [(side, MARKERS[side].encode()) for side in ('a', 'b')]
        for kind in ('server', 'port', 'project'):
            texts += [
                (side, one.encode())
                for one, side in found[kind]
                if side in ('a', 'b')
            ]
        texts += [(side, one.encode()) for one, side in self._images]
        self._texts = texts
        self._ids = found

    # -- the end --------------------------------------------------------------

    def clear(self, seconds):
        """Delete everything; return what is left after some time."""
        until = time.monotonic() + seconds
        while True:
            self._enable_services()
            left = self._servers()
            if not left:
                break
            if time.monotonic() > until:
                return [
                    f'server {one["id"]} is {one["status"]}, its task state '
                    f'{one["OS-EXT-STS:task_state"]}'
                    for one in left
                ]
            for one in left:
                if one['OS-EXT-STS:task_state'] != 'deleting':
                    self._delete_server(one)
            time.sleep(0.5)
        for image, _ in self._images:
            self._protected.discard(image)
        self._trim(0)
        ports = self._admin.get('/network/v2.0/ports', 'ports')
        images = self._admin.get('/image/v2/images?limit=1000', 'images')
        return [f'port {one["id"]}' for one in ports] + [
            f'image {one["id"]}' for one in images
        ]
