# SPDX-License-Identifier: Apache-2.0
"""Requests for servers whose host is down."""

from tests.functional.api import base

#: The actions that need the server's host, by the state of the server.
_ACTIONS = {
    'ACTIVE': (
        ('os-stop', None),
        ('pause', None),
        ('suspend', None),
        ('reboot', {'type': 'SOFT'}),
        ('reboot', {'type': 'HARD'}),
        ('rescue', None),
        ('rebuild', {}),
        ('resize', {'flavorRef': 'big'}),
        ('migrate', None),
    ),
    'SHUTOFF': (('os-start', None), ('migrate', None)),
}


class HostDownTest(base.ApiTestCase):
    """A host that is silent, or forced down, is asked for nothing."""

    hosts = ('a', 'b', 'c')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_flavor('big', vcpus=2, disk=2)
        self.uuid = self.boot(self.admin, availability_zone=':a')

    def force_down(self, host, is_down=True):
        reply = self.admin.at_version('2.11').put(
            '/os-services/force-down',
            {'host': host, 'binary': 'nova-compute', 'forced_down': is_down},
        )
        self.assertEqual(200, reply.status, reply.body)

    def act(self, action, content=None, status=202):
        reply = self.admin.act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)

    def assert_all_refused(self):
        known = len(self.cloud.operations(self.uuid))
        shown = self.show(self.uuid, self.admin)
        for action, content in _ACTIONS[shown['status']]:
            if action == 'rebuild':
                content = {'imageRef': self.image}
            reply = self.admin.act(self.uuid, action, content)
            self.assert_refused(
                409, 'while the compute service of its host is down', reply
            )
        self.assertEqual(known, len(self.cloud.operations(self.uuid)))
        self.assertEqual(
            shown['status'], self.show(self.uuid, self.admin)['status']
        )

    def test_forced_down(self):
        self.force_down('a')
        self.assert_all_refused()
        self.force_down('a', is_down=False)
        self.act('os-stop')
        self.force_down('a')
        self.assert_all_refused()

    def test_silent(self):
        self.config('conductor', service_down_time=1.0)
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.wait_for(self.is_down)
        self.assert_all_refused()

    def test_all_are_silent(self):
        # The broker may be down: requests are accepted, and wait for it.
        self.config('conductor', service_down_time=1.0)
        self.cloud.stop(self.cloud.conductors['conductor0'])
        for host in ('a', 'b', 'c'):
            self.cloud.wait_for(lambda host=host: self.is_down(host))
        reply = self.admin.act(self.uuid, 'os-stop')
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.start_conductor('conductor0')
        self.cloud.settle(self.uuid)
        self.assertEqual('SHUTOFF', self.show(self.uuid, self.admin)['status'])

    def is_down(self, host='a'):
        services = self.admin.get(
            f'/os-services?host={host}&binary=nova-compute'
        ).body['services']
        return services[0]['state'] == 'down'

    def test_live_migration(self):
        self.force_down('a')
        for version in ('2.33', '2.34'):
            reply = self.admin.at_version(version).act(
                self.uuid,
                'os-migrateLive',
                {'host': None, 'block_migration': 'auto'},
            )
            self.assert_refused(
                400, 'Compute service of a is unavailable', reply
            )

    def test_revert(self):
        self.act('migrate')
        for host in ('a', self.cloud.instance(self.uuid).host):
            self.force_down(host)
            reply = self.admin.act(self.uuid, 'revertResize')
            self.assert_refused(409, "Cannot 'revertResize'", reply)
            self.force_down(host, is_down=False)
        self.act('revertResize')
        self.assertEqual('a', self.cloud.instance(self.uuid).host)

    def test_accepted(self):
        # The old host removes what it retains when it is back.
        self.act('migrate')
        self.force_down('a')
        reply = self.admin.act(self.uuid, 'confirmResize')
        self.assertEqual(204, reply.status, reply.body)
        self.force_down('a', is_down=False)
        self.cloud.settle(self.uuid)
        self.force_down(self.cloud.instance(self.uuid).host)
        reply = self.admin.delete(f'/servers/{self.uuid}')
        self.assertEqual(204, reply.status, reply.body)
