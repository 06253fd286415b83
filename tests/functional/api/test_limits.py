# SPDX-License-Identifier: Apache-2.0
"""/limits and /os-quota-sets."""

from tests.functional.api import base
from tests.functional.api.base import LATEST

_OTHER = '33333333cccccccc'


class LimitsTest(base.ApiTestCase):
    """/limits."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor(vcpus=2)
        self.config('quota', instances=10, cores=-1, ram=4096)
        self.boot(wait=False)

    def absolute(self, client, query=''):
        reply = client.get(f'/limits{query}')
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual([], reply.body['limits']['rate'])
        return reply.body['limits']['absolute']

    def test_limits_and_usage(self):
        found = self.absolute(self.user)
        self.assertEqual(10, found['maxTotalInstances'])
        self.assertEqual(-1, found['maxTotalCores'])
        self.assertEqual(4096, found['maxTotalRAMSize'])
        self.assertEqual(128, found['maxServerMeta'])
        self.assertEqual(1, found['totalInstancesUsed'])
        self.assertEqual(2, found['totalCoresUsed'])
        self.assertEqual(512, found['totalRAMUsed'])
        self.assertEqual(0, self.absolute(self.other)['totalInstancesUsed'])

    def test_unsupported_limits_are_0_until_removed(self):
        gone = {
            35: {
                'maxSecurityGroups',
                'maxSecurityGroupRules',
                'maxTotalFloatingIps',
                'totalSecurityGroupsUsed',
                'totalFloatingIpsUsed',
            },
            38: {'maxImageMeta'},
            56: {'maxPersonality', 'maxPersonalitySize'},
        }
        for last, names in gone.items():
            before = self.absolute(self.user.at_version(f'2.{last}'))
            after = self.absolute(self.user.at_version(f'2.{last + 1}'))
            self.assertEqual(names, set(before) - set(after))
            self.assertEqual({0}, {before[name] for name in names})
        self.assertEqual(100, after['maxTotalKeypairs'])

    def test_of_another_project(self):
        query = '?tenant_id=22222222bbbbbbbb'
        self.assertEqual(
            1, self.absolute(self.admin, query)['totalInstancesUsed']
        )
        self.assertEqual(
            1, self.absolute(self.user, query)['totalInstancesUsed']
        )
        reply = self.user.get(f'/limits?tenant_id={_OTHER}')
        self.assert_refused(403, 'limits:other_project', reply)

    def test_unknown_parameters(self):
        for name in ('foo', 'reserved'):
            self.absolute(self.user.at_version('2.74'), f'?{name}=1')
            reply = self.user.at_version('2.75').get(f'/limits?{name}=1')
            self.assert_refused(400, f"'{name}'", reply)


class QuotaSetsTest(base.ApiTestCase):
    """/os-quota-sets."""

    hosts = ()
    mine = '22222222bbbbbbbb'

    def quotas(self, path, client=None):
        reply = (client or self.user).get(f'/os-quota-sets/{path}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['quota_set']

    def test_show_and_defaults(self):
        self.config('quota', instances=10)
        found = self.quotas(self.mine)
        self.assertEqual(self.mine, found['id'])
        self.assertEqual(10, found['instances'])
        self.assertEqual(-1, found['cores'])
        self.assertEqual(128, found['metadata_items'])
        self.assertEqual(100, found['key_pairs'])
        self.assertEqual(found, self.quotas(f'{self.mine}/defaults'))

    def test_detail(self):
        self.make_flavor(vcpus=2)
        self.boot(wait=False)
        found = self.quotas(f'{self.mine}/detail')
        self.assertEqual(
            {'limit': -1, 'in_use': 2, 'reserved': 0}, found['cores']
        )
        self.assertEqual(
            {'limit': 100, 'in_use': 0, 'reserved': 0}, found['key_pairs']
        )

    def test_unsupported_quotas_are_removed(self):
        for last, names in (
            (
                35,
                {
                    'fixed_ips',
                    'floating_ips',
                    'security_groups',
                    'security_group_rules',
                },
            ),
            (
                56,
                {
                    'injected_files',
                    'injected_file_content_bytes',
                    'injected_file_path_bytes',
                },
            ),
        ):
            before = self.quotas(self.mine, self.user.at_version(f'2.{last}'))
            after = self.quotas(
                self.mine, self.user.at_version(f'2.{last + 1}')
            )
            self.assertEqual(names, set(before) - set(after))

    def test_of_another_project(self):
        for path in ('', '/detail'):
            reply = self.user.get(f'/os-quota-sets/{_OTHER}{path}')
            self.assert_refused(403, 'os-quota-sets', reply)
            self.quotas(_OTHER + path, self.admin.at_version(LATEST))

    def test_unknown_parameters(self):
        path = f'/os-quota-sets/{self.mine}'
        for name in ('', '/detail'):
            self.quotas(f'{self.mine}{name}?user_id=a&user_id=b')
            self.quotas(f'{self.mine}{name}?foo=1')
            user = self.user.at_version('2.75')
            reply = user.get(f'{path}{name}?user_id=a')
            self.assertEqual(200, reply.status)
            reply = user.get(f'{path}{name}?foo=1')
            self.assert_refused(400, "'foo'", reply)

    def test_quotas_are_read_only(self):
        reply = self.admin.put(f'/os-quota-sets/{self.mine}', {})
        self.assert_refused(405, 'not allowed', reply)
