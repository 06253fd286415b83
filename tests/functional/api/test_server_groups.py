# SPDX-License-Identifier: Apache-2.0
"""Server groups and scheduler hints: the endpoints, and where servers go."""

import uuid

from tests.functional.api import base

_LIVE = {'host': None, 'block_migration': 'auto'}


class GroupsTestCase(base.ApiTestCase):
    """A cloud of three hosts."""

    hosts = ('a', 'b', 'c')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.big = self.make_flavor('big', vcpus=2)

    def make_group(self, policy='anti-affinity', client=None, **words):
        given = {'name': 'group', 'policy': policy} | words
        reply = (
            (client or self.user)
            .at_version('2.64')
            .post('/os-server-groups', {'server_group': given})
        )
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['server_group']['id']

    def create(self, hints=None, client=None, **values):
        return (client or self.user).post(
            '/servers',
            {
                'server': self.server(**values),
                'os:scheduler_hints': hints or {},
            },
        )

    def place(self, hints=None, **values):
        """Create a server with hints; return its id and host."""
        reply = self.create(hints, **values)
        self.assertEqual(202, reply.status, reply.body)
        made = reply.body['server']['id']
        self.cloud.settle(made)
        return made, self.host_of(made)

    def host_of(self, server):
        return self.show(server, self.admin)['OS-EXT-SRV-ATTR:host']

    def fault_of(self, server):
        shown = self.show(server, self.admin)
        self.assertEqual('ERROR', shown['status'])
        return shown['fault']['message']

    def act(self, server, action, content=None, version=None):
        client = self.admin.at_version(version) if version else self.admin
        reply = client.act(server, action, content)
        self.cloud.settle(server)
        return reply


class EndpointsTest(GroupsTestCase):
    """The groups themselves."""

    hosts = ()

    def test_views_by_version(self):
        group = self.make_group(rules={'max_server_per_host': '2'})
        path = f'/os-server-groups/{group}'
        old = {
            'id': group,
            'name': 'group',
            'members': [],
            'policies': ['anti-affinity'],
            'metadata': {},
        }
        shown = self.user.get(path).body['server_group']
        self.assertEqual(old, shown)
        shown = self.user.at_version('2.13').get(path).body['server_group']
        self.assertEqual({*old, 'project_id', 'user_id'}, set(shown))
        shown = self.user.at_version('2.64').get(path).body['server_group']
        self.assertEqual('anti-affinity', shown['policy'])
        self.assertEqual({'max_server_per_host': 2}, shown['rules'])
        self.assertNotIn('policies', shown)
        self.assertEqual(204, self.user.delete(path).status)
        self.assert_refused(404, 'Instance group', self.user.get(path))

    def test_bad_bodies(self):
        for version, given in (
            ('2.1', {'policies': ['soft-affinity']}),
            ('2.1', {'policies': []}),
            ('2.1', {'policies': ['affinity', 'anti-affinity']}),
            ('2.1', {'policy': 'affinity'}),
            ('2.15', {'policies': ['legacy']}),
            ('2.64', {'policies': ['affinity']}),
            ('2.64', {'policy': 'affinity', 'rules': {'other': 1}}),
            (
                '2.64',
                {
                    'policy': 'anti-affinity',
                    'rules': {'max_server_per_host': 0},
                },
            ),
        ):
            reply = self.user.at_version(version).post(
                '/os-server-groups', {'server_group': {'name': 'g'} | given}
            )
            self.assertEqual(400, reply.status, given)
        reply = self.user.at_version('2.64').post(
            '/os-server-groups',
            {
                'server_group': {
                    'name': 'g',
                    'policy': 'affinity',
                    'rules': {'max_server_per_host': 2},
                }
            },
        )
        self.assert_refused(
            400, 'Only anti-affinity policy supports rules.', reply
        )

    def test_projects_and_pages(self):
        mine = [self.make_group() for _ in range(3)]
        others = self.make_group(client=self.other)

        def listed(client, query=''):
            reply = client.get(f'/os-server-groups{query}')
            self.assertEqual(200, reply.status, reply.body)
            return [one['id'] for one in reply.body['server_groups']]

        self.assertEqual(mine, listed(self.user))
        self.assertEqual(mine[1:2], listed(self.user, '?limit=1&offset=1'))
        self.assertEqual([], listed(self.admin))
        every = [*mine, others]
        self.assertEqual(every, listed(self.admin, '?all_projects=1'))
        reply = self.user.get('/os-server-groups?all_projects=1')
        self.assertEqual(403, reply.status)
        for method in (self.user.get, self.user.delete):
            reply = method(f'/os-server-groups/{others}')
            self.assert_refused(404, 'could not be found', reply)

    def test_quotas(self):
        self.config('quota', server_groups=2, server_group_members=2)
        group = self.make_group()
        self.make_group()
        reply = self.user.post(
            '/os-server-groups',
            {'server_group': {'name': 'g', 'policies': ['affinity']}},
        )
        self.assert_refused(
            403, 'Quota exceeded, too many server groups.', reply
        )
        limits = self.user.get('/limits').body['limits']['absolute']
        self.assertEqual(2, limits['totalServerGroupsUsed'])
        reply = self.create({'group': group}, min_count=3)
        self.assert_refused(
            403, 'Quota exceeded, too many servers in group', reply
        )
        self.assertEqual(202, self.create({'group': group}).status)
        self.assertEqual(202, self.create({'group': group}).status)
        reply = self.create({'group': group})
        self.assert_refused(403, 'too many servers in group', reply)

    def test_hints_that_are_refused(self):
        others = self.make_group(client=self.other)
        for hints, text in (
            ({'group': str(uuid.uuid4())}, 'could not be found'),
            ({'group': others}, 'could not be found'),
            ({'group': 'web'}, 'a UUID'),
            ({'query': '[x'}, 'query'),
            ({'query': '{}'}, 'query'),
            ({'query': ['and', ['=', '$host', 'a' * 5000]]}, '4096'),
            ({'build_near_host_ip': 'here'}, 'build_near_host_ip'),
            ({'build_near_host_ip': '10.0.0.1', 'cidr': '/99'}, 'near'),
            ({'build_near_host_ip': '10.0.0.1', 'cidr': '24'}, 'cidr'),
            ({'same_host': [1]}, 'same_host'),
        ):
            self.assert_refused(400, text, self.create(hints))
        self.assertEqual(202, self.create({'mine': {'x': 1}}).status)


class PoliciesTest(GroupsTestCase):
    """Each policy, in creates and in moves."""

    def test_anti_affinity(self):
        group = self.make_group()
        hint = {'group': group}
        placed = dict(self.place(hint) for _ in range(3))
        self.assertEqual({'a', 'b', 'c'}, set(placed.values()))
        fourth, host = self.place(hint)
        self.assertIsNone(host)
        reason = 'a: it has 1 of at most 1 servers of anti-affinity group'
        self.assertIn(reason, self.fault_of(fourth))
        members = self.show(fourth, self.user)['fault']['message']
        self.assertNotIn('anti-affinity', members)
        for action, content, version in (
            ('resize', {'flavorRef': self.big}, None),
            ('migrate', None, None),
            ('os-migrateLive', _LIVE, '2.33'),
        ):
            server, before = next(iter(placed.items()))
            reply = self.act(server, action, content, version)
            self.assert_refused(400, 'of anti-affinity group', reply)
            self.assertEqual(before, self.host_of(server))
        # A deleted server leaves the group.
        gone, freed = next(iter(placed.items()))
        self.user.delete(f'/servers/{gone}')
        self.cloud.settle(gone)
        _, host = self.place(hint)
        self.assertEqual(freed, host)
        shown = self.user.get(f'/os-server-groups/{group}').body
        self.assertNotIn(gone, shown['server_group']['members'])
        self.assertEqual(4, len(shown['server_group']['members']))

    def test_a_move_holds_both_hosts(self):
        hint = {'group': self.make_group()}
        moving, source = self.place(hint)
        self.assertEqual(
            202, self.act(moving, 'resize', {'flavorRef': self.big}).status
        )
        dest = self.host_of(moving)
        _, host = self.place(hint)
        self.assertEqual({'a', 'b', 'c'}, {source, dest, host})
        _, host = self.place(hint)
        self.assertIsNone(host)
        self.act(moving, 'confirmResize')
        _, host = self.place(hint)
        self.assertEqual(source, host)

    def test_affinity(self):
        hint = {'group': self.make_group('affinity')}
        placed = dict(self.place(hint) for _ in range(3))
        (host,) = set(placed.values())
        server = next(iter(placed))
        reply = self.act(server, 'os-migrateLive', _LIVE, '2.33')
        self.assert_refused(400, f'has servers on {host}', reply)

    def test_rules_and_several_servers(self):
        group = self.make_group(rules={'max_server_per_host': 2})
        reply = self.create({'group': group}, min_count=7)
        self.assertEqual(202, reply.status, reply.body)
        servers = self.ids(self.user)
        for server in servers:
            self.cloud.settle(server)
        hosts = [self.host_of(server) for server in servers]
        for host in 'abc':
            self.assertEqual(2, hosts.count(host))
        self.assertEqual(1, hosts.count(None))

    def test_soft_policies(self):
        self.config(
            'scheduler',
            soft_affinity_weight_multiplier=10,
            soft_anti_affinity_weight_multiplier=10,
        )
        near = {'group': self.make_group('soft-affinity')}
        self.assertEqual(1, len({self.place(near)[1] for _ in range(3)}))
        apart = {'group': self.make_group('soft-anti-affinity')}
        hosts = [self.place(apart)[1] for _ in range(6)]
        for host in 'abc':
            self.assertEqual(2, hosts.count(host))

    def test_the_group_of_a_server(self):
        group = self.make_group()
        server, _ = self.place({'group': group})
        shown = self.user.at_version('2.71').get(f'/servers/{server}').body
        self.assertEqual([group], shown['server']['server_groups'])
        self.user.delete(f'/os-server-groups/{group}')
        shown = self.user.at_version('2.71').get(f'/servers/{server}').body
        self.assertEqual([], shown['server']['server_groups'])
        # Without its group the server goes where it fits.
        reply = self.act(server, 'os-migrateLive', _LIVE, '2.33')
        self.assertEqual(202, reply.status, reply.body)

    def test_notifications(self):
        group = self.make_group()
        server, _ = self.place({'group': group})
        self.user.delete(f'/os-server-groups/{group}')

        def received():
            return [
                (one[0], one[2])
                for one in self.cloud.consumer.received
                if one[0].startswith('servergroup.')
            ]

        self.cloud.wait_for(lambda: len(received()) == 3)
        (create, payload), member, delete = received()
        self.assertEqual('servergroup.create', create)
        self.assertEqual(['anti-affinity'], payload['policies'])
        self.assertEqual(
            (
                'servergroup.addmember',
                {'server_group_id': group, 'instance_uuids': [server]},
            ),
            member,
        )
        self.assertEqual(
            ('servergroup.delete', {'server_group_id': group}), delete
        )


class HintsTest(GroupsTestCase):
    """The other scheduler hints, in creates and in later moves."""

    def test_different_and_same_host(self):
        first, host = self.place()
        for hint in (first, [first]):
            _, other = self.place({'different_host': hint})
            self.assertNotEqual(host, other)
        beside, same = self.place({'same_host': [first]})
        self.assertEqual(host, same)
        reply = self.act(beside, 'migrate')
        self.assert_refused(400, 'the hint same_host names', reply)
        lost, where = self.place({'same_host': str(uuid.uuid4())})
        self.assertIsNone(where)
        self.assertIn('the hint same_host names', self.fault_of(lost))

    def test_a_move_honours_different_host(self):
        first, host = self.place()
        server, own = self.place({'different_host': first})
        reply = self.act(server, 'os-migrateLive', _LIVE, '2.33')
        self.assertEqual(202, reply.status, reply.body)
        self.assertNotIn(self.host_of(server), (host, own))

    def test_query(self):
        self.config('scheduler', enabled_filters=['JsonFilter'])
        for query in (
            '["=", "$hypervisor_hostname", "b"]',
            ['and', ['>', '$free_ram_mb', 1], ['in', '$host', 'b', 'x']],
        ):
            _, host = self.place({'query': query})
            self.assertEqual('b', host)
