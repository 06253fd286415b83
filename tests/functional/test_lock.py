# SPDX-License-Identifier: Apache-2.0
"""Locked servers: who may act on them, who may unlock them."""

from minova.api.resources import server_actions
from tests.functional.api import base
from tests.functional.api.base import LATEST

#: Actions that change nothing.
READING = (
    'os-getConsoleOutput',
    'os-getVNCConsole',
    'addFloatingIp',
    'removeFloatingIp',
    'addSecurityGroup',
    'removeSecurityGroup',
    'injectNetworkInfo',
    'resetNetwork',
    'os-getSPICEConsole',
    'os-getRDPConsole',
    'os-getSerialConsole',
)
CONTENTS = {
    'createImage': {'name': 'copy'},
    'createBackup': {
        'name': 'copy',
        'backup_type': 'daily',
        'rotation': 1,
    },
    'evacuate': {'onSharedStorage': 'False'},
    'addFixedIp': {'networkId': 'n'},
    'removeFixedIp': {'address': '10.0.0.9'},
    'reboot': {'type': 'SOFT'},
    'os-resetState': {'state': 'active'},
    'changePassword': {'adminPass': 'secret'},
    'resize': {'flavorRef': 'small'},
    'os-migrateLive': {
        'host': None,
        'block_migration': False,
        'disk_over_commit': False,
    },
}


class LockTestCase(base.ApiTestCase):
    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def act(self, client, action, content=None, status=202):
        reply = client.act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        return reply

    def lock(self, reason=None, client=None):
        content = {'locked_reason': reason} if reason else None
        self.act((client or self.user).at_version(LATEST), 'lock', content)

    def assert_locked(self, reply):
        self.assert_refused(409, f'Instance {self.uuid} is locked', reply)

    def shown(self):
        server = self.show(self.uuid, self.user.at_version(LATEST))
        return server['locked'], server['locked_reason']


class LockedServerTest(LockTestCase):
    def test_shown(self):
        self.assertEqual((False, None), self.shown())
        self.lock('in use')
        self.assertEqual((True, 'in use'), self.shown())
        for version, names in (('2.8', ()), ('2.72', ('locked',))):
            server = self.show(self.uuid, self.user.at_version(version))
            found = [name for name in server if name.startswith('locked')]
            self.assertEqual(list(names), found)
        self.act(self.user, 'unlock')
        self.assertEqual((False, None), self.shown())

    def test_filter(self):
        user = self.user.at_version(LATEST)
        self.lock()
        self.assertEqual([self.uuid], self.ids(user, '?locked=true'))
        self.assertEqual([], self.ids(user, '?locked=false'))

    def test_every_action_of_the_owner_is_refused(self):
        self.lock()
        lowest = base.Client(self.http, self.user.token, '2.1')
        for action in server_actions.ACTIONS:
            if action in (*READING, 'lock', 'unlock'):
                continue
            version = max(1, server_actions.ACTIONS[action].since)
            member = lowest.at_version(f'2.{version}')
            content = CONTENTS.get(action)
            if action == 'rebuild':
                content = {'imageRef': self.image}
            reply = member.act(self.uuid, action, content)
            if 'igrate' in action or action in (
                'evacuate',
                'shelveOffload',
                'os-resetState',
            ):
                # Policy refuses these first.
                self.assertEqual(403, reply.status, action)
                continue
            self.assert_locked(reply)
        self.assert_locked(self.user.delete(f'/servers/{self.uuid}'))
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(['create', 'lock'], kinds)

    def test_metadata_is_locked_and_the_name_is_not(self):
        self.lock()
        path = f'/servers/{self.uuid}'
        for method, part, body in (
            ('POST', 'metadata', {'metadata': {'a': 'b'}}),
            ('PUT', 'metadata', {'metadata': {}}),
            ('PUT', 'metadata/a', {'meta': {'a': 'b'}}),
            ('DELETE', 'metadata/a', None),
        ):
            reply = self.user.request(method, f'{path}/{part}', body)
            self.assert_locked(reply)
        renamed = self.user.put(path, {'server': {'name': 'other'}})
        self.assertEqual(200, renamed.status, renamed.body)

    def test_administrators_pass(self):
        self.lock()
        self.act(self.admin, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assertEqual('SHUTOFF', self.show(self.uuid)['status'])
        self.assertEqual((True, None), self.shown())

    def test_during_an_operation(self):
        self.act(self.user, 'os-stop')
        self.lock('now')
        self.cloud.settle(self.uuid)
        self.assertEqual('SHUTOFF', self.show(self.uuid)['status'])
        self.assertEqual((True, 'now'), self.shown())


class WhoMayUnlockTest(LockTestCase):
    def test_lock_of_the_owner_stays(self):
        self.lock('first')
        self.lock('second')
        self.assertEqual((True, 'first'), self.shown())

    def test_lock_of_an_administrator(self):
        self.lock('mine')
        self.lock('audit', self.admin)
        self.assertEqual((True, 'audit'), self.shown())
        refused = self.user.act(self.uuid, 'unlock')
        self.assert_refused(403, 'unlock:unlock_override', refused)
        self.lock('again')
        self.assertEqual((True, 'audit'), self.shown())
        self.act(self.admin, 'unlock')
        self.act(self.user, 'os-stop')

    def test_administrators_unlock_owners(self):
        self.lock()
        self.act(self.admin, 'unlock')
        self.assertEqual((False, None), self.shown())

    def test_unlocked_server(self):
        self.act(self.user, 'unlock')
        self.assertEqual((False, None), self.shown())


class RecordTest(LockTestCase):
    """What consumers and users see of a lock."""

    def test_notifications(self):
        before = len(self.cloud.notifications(self.uuid))
        self.lock('in use')
        self.act(self.user, 'unlock')
        added = self.cloud.notifications(self.uuid)[before:]
        self.assertEqual(
            ['compute.instance.update'] * 2, [one.event_type for one in added]
        )

    def test_instance_actions(self):
        self.lock()
        self.act(self.user, 'unlock')
        path = f'/servers/{self.uuid}/os-instance-actions'
        actions = self.user.get(path).body['instanceActions']
        self.assertEqual(
            ['unlock', 'lock', 'create'], [one['action'] for one in actions]
        )

    def test_bodies(self):
        latest = self.user.at_version(LATEST)
        for body in ('', {'reason': 'x'}, {'locked_reason': ''}, 7, 'x'):
            reply = latest.act(self.uuid, 'lock', body)
            self.assert_refused(400, 'lock', reply)
        long = {'locked_reason': 'x' * 256}
        self.assert_refused(400, 'lock', latest.act(self.uuid, 'lock', long))
        old = self.user.at_version('2.72')
        reply = old.act(self.uuid, 'lock', {'locked_reason': 'x'})
        self.assert_refused(400, 'lock', reply)
        self.act(latest, 'lock', {})
