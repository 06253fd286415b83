# SPDX-License-Identifier: Apache-2.0
"""Flavors and their extra specs."""

from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST


class FlavorsTestCase(base.ApiTestCase):
    """Some flavors."""

    hosts = ()

    def flavors(self, client=None, query='', path='/flavors'):
        reply = (client or self.user).get(path + query)
        self.assertEqual(200, reply.status, reply.body)
        return [flavor['id'] for flavor in reply.body['flavors']]


class ListTest(FlavorsTestCase):
    """GET /flavors and /flavors/detail."""

    def setUp(self):
        super().setUp()
        self.make_flavor('b', ram=1024, disk=20)
        self.make_flavor('a', ram=512, disk=40)
        self.make_flavor('c', **{'os-flavor-access:is_public': False})

    def test_brief(self):
        (first, _) = self.user.get('/flavors').body['flavors']
        self.assertEqual({'id', 'name', 'links'}, set(first))
        self.assertEqual(
            'http://falconframework.org/v2.1/flavors/a',
            first['links'][0]['href'],
        )

    def test_keys_of_each_version(self):
        known = {
            'id',
            'name',
            'links',
            'ram',
            'vcpus',
            'disk',
            'swap',
            'OS-FLV-EXT-DATA:ephemeral',
            'OS-FLV-DISABLED:disabled',
            'os-flavor-access:is_public',
            'rxtx_factor',
        }
        for version, added in (
            ('2.54', set()),
            ('2.55', {'description'}),
            ('2.60', {'description'}),
            ('2.61', {'description', 'extra_specs'}),
        ):
            body = self.user.at_version(version).get('/flavors/detail').body
            self.assertEqual(known | added, set(body['flavors'][0]))
            body = self.user.at_version(version).get('/flavors/a').body
            self.assertEqual(known | added, set(body['flavor']))

    def test_swap_defaults_to_0_since_2_75(self):
        for version, swap in (('2.74', ''), ('2.75', 0)):
            body = self.user.at_version(version).get('/flavors/a').body
            self.assertEqual(swap, body['flavor']['swap'])
        self.make_flavor('s', swap=7)
        self.assertEqual(7, self.user.get('/flavors/s').body['flavor']['swap'])

    def test_filters(self):
        for query, found in (
            ('', ['a', 'b']),
            ('?minRam=513', ['b']),
            ('?minDisk=21', ['a']),
            ('?minRam=513&minDisk=21', []),
            ('?foo=bar', ['a', 'b']),
        ):
            self.assertEqual(found, self.flavors(query=query), query)

    def test_name_from_2_102_on(self):
        client = self.user.at_version('2.102')
        for path in ('/flavors', '/flavors/detail'):
            for name, found in (
                ('a', ['a']),
                ('^[ab]$', ['a', 'b']),
                ('B', []),
                ('c', []),
                ('', ['a', 'b']),
            ):
                query = f'?name={name}'
                self.assertEqual(found, self.flavors(client, query, path))
            reply = client.get(f'{path}?name=(a')
            self.assert_refused(400, 'must be a regular expression', reply)
            before = self.user.at_version('2.101').get(f'{path}?name=a')
            self.assert_refused(400, "'name'", before)
            older = self.user.at_version('2.74')
            self.assertEqual(['a', 'b'], self.flavors(older, '?name=a', path))

    def test_rxtx_factor_is_gone_from_2_102_on(self):
        gone = {'rxtx_factor', 'OS-FLV-DISABLED:disabled'}
        before, after = (
            self.admin.at_version(version) for version in ('2.101', '2.102')
        )
        for path in ('/flavors/a', '/flavors/detail'):
            old, new = (
                client.get(path).body.popitem()[1]
                for client in (before, after)
            )
            if path.endswith('detail'):
                old, new = old[0], new[0]
            self.assertEqual(gone, set(old) - set(new))
            self.assertEqual(set(), set(new) - set(old))
        query = '/flavors?sort_key=rxtx_factor'
        self.assertEqual(200, before.get(query).status)
        self.assert_refused(400, 'no rxtx_factor', after.get(query))
        body = {'name': 'n', 'ram': 1, 'vcpus': 1, 'disk': 1}
        body['rxtx_factor'] = 2.0
        reply = after.post('/flavors', {'flavor': body})
        self.assert_refused(400, "no field 'rxtx_factor'", reply)
        reply = before.post('/flavors', {'flavor': body})
        self.assertEqual(200, reply.status, reply.body)

    def test_visibility(self):
        for query, mine, theirs in (
            ('', ['a', 'b'], ['a', 'b']),
            ('?is_public=None', ['a', 'b'], ['a', 'b', 'c']),
            ('?is_public=none', ['a', 'b'], ['a', 'b', 'c']),
            ('?is_public=false', ['a', 'b'], ['c']),
            ('?is_public=true', ['a', 'b'], ['a', 'b']),
        ):
            self.assertEqual(mine, self.flavors(query=query), query)
            self.assertEqual(theirs, self.flavors(self.admin, query), query)
        reply = self.user.get('/flavors/c')
        self.assert_refused(404, 'Flavor c could not be found.', reply)
        self.assertEqual(200, self.admin.get('/flavors/c').status)

    def test_sorted(self):
        for query, found in (
            ('?sort_key=memory_mb', ['a', 'b']),
            ('?sort_key=root_gb', ['b', 'a']),
            ('?sort_key=name&sort_dir=desc', ['b', 'a']),
            ('?sort_key=description', ['b', 'a']),
        ):
            self.assertEqual(found, self.flavors(query=query), query)

    def test_pages(self):
        body = self.user.get('/flavors/detail?limit=1').body
        self.assertEqual('a', body['flavors'][0]['id'])
        (link,) = body['flavors_links']
        body = self.user.get(link['href'].partition('.org')[2]).body
        self.assertEqual('b', body['flavors'][0]['id'])
        self.assertNotIn('flavors_links', body)
        reply = self.user.get('/flavors?marker=x')
        self.assert_refused(400, 'marker [x] not found', reply)

    def test_invalid_values(self):
        for query, text in (
            ('minRam=x', 'minRam: must be a whole number'),
            ('minDisk=-1', 'minDisk: must be a whole number'),
            ('limit=-1', 'limit'),
            ('is_public=maybe', 'is_public: must be true or false'),
            ('sort_key=x', 'sort_key: must be one of flavorid'),
            ('sort_dir=x', 'sort_dir: must be one of asc, desc'),
        ):
            for path in ('/flavors', '/flavors/detail'):
                reply = self.user.get(f'{path}?{query}')
                self.assert_refused(400, text, reply)
        reply = self.user.at_version('2.75').get('/flavors?foo=bar')
        self.assert_refused(400, "'foo'", reply)

    def test_disabled_one_is_not_listed(self):
        self.cloud.database.write(
            lambda c: c.execute(
                tables.flavors.update()
                .where(tables.flavors.c.flavorid == 'a')
                .values(disabled=True)
            )
        )
        self.assertEqual(['b'], self.flavors())
        shown = self.user.get('/flavors/a').body['flavor']
        self.assertIs(True, shown['OS-FLV-DISABLED:disabled'])


class ManageTest(FlavorsTestCase):
    """Create, describe and delete flavors."""

    def create(self, client=None, **values):
        made = {'name': 'x', 'ram': 512, 'vcpus': 1, 'disk': 1} | values
        return (client or self.admin).post('/flavors', {'flavor': made})

    def test_create(self):
        reply = self.create(
            id='m1.tiny',
            name='tiny',
            ram='256',
            vcpus=2,
            disk=3,
            swap=4,
            rxtx_factor=2.5,
            **{
                'OS-FLV-EXT-DATA:ephemeral': 5,
                'os-flavor-access:is_public': 'False',
            },
        )
        self.assertEqual(200, reply.status)
        shown = reply.body['flavor']
        del shown['links']
        self.assertEqual(
            {
                'id': 'm1.tiny',
                'name': 'tiny',
                'ram': 256,
                'vcpus': 2,
                'disk': 3,
                'swap': 4,
                'rxtx_factor': 2.5,
                'OS-FLV-EXT-DATA:ephemeral': 5,
                'OS-FLV-DISABLED:disabled': False,
                'os-flavor-access:is_public': False,
            },
            shown,
        )

    def test_ids(self):
        for number, expected in (
            (7, '7'),
            ('8', '8'),
            ('a b.c_d-e', 'a b.c_d-e'),
        ):
            reply = self.create(id=number, name=f'n{number}')
            self.assertEqual(expected, reply.body['flavor']['id'])
        for number, name in ((None, 'n'), ('auto', 'o')):
            reply = self.create(id=number, name=name)
            self.assertRegex(reply.body['flavor']['id'], '^[0-9a-f-]{36}$')

    def test_description_from_2_55_on(self):
        reply = self.create(self.admin.at_version('2.54'), description='d')
        self.assert_refused(400, 'exists since microversion 2.55.', reply)
        reply = self.create(
            self.admin.at_version('2.55'), id='1', description='d'
        )
        self.assertEqual('d', reply.body['flavor']['description'])
        change = {'flavor': {'description': 'e'}}
        reply = self.admin.at_version('2.54').put('/flavors/1', change)
        self.assert_refused(404, 'could not be found', reply)
        reply = self.admin.at_version('2.55').put('/flavors/1', change)
        self.assertEqual('e', reply.body['flavor']['description'])
        reply = self.admin.at_version('2.55').put('/flavors/2', change)
        self.assert_refused(404, 'Flavor 2 could not be found.', reply)

    def test_taken(self):
        self.create(id='1', name='one')
        reply = self.create(id='1', name='two')
        self.assert_refused(409, 'Flavor with ID 1 already exists.', reply)
        reply = self.create(id='2', name='one')
        self.assert_refused(409, 'Flavor with name one already', reply)

    def test_invalid_values(self):
        for values, text in (
            ({'ram': 0}, 'flavor.ram: must be a whole number from 1'),
            ({'ram': '0'}, 'flavor.ram'),
            ({'ram': 2**31}, 'flavor.ram'),
            ({'ram': '9999999999'}, 'flavor.ram'),
            ({'ram': 1.5}, 'flavor.ram'),
            ({'ram': True}, 'flavor.ram'),
            ({'ram': ''}, 'flavor.ram'),
            ({'vcpus': 0}, 'flavor.vcpus'),
            ({'disk': -1}, 'flavor.disk'),
            ({'swap': 'x'}, 'flavor.swap'),
            ({'rxtx_factor': 0}, 'flavor.rxtx_factor'),
            ({'rxtx_factor': 'x'}, 'flavor.rxtx_factor'),
            ({'name': ''}, 'flavor.name'),
            ({'name': ' x'}, 'flavor.name'),
            ({'id': ''}, 'flavor.id'),
            ({'id': 'a/b'}, 'flavor.id'),
            ({'id': ' a'}, 'flavor.id'),
            ({'id': 'a\n'}, 'flavor.id'),
            ({'id': -1}, 'flavor.id'),
            ({'os-flavor-access:is_public': 'x'}, 'must be true or false'),
            ({'foo': 1}, "no field 'foo'"),
        ):
            self.assert_refused(400, text, self.create(**values))
        for body in ({}, {'flavor': None}, {'flavor': {}}, [], 'x'):
            reply = self.admin.post('/flavors', body)
            self.assertEqual(400, reply.status, reply.body)
        self.assertEqual([], self.flavors(self.admin))

    def test_delete(self):
        self.create(id='1')
        self.assertEqual(202, self.admin.delete('/flavors/1').status)
        for method in ('GET', 'DELETE'):
            reply = self.admin.request(method, '/flavors/1')
            self.assert_refused(404, 'Flavor 1 could not be found.', reply)

    def test_servers_keep_a_deleted_flavor(self):
        self.make_flavor()
        uuid = self.boot(wait=False)
        self.admin.delete('/flavors/small')
        self.make_flavor('small', ram=9999)
        shown = self.show(uuid, self.user.at_version('2.47'))
        self.assertEqual(512, shown['flavor']['ram'])
        self.assertEqual([], self.ids(self.user, '?flavor=small'))


class AccessTest(FlavorsTestCase):
    """Flavors that are not public, and the projects that may use them."""

    project = base.USER.partition(':')[2]

    def setUp(self):
        super().setUp()
        self.make_flavor('open')
        self.make_flavor('mine', **{'os-flavor-access:is_public': False})

    def change(self, action, client=None, flavor='mine', project=None):
        return (client or self.admin).post(
            f'/flavors/{flavor}/action',
            {action: {'tenant': project or self.project}},
        )

    def projects(self, flavor='mine'):
        reply = self.admin.get(f'/flavors/{flavor}/os-flavor-access')
        self.assertEqual(200, reply.status, reply.body)
        for one in reply.body['flavor_access']:
            self.assertEqual(flavor, one['flavor_id'])
        return [one['tenant_id'] for one in reply.body['flavor_access']]

    def test_add_and_remove(self):
        self.assertEqual([], self.projects())
        reply = self.change('addTenantAccess')
        self.assertEqual(200, reply.status, reply.body)
        both = [{'flavor_id': 'mine', 'tenant_id': self.project}]
        self.assertEqual({'flavor_access': both}, reply.body)
        reply = self.change('addTenantAccess', project='0')
        both.insert(0, {'flavor_id': 'mine', 'tenant_id': '0'})
        self.assertEqual({'flavor_access': both}, reply.body)
        self.assertEqual(['0', self.project], self.projects())
        reply = self.change('removeTenantAccess', project='0')
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual({'flavor_access': both[1:]}, reply.body)
        self.assertEqual([self.project], self.projects())

    def test_projects_with_access_see_the_flavor(self):
        self.assertEqual(['open'], self.flavors())
        self.assertEqual(404, self.user.get('/flavors/mine').status)
        self.change('addTenantAccess')
        for query in ('', '?is_public=true', '?is_public=none'):
            self.assertEqual(['mine', 'open'], self.flavors(query=query))
            self.assertEqual(['open'], self.flavors(self.other, query))
        detail = self.flavors(path='/flavors/detail')
        self.assertEqual(['mine', 'open'], detail)
        for path in ('/flavors/mine', '/flavors/mine/os-extra_specs'):
            self.assertEqual(200, self.user.get(path).status)
            reply = self.other.get(path)
            self.assert_refused(404, 'Flavor mine could not be found.', reply)
        self.change('removeTenantAccess')
        self.assertEqual(['open'], self.flavors())
        self.assertEqual(404, self.user.get('/flavors/mine').status)

    def test_administrators_list(self):
        own = base.ADMIN.partition(':')[2]
        for query, found in (
            ('', ['open']),
            ('?is_public=true', ['open']),
            ('?is_public=false', ['mine']),
            ('?is_public=none', ['mine', 'open']),
        ):
            self.assertEqual(found, self.flavors(self.admin, query), query)
        # The flavors that the own project may use are in the default list.
        self.change('addTenantAccess', project=own)
        for query, found in (
            ('', ['mine', 'open']),
            ('?is_public=true', ['mine', 'open']),
            ('?is_public=false', ['mine']),
        ):
            self.assertEqual(found, self.flavors(self.admin, query), query)

    def test_servers_need_access(self):
        def create(client):
            server = self.server(flavorRef='mine')
            return client.post('/servers', {'server': server})

        reply = create(self.user)
        self.assert_refused(400, 'Flavor mine could not be found.', reply)
        self.change('addTenantAccess')
        self.assertEqual(202, create(self.user).status)
        reply = create(self.other)
        self.assert_refused(400, 'Flavor mine could not be found.', reply)
        self.change('removeTenantAccess')
        reply = create(self.user)
        self.assert_refused(400, 'Flavor mine could not be found.', reply)

    def test_refused_changes(self):
        reply = self.change('removeTenantAccess')
        self.assert_refused(
            404,
            f'Flavor access not found for mine / {self.project} combination.',
            reply,
        )
        self.change('addTenantAccess')
        reply = self.change('addTenantAccess')
        self.assert_refused(
            409,
            'Flavor access already exists for flavor mine and project '
            f'{self.project} combination.',
            reply,
        )
        self.assertEqual([self.project], self.projects())
        for action in ('addTenantAccess', 'removeTenantAccess'):
            reply = self.change(action, flavor='none')
            self.assert_refused(404, 'Flavor none could not be found.', reply)

    def test_public_flavors(self):
        for flavor, text in (
            ('open', 'Access list not available for public flavors.'),
            ('none', 'Flavor none could not be found.'),
        ):
            reply = self.admin.get(f'/flavors/{flavor}/os-flavor-access')
            self.assert_refused(404, text, reply)
        reply = self.change(
            'addTenantAccess', self.admin.at_version('2.7'), flavor='open'
        )
        self.assert_refused(
            409, 'Can not add access to a public flavor.', reply
        )
        reply = self.change(
            'addTenantAccess', self.admin.at_version('2.6'), flavor='open'
        )
        self.assertEqual(200, reply.status, reply.body)
        reply = self.change(
            'removeTenantAccess', self.admin.at_version('2.7'), flavor='open'
        )
        self.assertEqual({'flavor_access': []}, reply.body)

    def test_for_administrators(self):
        for action, rule in (
            ('addTenantAccess', 'add_tenant_access'),
            ('removeTenantAccess', 'remove_tenant_access'),
        ):
            reply = self.change(action, self.user)
            self.assert_refused(403, f'os-flavor-access:{rule}', reply)
        reply = self.user.get('/flavors/mine/os-flavor-access')
        self.assert_refused(403, 'os_compute_api:os-flavor-access', reply)

    def test_invalid_bodies(self):
        for body, text in (
            ({}, 'one key, the action'),
            ({'x': {}}, 'There is no such action: x'),
            ({'addTenantAccess': None}, 'addTenantAccess: must be'),
            ({'addTenantAccess': {}}, 'addTenantAccess: lacks tenant'),
            ({'addTenantAccess': {'tenant': ''}}, 'addTenantAccess.tenant'),
            ({'addTenantAccess': {'tenant': 7}}, 'addTenantAccess.tenant'),
            ({'addTenantAccess': {'tenant': 'x' * 256}}, 'longer than 255'),
            ({'removeTenantAccess': {'tenant': '1', 'x': 1}}, "no field 'x'"),
        ):
            reply = self.admin.post('/flavors/mine/action', body)
            self.assert_refused(400, text, reply)

    def test_deleted_flavor_loses_its_list(self):
        self.change('addTenantAccess')
        self.admin.delete('/flavors/mine')
        rows = self.cloud.database.read(
            lambda c: c.execute(tables.flavor_projects.select()).all()
        )
        self.assertEqual([], rows)


class ExtraSpecsTest(FlavorsTestCase):
    """/flavors/{id}/os-extra_specs."""

    path = '/flavors/small/os-extra_specs'

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def specs(self):
        return self.user.get(self.path).body['extra_specs']

    def test_life(self):
        self.assertEqual({}, self.specs())
        given = {'hw:cpu_policy': 'shared', 'quota:x': 7}
        reply = self.admin.post(self.path, {'extra_specs': given})
        self.assertEqual(200, reply.status)
        kept = {'hw:cpu_policy': 'shared', 'quota:x': '7'}
        self.assertEqual({'extra_specs': kept}, reply.body)
        self.assertEqual(kept, self.specs())
        reply = self.user.get(f'{self.path}/quota:x')
        self.assertEqual({'quota:x': '7'}, reply.body)
        reply = self.admin.put(f'{self.path}/quota:x', {'quota:x': '8'})
        self.assertEqual({'quota:x': '8'}, reply.body)
        self.admin.post(self.path, {'extra_specs': {'a': 'b'}})
        self.assertEqual({**kept, 'quota:x': '8', 'a': 'b'}, self.specs())
        reply = self.admin.delete(f'{self.path}/quota:x')
        self.assertEqual(200, reply.status)
        self.assertEqual({'hw:cpu_policy': 'shared', 'a': 'b'}, self.specs())
        flavor = (
            self.user.at_version(LATEST).get('/flavors/small').body['flavor']
        )
        self.assertEqual(self.specs(), flavor['extra_specs'])

    def test_not_found(self):
        for method in ('GET', 'DELETE'):
            reply = self.admin.request(method, f'{self.path}/x')
            text = 'Flavor small has no extra specs with key x.'
            self.assert_refused(404, text, reply)
        reply = self.admin.get('/flavors/none/os-extra_specs')
        self.assert_refused(404, 'Flavor none', reply)

    def test_invalid_values(self):
        for specs in ({}, {'a/b': 'x'}, {'a': None}, {'a': 'x' * 256}, [], 7):
            reply = self.admin.post(self.path, {'extra_specs': specs})
            self.assertEqual(400, reply.status, reply.body)
        for body in ({'b': 'x'}, {'a': 'x', 'b': 'y'}, {}):
            reply = self.admin.put(f'{self.path}/a', body)
            self.assertEqual(400, reply.status, reply.body)
        self.assertEqual({}, self.specs())
