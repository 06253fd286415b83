# SPDX-License-Identifier: Apache-2.0
"""/limits."""

from tests.functional.api import base

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

    def test_limits_are_removed(self):
        gone = {
            35: {
                'maxSecurityGroups': -1,
                'maxSecurityGroupRules': -1,
                'maxTotalFloatingIps': -1,
                'totalSecurityGroupsUsed': 0,
                'totalFloatingIpsUsed': 0,
            },
            38: {'maxImageMeta': 128},
            56: {'maxPersonality': 5, 'maxPersonalitySize': 10240},
        }
        for last, values in gone.items():
            before = self.absolute(self.user.at_version(f'2.{last}'))
            after = self.absolute(self.user.at_version(f'2.{last + 1}'))
            self.assertEqual(set(values), set(before) - set(after))
            self.assertEqual(values, {name: before[name] for name in values})
        self.assertEqual(100, after['maxTotalKeypairs'])
        self.assertEqual(10, after['maxServerGroups'])
        self.assertEqual(10, after['maxServerGroupMembers'])
        self.assertEqual(0, after['totalServerGroupsUsed'])

    def test_limits_of_the_project(self):
        self.admin.put(
            '/os-quota-sets/22222222bbbbbbbb',
            {'quota_set': {'instances': 7, 'key_pairs': 3}},
        )
        found = self.absolute(self.user)
        self.assertEqual(7, found['maxTotalInstances'])
        self.assertEqual(3, found['maxTotalKeypairs'])
        self.assertEqual(10, self.absolute(self.other)['maxTotalInstances'])

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
