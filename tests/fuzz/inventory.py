# SPDX-License-Identifier: Apache-2.0
"""The ids of all objects of a cloud by kind, each with its owner."""

from tests.fuzz.clients import MARKERS
from tests.fuzz.clients import ROLES


class Inventory:
    """Reads the objects as admin."""

    def __init__(self, admin, callers, owners):
        """Take the callers by name, and the owners by project id."""
        self._admin = admin
        self._callers = callers
        self._owners = owners

    def read(self, images, flavors, servers):
        """Return pairs of id and owner by kind; None owns what is shared."""
        found = {}
        found['server'] = [
            (one['id'], self._owners.get(one['tenant_id'])) for one in servers
        ]
        known = {image for image, _ in images}
        found['image'] = [
            *images,
            *(
                (one, None)
                for one, _ in self._list('/image/v2/images?limit=200', 'image')
                if one not in known
            ),
        ]
        found['flavor'] = [
            *flavors * 3,
            *self._list('/v2.1/flavors?limit=40', 'flavor'),
        ]
        found['keypair'] = [
            (f'{MARKERS[side]}-key', side) for side in ('a', 'b')
        ]
        self._read_network(found, self._owners)
        self._read_identity(found, self._owners)
        self._read_hosts(found)
        self._read_history(found, servers)
        return found

    def _list(self, path, kind):
        return [(one['id'], None) for one in self._admin.get(path, f'{kind}s')]

    def _read_network(self, found, owners):
        for kind in ('network', 'subnet', 'port', 'extension'):
            found[kind] = [
                (
                    one.get('id') or one['alias'],
                    owners.get(one.get('device_id') and one['project_id']),
                )
                for one in self._admin.get(
                    f'/network/v2.0/{kind}s', f'{kind}s'
                )
            ]

    def _read_identity(self, found, owners):
        sides = {
            caller.token['user']['id']: ROLES[actor][0]
            for actor, caller in self._callers.items()
        }
        for kind in ('user', 'project', 'role', 'domain', 'service'):
            found[kind] = [
                (one['id'], sides.get(one['id'], owners.get(one['id'])))
                for one in self._admin.get(f'/identity/v3/{kind}s', f'{kind}s')
            ]
        for kind in ('endpoint', 'region'):
            found[kind] = [
                (one['id'], None)
                for one in self._admin.get(f'/identity/v3/{kind}s', f'{kind}s')
            ]
        found['credential'] = [
            (one['id'], sides[caller.token['user']['id']])
            for caller in self._callers.values()
            for one in caller.client.get(
                f'/identity/v3/users/{caller.token["user"]["id"]}'
                '/application_credentials',
                'application_credentials',
            )[:20]
        ]

    def _read_hosts(self, found):
        services = self._admin.get('/v2.1/os-services', 'services')
        found['hypervisor'] = [
            (one['id'], None)
            for one in self._admin.get('/v2.1/os-hypervisors', 'hypervisors')
        ]
        found['host'] = [(one['host'], None) for one in services]
        found['service'] += [(str(one['id']), None) for one in services]
        found['zone'] = [('nova', None)]
        aggregates = self._admin.get('/v2.1/os-aggregates', 'aggregates')
        found['aggregate'] = [(str(one['id']), None) for one in aggregates]
        found['version'] = [('v2.1', None), ('v2.0', None)]

    def _read_history(self, found, servers):
        found['request'], found['console_token'] = [], []
        for one in servers[:8]:
            base = f'/v2.1/servers/{one["id"]}'
            found['request'] += [
                (action['request_id'], None)
                for action in self._admin.get(
                    f'{base}/os-instance-actions?limit=3', 'instanceActions'
                )
            ]
            status, _, console = self._admin.call(
                'POST',
                f'{base}/remote-consoles',
                {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
            )
            if status == 200:
                token = console['remote_console']['url'].rpartition('=')[2]
                found['console_token'].append((token, None))
        found['migration'] = [
            (str(one['id']), None)
            for one in self._admin.get(
                '/v2.1/os-migrations?limit=20', 'migrations'
            )
        ]
        found['tag'] = [('a', None), ('b', None)]
        found['metadata'] = [('mark', None)]
        found['extra_spec'] = [('hw:cpu_policy', None), ('a', None)]
