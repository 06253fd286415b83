# SPDX-License-Identifier: Apache-2.0
"""Replies have the keys of the reference's, at each microversion.

Strict clients refuse a reply with a key more or less.
"""

import dataclasses
import pathlib

from minova.api.http import microversion
from tests.functional.api import base

_KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZgatj1ZD0qlUevOhb/EQhVuXp26TRpBB'
    'dOFRi4eXpv me@home'
)


def _read_keys():
    """Return the rows of each endpoint by minor version, from the file."""
    found, rows, since = {}, {}, 0
    path = pathlib.Path(__file__).with_name('reply_keys.txt')
    for line in path.read_text().splitlines():
        number, colon, words = line.partition(':')
        if line.startswith('#') or not line:
            continue
        if line.startswith(' '):
            rows[since] += line.split()
        elif colon and number.isdecimal():
            since = int(number)
            rows[since] = words.split()
        else:
            rows = found[line] = {}
    return found


KEYS = _read_keys()


@dataclasses.dataclass
class Keys:
    """The keys that an object of a reply has; without children: any value."""

    children: dict[str, 'Keys'] = dataclasses.field(default_factory=dict)
    required: set[str] = dataclasses.field(default_factory=set)

    def find_differences(self, value, path=''):
        """Yield the keys that are too many or missing in a document."""
        if isinstance(value, list):
            for one in value:
                yield from self.find_differences(one, f'{path}[]')
            return
        if not isinstance(value, dict) or not self.children:
            return
        for name in sorted(self.required - set(value)):
            yield f'missing {path}.{name}'
        for name, inner in value.items():
            child = self.children.get(name, self.children.get('*'))
            if child is None:
                yield f'extra {path}.{name}'
            else:
                yield from child.find_differences(inner, f'{path}.{name}')


def keys_at(rows, version):
    """Return the keys of a reply; ``rows`` is a value of ``KEYS``."""
    known = {}
    for since in sorted(rows):
        if since > version:
            break
        for word in rows[since]:
            if word.startswith('-'):
                known.pop(word[1:])
            else:
                known[word.removesuffix('?')] = not word.endswith('?')
    root = Keys()
    for path, is_required in known.items():
        *parents, name = path.split('.')
        node = root
        for parent in parents:
            node = node.children.setdefault(parent, Keys())
        node.children.setdefault(name, Keys())
        if is_required:
            node.required.add(name)
    return root


class ReplyKeysTest(base.ApiTestCase):
    """A cloud with one thing of each kind."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_flavor('own', **{'os-flavor-access:is_public': False})
        self.make_network()
        self.post('/flavors/small/os-extra_specs', extra_specs={'a:b': 'c'})
        self.act('/flavors/own', 'addTenantAccess', tenant='project')
        self.post('/os-keypairs', keypair={'name': 'k', 'public_key': _KEY})
        rack = self.post('/os-aggregates', aggregate={'name': 'rack'})
        rack = f'/os-aggregates/{rack["aggregate"]["id"]}'
        self.act(rack, 'add_host', host='a')
        group = {'name': 'g', 'policies': ['affinity']}
        group = self.post('/os-server-groups', server_group=group)
        self.group = group['server_group']['id']
        self.uuid = self.boot(
            self.admin, metadata={'m': '1'}, key_name='k', config_drive=True
        )
        self.admin.act(self.uuid, 'migrate')
        self.cloud.settle(self.uuid)
        server = f'/servers/{self.uuid}'
        request = self.admin.get(f'{server}/os-instance-actions').body
        request = request['instanceActions'][0]['request_id']
        hypervisor = self.admin.get('/os-hypervisors').body['hypervisors'][0]
        newest = self.admin.at_version('2.53').get('/os-hypervisors').body
        self.hypervisors = (hypervisor['id'], newest['hypervisors'][0]['id'])
        project = self.show(self.uuid, self.admin)['tenant_id']
        self.paths = {
            '/servers/*': server,
            '/servers/*/os-instance-actions/*': (
                f'{server}/os-instance-actions/{request}'
            ),
            '/flavors/*': '/flavors/small',
            '/flavors/*/os-flavor-access': '/flavors/own/os-flavor-access',
            '/os-aggregates/*': rack,
            '/os-hosts/*': '/os-hosts/a',
            '/os-keypairs/*': '/os-keypairs/k',
            '/os-quota-class-sets/*': '/os-quota-class-sets/default',
            '/os-quota-sets/*': f'/os-quota-sets/{project}',
            '/os-server-groups/*': f'/os-server-groups/{self.group}',
            '/os-simple-tenant-usage/*': f'/os-simple-tenant-usage/{project}',
        }

    def post(self, path, **body):
        reply = self.admin.post(path, body)
        self.assertIn(reply.status, (200, 201), reply.body)
        return reply.body

    def act(self, path, action, **content):
        return self.post(f'{path}/action', **{action: content})

    def path_of(self, path, version):
        """Return the path of an existing thing."""
        if path.startswith('/os-hypervisors/*'):
            number = self.hypervisors[version >= 53]
            return path.replace('*', str(number), 1)
        if path in self.paths:
            return self.paths[path]
        for start in ('/servers/*', '/flavors/*', '/os-quota-sets/*'):
            if path.startswith(f'{start}/'):
                return self.paths[start] + path.removeprefix(start)
        return path

    def request(self, endpoint, version):
        method, _, path = endpoint.partition(' ')
        client = self.admin.at_version(microversion.to_string(version))
        body = {'server': {'name': 'web'}} if method == 'PUT' else None
        return client.request(method, self.path_of(path, version), body)

    def find_differences(self, endpoint):
        """Return the differences at the first and last version of each row."""
        rows = KEYS[endpoint]
        versions = {*rows, microversion.MAXIMUM}
        versions |= {since - 1 for since in rows if since > 1}
        found, answered = {}, False
        for version in sorted(versions):
            if version < min(rows):
                continue
            reply = self.request(endpoint, version)
            if reply.status != 200:
                # It begins later or has ended; no hypervisor has an uptime.
                self.assertIn(reply.status, (404, 501), reply.body)
                answered |= reply.status == 501
                continue
            answered = True
            differences = list(
                keys_at(rows, version).find_differences(reply.body)
            )
            if differences:
                found[version] = differences
        self.assertTrue(answered, endpoint)
        return found

    def test_replies(self):
        wrong = {
            endpoint: found
            for endpoint in KEYS
            if (found := self.find_differences(endpoint))
        }
        self.assertEqual({}, wrong)
