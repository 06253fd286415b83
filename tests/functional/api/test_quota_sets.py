# SPDX-License-Identifier: Apache-2.0
"""/os-quota-sets and /os-quota-class-sets."""

from minova.api.http import auth
from minova.conf import CONF
from minova.conf import quota
from tests.functional.api import base
from tests.functional.api.base import LATEST

_MINE = '22222222bbbbbbbb'
_OTHER = '33333333cccccccc'
_NETWORK = {
    'fixed_ips',
    'floating_ips',
    'security_groups',
    'security_group_rules',
}
_INJECTED = {
    'injected_files': 5,
    'injected_file_content_bytes': 10240,
    'injected_file_path_bytes': 255,
}
_DEFAULTS = {
    'instances': 10,
    'cores': 20,
    'ram': 51200,
    'metadata_items': 128,
    'key_pairs': 100,
    'server_groups': 10,
    'server_group_members': 10,
}


class QuotaTestCase(base.ApiTestCase):
    """Requests to quota sets, with the defaults of the options."""

    hosts = ()

    def setUp(self):
        super().setUp()
        for name in ('instances', 'cores', 'ram'):
            self.conf.conf.clear_override(name, 'quota')

    def quotas(self, path=_MINE, client=None):
        reply = (client or self.user).get(f'/os-quota-sets/{path}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['quota_set']

    def put(self, values, path=_MINE, client=None):
        return (client or self.admin).put(
            f'/os-quota-sets/{path}', {'quota_set': values}
        )

    def set(self, path=_MINE, **values):
        reply = self.put(values, path)
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['quota_set']

    def create(self, client=None, **values):
        body = {'server': self.server(**values)}
        return (client or self.user).post('/servers', body)


class QuotaSetsTest(QuotaTestCase):
    """/os-quota-sets."""

    def test_defaults_are_those_of_nova(self):
        newest = self.user.at_version(LATEST)
        self.assertEqual(
            {'id': _MINE, **_DEFAULTS}, self.quotas(client=newest)
        )
        oldest = self.user.at_version('2.1')
        expected = {'id': _MINE, **_DEFAULTS, **_INJECTED}
        expected |= dict.fromkeys(_NETWORK, -1)
        self.assertEqual(expected, self.quotas(client=oldest))
        self.assertEqual(expected, self.quotas(f'{_MINE}/defaults', oldest))

    def test_names_by_version(self):
        for last, names in ((35, _NETWORK), (56, set(_INJECTED))):
            for path in (_MINE, f'{_MINE}/detail', f'{_MINE}/defaults'):
                before, after = (
                    self.quotas(path, self.user.at_version(f'2.{version}'))
                    for version in (last, last + 1)
                )
                self.assertEqual(names, set(before) - set(after))
            for name in names:
                before, after = (
                    self.put(
                        {name: -1},
                        client=self.admin.at_version(f'2.{version}'),
                    )
                    for version in (last, last + 1)
                )
                self.assertEqual(200, before.status, before.body)
                self.assertEqual(-1, before.body['quota_set'][name])
                self.assert_refused(400, f"no field '{name}' here", after)

    def test_update(self):
        oldest = self.set(cores='50', ram=-1, injected_files=7)
        self.assertNotIn('id', oldest)
        self.assertEqual(50, oldest['cores'])
        self.assertEqual(-1, oldest['ram'])
        self.assertEqual(7, oldest['injected_files'])
        self.set(cores=60)
        found = self.quotas()
        self.assertEqual((60, -1), (found['cores'], found['ram']))
        self.assertEqual(10, found['instances'])
        self.assertEqual(20, self.quotas(f'{_MINE}/defaults')['cores'])
        self.assertEqual(20, self.quotas(_OTHER, self.other)['cores'])

    def test_update_nothing(self):
        self.assertEqual(10, self.set()['instances'])

    def test_delete(self):
        self.set(cores=60)
        self.set(f'{_MINE}?user_id=u', cores=6)
        reply = self.admin.delete(f'/os-quota-sets/{_MINE}')
        self.assertEqual(202, reply.status)
        self.assertIsNone(reply.body)
        self.assertEqual(20, self.quotas()['cores'])
        self.assertEqual(20, self.quotas(f'{_MINE}?user_id=u')['cores'])

    def test_invalid_bodies(self):
        for values, text in (
            ({'cores': -2}, 'quota_set.cores: must be a whole number from 0'),
            ({'cores': '-2'}, 'quota_set.cores'),
            ({'cores': '9999999999'}, 'quota_set.cores'),
            ({'cores': 2147483648}, 'quota_set.cores'),
            ({'cores': 1.5}, 'quota_set.cores'),
            ({'cores': ''}, 'quota_set.cores'),
            ({'cores': None}, 'quota_set.cores'),
            ({'cores': True}, 'quota_set.cores'),
            ({'force': 'maybe'}, 'quota_set.force'),
            ({'disks': 1}, "there is no field 'disks' here"),
            ({'ports': 1}, "there is no field 'ports' here"),
            ({'floating_ips': 5}, 'does not limit networks'),
            ({'networks': 5}, 'does not limit networks'),
        ):
            self.assert_refused(400, text, self.put(values))
        reply = self.admin.put(f'/os-quota-sets/{_MINE}', {})
        self.assert_refused(400, 'lacks quota_set', reply)
        self.assertEqual(20, self.quotas()['cores'])

    def test_below_the_usage(self):
        self.make_flavor(vcpus=2)
        for _ in range(2):
            self.assertEqual(202, self.create().status)
        reply = self.put({'instances': 5, 'cores': 3})
        self.assert_refused(
            400,
            'Quota limit 3 for cores must be greater than or equal to already '
            'used and reserved 4.',
            reply,
        )
        self.assertEqual(10, self.quotas()['instances'])
        found = self.set(cores=3, force='True')
        self.assertEqual(3, found['cores'])
        reply = self.create()
        self.assert_refused(
            403, 'cores: Requested 2, but already used 4 of 3 cores', reply
        )
        self.set(cores=4)

    def test_detail(self):
        self.make_flavor(vcpus=2)
        self.boot(wait=False)
        found = self.quotas(f'{_MINE}/detail')
        self.assertEqual(_MINE, found.pop('id'))
        self.assertEqual(
            {'limit': 20, 'in_use': 2, 'reserved': 0}, found['cores']
        )
        self.assertEqual(
            {'limit': 51200, 'in_use': 512, 'reserved': 0}, found['ram']
        )
        self.assertEqual(
            {'limit': 100, 'in_use': 0, 'reserved': 0}, found['key_pairs']
        )
        self.assertEqual({*_DEFAULTS, *_INJECTED, *_NETWORK}, set(found))

    def test_of_another_project(self):
        for path in ('', '/detail'):
            reply = self.user.get(f'/os-quota-sets/{_OTHER}{path}')
            self.assert_refused(403, 'os-quota-sets', reply)
            self.quotas(_OTHER + path, self.admin.at_version(LATEST))
        self.quotas(f'{_OTHER}/defaults')

    def test_users_cannot_change_them(self):
        for reply in (
            self.put({'cores': 1}, client=self.user),
            self.user.delete(f'/os-quota-sets/{_MINE}'),
        ):
            self.assert_refused(403, 'administrators', reply)

    def test_unknown_project(self):
        self.patch(
            auth.NoAuth, 'has_project', lambda strategy, one: one == _MINE
        )
        self.quotas()
        text = 'Project ID none is not a valid project.'
        for path in ('', '/detail', '/defaults'):
            reply = self.admin.get(f'/os-quota-sets/none{path}')
            self.assert_refused(400, text, reply)
        self.assert_refused(400, text, self.put({'cores': 1}, 'none'))
        # The limits of a deleted project can be removed.
        reply = self.admin.delete('/os-quota-sets/none')
        self.assertEqual(202, reply.status)

    def test_unknown_parameters(self):
        path = f'/os-quota-sets/{_MINE}'
        for name in ('', '/detail'):
            self.quotas(f'{_MINE}{name}?user_id=a&user_id=b')
            self.quotas(f'{_MINE}{name}?foo=1')
            user = self.user.at_version('2.75')
            reply = user.get(f'{path}{name}?user_id=a')
            self.assertEqual(200, reply.status)
            reply = user.get(f'{path}{name}?foo=1')
            self.assert_refused(400, "'foo'", reply)

    def test_unlimited(self):
        self.make_flavor()
        self.set(instances=-1, cores=-1, ram=-1)
        self.assertEqual(202, self.create(min_count=30).status)
        self.assertEqual(30, self.quotas(f'{_MINE}/detail')['cores']['in_use'])


class UserQuotaTest(QuotaTestCase):
    """The limits of a user in a project."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.one = base.Client(self.http, f'one:{_MINE}')
        self.two = base.Client(self.http, f'two:{_MINE}')

    def test_a_user_has_the_limits_of_the_project(self):
        self.set(cores=7)
        self.assertEqual(7, self.quotas(f'{_MINE}?user_id=one')['cores'])

    def test_a_user_is_limited_in_the_project(self):
        self.set(f'{_MINE}?user_id=one', instances=2)
        self.assertEqual(2, self.quotas(f'{_MINE}?user_id=one')['instances'])
        self.assertEqual(10, self.quotas()['instances'])
        for _ in range(3):
            self.assertEqual(202, self.create(self.two).status)
        for _ in range(2):
            self.assertEqual(202, self.create(self.one).status)
        self.assert_refused(
            403,
            'instances: Requested 1, but already used 2 of 2 instances',
            self.create(self.one),
        )
        used = self.quotas(f'{_MINE}/detail?user_id=one')['instances']
        self.assertEqual({'limit': 2, 'in_use': 2, 'reserved': 0}, used)
        elsewhere = base.Client(self.http, f'one:{_OTHER}')
        self.assertEqual(202, self.create(elsewhere).status)

    def test_the_project_limits_its_users(self):
        self.set(instances=3)
        self.set(f'{_MINE}?user_id=one', instances=2)
        for client in (self.two, self.two, self.two):
            self.assertEqual(202, self.create(client).status)
        self.assert_refused(
            403, 'already used 3 of 3 instances', self.create(self.one)
        )

    def test_as_many_as_fit(self):
        self.set(f'{_MINE}?user_id=one', cores=4)
        self.assertEqual(202, self.create(self.one, max_count=9).status)
        self.assertEqual(4, len(self.ids(self.one)))

    def test_limits_of_users_share_that_of_the_project(self):
        self.set(f'{_MINE}?user_id=one', instances=6)
        reply = self.put({'instances': 5}, f'{_MINE}?user_id=two')
        self.assert_refused(
            400,
            'Quota limit 5 for instances must be less than or equal to 4',
            reply,
        )
        reply = self.put({'instances': -1}, f'{_MINE}?user_id=two')
        self.assert_refused(400, 'less than or equal to 4', reply)
        reply = self.put({'instances': 5})
        self.assert_refused(400, 'already used and reserved 6', reply)
        self.set(f'{_MINE}?user_id=two', instances=4)
        self.set(f'{_MINE}?user_id=one', instances=1)
        self.set(f'{_MINE}?user_id=two', instances=50, force=True)

    def test_delete_of_one_user(self):
        for user in ('one', 'two'):
            self.set(f'{_MINE}?user_id={user}', instances=2)
        self.set(instances=8)
        self.admin.delete(f'/os-quota-sets/{_MINE}?user_id=one')
        for user, limit in (('one', 8), ('two', 2)):
            found = self.quotas(f'{_MINE}?user_id={user}')
            self.assertEqual(limit, found['instances'])
        self.assertEqual(8, self.quotas()['instances'])

    def test_metadata_and_key_pairs(self):
        self.set(f'{_MINE}?user_id=one', metadata_items=1, key_pairs=1)
        for client, status in ((self.two, 202), (self.one, 403)):
            reply = self.create(client, metadata={'a': '1', 'b': '2'})
            self.assertEqual(status, reply.status, reply.body)
        uuid = self.boot(self.one, wait=False)
        path = f'/servers/{uuid}/metadata'
        for name, status in (('a', 200), ('b', 403)):
            reply = self.one.post(path, {'metadata': {name: '1'}})
            self.assertEqual(status, reply.status)
        self.set(f'{_MINE}?user_id=one', metadata_items=0)
        reply = self.one.delete(f'{path}/a')
        self.assertEqual(204, reply.status, reply.body)
        for name, status in (('a', 200), ('b', 403)):
            reply = self.one.post('/os-keypairs', {'keypair': {'name': name}})
            self.assertEqual(status, reply.status)
        self.assert_refused(403, 'Quota exceeded, too many key pairs.', reply)


class QuotaClassSetsTest(QuotaTestCase):
    """/os-quota-class-sets."""

    def get(self, name='default', client=None):
        reply = (client or self.admin).get(f'/os-quota-class-sets/{name}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['quota_class_set']

    def update(self, values, name='default', client=None):
        return (client or self.admin).put(
            f'/os-quota-class-sets/{name}', {'quota_class_set': values}
        )

    def test_the_default_class_has_the_defaults(self):
        reply = self.update({'cores': 30, 'ram': '-1'})
        self.assertEqual(200, reply.status, reply.body)
        made = reply.body['quota_class_set']
        self.assertNotIn('id', made)
        self.assertEqual((30, -1), (made['cores'], made['ram']))
        found = self.get()
        self.assertEqual({'id': 'default', **made}, found)
        for path in (_MINE, f'{_MINE}/defaults', f'{_MINE}?user_id=u'):
            self.assertEqual(30, self.quotas(path)['cores'])
        self.set(cores=40)
        self.assertEqual(40, self.quotas()['cores'])
        self.assertEqual(30, self.quotas(f'{_MINE}/defaults')['cores'])

    def test_it_limits(self):
        self.make_flavor()
        self.update({'instances': 1})
        self.assertEqual(202, self.create().status)
        self.assert_refused(403, 'used 1 of 1 instances', self.create())

    def test_another_class_has_no_effect(self):
        self.update({'cores': 30}, 'gold')
        self.assertEqual(30, self.get('gold')['cores'])
        self.assertEqual(20, self.get()['cores'])
        self.assertEqual(20, self.quotas()['cores'])

    def test_names_by_version(self):
        def names(version):
            found = self.get(client=self.admin.at_version(f'2.{version}'))
            return set(found) - {'id'}

        groups = {'server_groups', 'server_group_members'}
        self.assertEqual(
            {*_DEFAULTS, *_INJECTED, *_NETWORK} - groups, names(49)
        )
        self.assertEqual({*_DEFAULTS, *_INJECTED}, names(50))
        self.assertEqual({*_DEFAULTS, *_INJECTED}, names(56))
        self.assertEqual({*_DEFAULTS}, names(57))
        for name, last in (('floating_ips', 49), ('injected_files', 56)):
            for version, status in ((last, 200), (last + 1, 400)):
                client = self.admin.at_version(f'2.{version}')
                reply = self.update({name: -1}, client=client)
                self.assertEqual(status, reply.status, reply.body)

    def test_administrators_only(self):
        for reply in (
            self.user.get('/os-quota-class-sets/default'),
            self.update({'cores': 1}, client=self.user),
        ):
            self.assert_refused(403, 'administrators', reply)

    def test_force_is_no_field(self):
        reply = self.update({'force': True})
        self.assert_refused(400, "there is no field 'force'", reply)


class OptionsTest(base.base.TestCase):
    """The options have the defaults of Nova and Neutron."""

    def test_defaults(self):
        expected = {
            **_DEFAULTS,
            **_INJECTED,
            'ports': 500,
            'shared_network_percent': 50,
        }
        expected['injected_file_path_length'] = expected.pop(
            'injected_file_path_bytes'
        )
        found = {one.name: CONF.quota[one.name] for one in quota.OPTIONS}
        self.assertEqual(expected, found)
