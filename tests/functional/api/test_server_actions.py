# SPDX-License-Identifier: Apache-2.0
"""POST /servers/{id}/action: the operations, and the refusals."""

import threading

from minova import states
from minova.api.resources import server_actions
from minova.db import tables
from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'
#: Actions that any state allows.
IN_ANY_STATE = ('forceDelete', 'lock', 'unlock', 'os-resetState')
#: Actions that are allowed while another operation owns the server.
DURING_ANY_OPERATION = ('evacuate', 'trigger_crash_dump')
#: The actions of remote consoles.
CONSOLES = {
    'os-getVNCConsole': {'type': 'novnc'},
    'os-getSPICEConsole': {'type': 'spice-html5'},
    'os-getRDPConsole': {'type': 'rdp-html5'},
    'os-getSerialConsole': {'type': 'serial'},
}
#: Actions that begin no operation, in any state.
ASKED_AT_ONCE = (
    'os-getConsoleOutput',
    *CONSOLES,
    'addFloatingIp',
    'removeFloatingIp',
    'addSecurityGroup',
    'removeSecurityGroup',
    'injectNetworkInfo',
    'resetNetwork',
)


def _at(client, action):
    """Return the client at the first version that has an action."""
    return client.at_version(f'2.{server_actions.ACTIONS[action].since}')


class ActionTest(base.ApiTestCase):
    """Actions of one step."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def act(self, action, content=None, status=202):
        """Request an action; return the server status after its end."""
        reply = self.user.act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        self.assertIsNone(reply.body)
        self.cloud.settle(self.uuid)
        return self.show(self.uuid)['status']

    def boots(self):
        return self.cloud.driver('a').guest(self.uuid).boot

    def test_stop_and_start(self):
        self.assertEqual('SHUTOFF', self.act('os-stop'))
        self.assertEqual([], self.cloud.world.running(self.uuid))
        self.assertEqual('ACTIVE', self.act('os-start'))
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))

    def test_pause_and_unpause(self):
        self.assertEqual('PAUSED', self.act('pause'))
        self.assertEqual('ACTIVE', self.act('unpause'))

    def test_reboot(self):
        for kind in ('SOFT', 'hard', 'HARD'):
            before = self.boots()
            self.assertEqual('ACTIVE', self.act('reboot', {'type': kind}))
            self.assertNotEqual(before, self.boots())
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(
            ['create', 'reboot_soft', 'reboot_hard', 'reboot_hard'], kinds
        )

    def test_empty_body_has_three_forms(self):
        for nothing in (None, {}, ''):
            self.assertEqual('PAUSED', self.act('pause', nothing))
            self.assertEqual('ACTIVE', self.act('unpause', nothing))

    def test_force_delete(self):
        reply = self.user.act(self.uuid, 'forceDelete')
        self.assertEqual(202, reply.status)
        # Immediately, whatever the host does.
        reply = self.user.get(f'/servers/{self.uuid}')
        self.assert_refused(404, self.uuid, reply)
        self.cloud.settle(self.uuid)
        self.assertEqual([], self.cloud.world.running(self.uuid))

    def test_second_identical_action_is_refused(self):
        replies = []
        start = threading.Barrier(2)

        def stop():
            start.wait()
            replies.append(self.user.act(self.uuid, 'os-stop'))

        threads = [threading.Thread(target=stop) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([202, 409], sorted(r.status for r in replies))
        (refused,) = [r for r in replies if r.status == 409]
        self.assert_refused(
            409, f"Cannot 'stop' instance {self.uuid} while", refused
        )
        self.assertEqual(['conflictingRequest'], list(refused.body))
        self.cloud.settle(self.uuid)
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(['create', 'stop'], kinds)

    def test_down_host_does_not_block_requests(self):
        (compute,) = self.cloud.computes.values()
        self.cloud.stop(compute)
        reply = self.user.act(self.uuid, 'os-stop')
        # The operation is durable; its host finds the step by itself.
        self.assertEqual(202, reply.status)
        self.cloud.start_compute('a')
        self.cloud.settle(self.uuid)
        self.assertEqual('SHUTOFF', self.show(self.uuid)['status'])


class RefusalTest(base.ApiTestCase):
    """Refused actions."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False)
        self.set(vm_state='active', task_state=None, task_id=None, host='h')

    def set(self, **columns):
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update()
                .where(tables.instances.c.uuid == self.uuid)
                .values(columns)
            )
        )

    def test_unknown_action(self):
        reply = self.user.act(self.uuid, 'os-dance')
        self.assert_refused(400, 'There is no such action: os-dance', reply)
        self.assertIn('os-migrateLive', reply.message)

    def test_exactly_one_action(self):
        for body in (
            {},
            {'os-stop': None, 'os-start': None},
            [],
            ['os-stop'],
            'os-stop',
            7,
            None,
        ):
            raw = base._dumped(body) if body is not None else b'null'
            reply = self.user.request(
                'POST', f'/servers/{self.uuid}/action', raw=raw
            )
            self.assert_refused(400, 'must be an object with one key', reply)

    def test_unknown_server(self):
        for action, content in self.all_actions():
            reply = _at(self.admin, action).act(NOWHERE, action, content)
            self.assert_refused(404, f'Instance {NOWHERE}', reply)

    def test_server_of_another_project(self):
        for action, content in self.all_actions():
            if 'migrate' in action or action == 'os-resetState':
                continue
            reply = _at(self.other, action).act(self.uuid, action, content)
            self.assert_refused(404, f'Instance {self.uuid}', reply)

    def all_actions(self):
        contents = {
            'reboot': {'type': 'SOFT'},
            'resize': {'flavorRef': 'small'},
            'os-resetState': {'state': 'active'},
            'changePassword': {'adminPass': 'secret'},
            'evacuate': {'onSharedStorage': False},
            'rebuild': {'imageRef': self.image},
            'createImage': {'name': 'copy'},
            'createBackup': {
                'name': 'copy',
                'backup_type': 'daily',
                'rotation': 1,
            },
            'addFixedIp': {'networkId': 'n'},
            'addFloatingIp': {'address': '10.0.0.9'},
            'removeFloatingIp': {'address': '10.0.0.9'},
            'addSecurityGroup': {'name': 'default'},
            'removeSecurityGroup': {'name': 'default'},
            'removeFixedIp': {'address': '10.0.0.9'},
            'os-getConsoleOutput': {},
            **CONSOLES,
            'os-migrateLive': {
                'host': None,
                'block_migration': False,
                'disk_over_commit': False,
            },
        }
        return [(name, contents.get(name)) for name in server_actions.ACTIONS]

    def test_conflict_names_the_state(self):
        for action, content in self.all_actions():
            if action in (*IN_ANY_STATE, *ASKED_AT_ONCE):
                continue
            admin = _at(self.admin, action)
            self.set(vm_state='building', task_state=None, task_id=None)
            reply = admin.act(self.uuid, action, content)
            self.assert_refused(409, 'while it is in vm_state building', reply)
            if action in DURING_ANY_OPERATION:
                continue
            self.set(vm_state='active', task_state='pausing', task_id='x')
            reply = admin.act(self.uuid, action, content)
            self.assertEqual(409, reply.status, reply.body)
            self.assertIn(self.uuid, reply.message)
        (operation,) = self.cloud.operations(self.uuid)
        self.assertEqual('create', operation.kind)

    def test_migrations_require_admin(self):
        for action, content in (
            ('migrate', None),
            (
                'os-migrateLive',
                {
                    'host': None,
                    'block_migration': False,
                    'disk_over_commit': False,
                },
            ),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(403, 'os-migrate-server:migrate', reply)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_contents(self):
        for action, content, text in (
            ('os-stop', {'a': 1}, 'os-stop: must be null'),
            ('pause', [], 'pause: must be null'),
            ('reboot', None, 'reboot: must be of type object'),
            ('reboot', {}, 'reboot: lacks type'),
            ('reboot', {'type': 'x'}, 'must be "SOFT" or "HARD"'),
            ('reboot', {'type': 7}, 'must be "SOFT" or "HARD"'),
            ('reboot', {'type': 'SOFT', 'x': 1}, "no field 'x'"),
            ('resize', {}, 'resize: lacks flavorRef'),
            ('resize', {'flavorRef': ''}, 'resize.flavorRef'),
            ('resize', {'flavorRef': []}, 'resize.flavorRef'),
            ('forceDelete', 'now', 'forceDelete: must be null'),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(400, text, reply)

    def test_live_migration_of_each_version(self):
        full = {
            'host': None,
            'block_migration': False,
            'disk_over_commit': False,
        }
        without = {'host': None, 'block_migration': 'auto'}
        for version, content, text in (
            ('2.1', {}, 'lacks host, block_migration, disk_over_commit'),
            (
                '2.1',
                {'host': None, 'block_migration': True},
                'lacks disk_over',
            ),
            ('2.24', full | {'block_migration': 'auto'}, 'true or false'),
            ('2.24', full | {'disk_over_commit': 'yup'}, 'true or false'),
            ('2.24', full | {'force': True}, "no field 'force'"),
            ('2.25', full, "no field 'disk_over_commit'"),
            ('2.25', {'host': None}, 'lacks block_migration'),
            ('2.25', {'block_migration': True}, 'lacks host'),
            ('2.25', without | {'block_migration': 'x'}, 'or "auto"'),
            ('2.25', without | {'host': 'a b'}, 'must be a host name'),
            ('2.25', without | {'host': ''}, 'must be a host name'),
            ('2.29', without | {'force': True}, "no field 'force'"),
            ('2.30', without | {'force': 'x'}, 'true or false'),
            ('2.68', without | {'force': True}, "no field 'force'"),
        ):
            reply = self.admin.at_version(version).act(
                self.uuid, 'os-migrateLive', content
            )
            self.assert_refused(400, text, reply)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_migrate_names_a_host_from_2_56_on(self):
        named = {'host': 'b'}
        reply = self.admin.at_version('2.55').act(self.uuid, 'migrate', named)
        self.assert_refused(400, 'migrate: must be null', reply)
        reply = self.admin.at_version('2.56').act(
            self.uuid, 'migrate', {'x': 1}
        )
        self.assert_refused(400, "no field 'x'", reply)
        self.set(host='b', node='node-b')
        for host in ('b', 'node-b'):
            reply = self.admin.at_version('2.56').act(
                self.uuid, 'migrate', {'host': host}
            )
            self.assert_refused(
                400,
                f'Unable to migrate instance ({self.uuid}) to current host '
                f'({host}).',
                reply,
            )

    def test_server_without_a_host(self):
        self.set(vm_state='error', host=None)
        for action, content in (
            ('os-stop', None),
            ('reboot', {'type': 'HARD'}),
        ):
            reply = self.user.act(self.uuid, action, content)
            self.assert_refused(409, 'it has no host', reply)
        self.assertEqual(202, self.user.act(self.uuid, 'forceDelete').status)

    def test_confirm_without_a_resize(self):
        for action in ('confirmResize', 'revertResize'):
            reply = self.user.act(self.uuid, action)
            self.assert_refused(
                409,
                f"Cannot '{action}' instance {self.uuid} while it is in "
                'vm_state active',
                reply,
            )
        self.set(vm_state=states.RESIZED)
        reply = self.user.act(self.uuid, 'confirmResize')
        self.assert_refused(409, 'without a finished migration', reply)

    def test_resize(self):
        ephemeral = {'OS-FLV-EXT-DATA:ephemeral': 2}
        self.make_flavor('small2', **ephemeral)
        self.uuid = self.boot(wait=False, flavorRef='small2')
        self.set(vm_state='active', task_state=None, task_id=None, host='h')
        self.make_flavor('tiny', disk=0, **ephemeral)
        self.make_flavor('hidden', **{'os-flavor-access:is_public': False})
        for flavor, text in (
            (
                'tiny',
                (
                    'because: the root disk cannot be made smaller. Resize to '
                    'a flavor with at least 1 GB of root disk; flavor tiny '
                    'has 0 GB.'
                ),
            ),
            (
                'small',
                (
                    'because: the ephemeral disk cannot be made smaller. '
                    'Resize to a flavor with at least 2 GB of ephemeral disk; '
                    'flavor small has 0 GB.'
                ),
            ),
            ('none', 'Flavor none could not be found.'),
            ('hidden', 'Flavor hidden could not be found.'),
        ):
            reply = self.user.act(self.uuid, 'resize', {'flavorRef': flavor})
            self.assert_refused(400, text, reply)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_resize_to_the_same_flavor(self):
        reply = self.user.act(self.uuid, 'resize', {'flavorRef': 'small'})
        text = 'When resizing, instances must change flavor!'
        self.assert_refused(400, text, reply)
        self.assertEqual(text, reply.message)

    def test_resize_below_what_the_image_needs(self):
        image = self.image_store.add(min_ram=400)
        self.uuid = self.boot(wait=False, imageRef=image.id)
        self.set(vm_state='active', task_state=None, task_id=None, host='h')
        self.make_flavor('slim', ram=256)
        reply = self.user.act(self.uuid, 'resize', {'flavorRef': 'slim'})
        self.assert_refused(400, 'The image needs 400 MiB', reply)

    def test_resize_above_the_quota(self):
        self.make_flavor('big', vcpus=4)
        self.make_flavor('wide', ram=600)
        self.config('quota', cores=2, instances=1)
        reply = self.user.act(self.uuid, 'resize', {'flavorRef': 'big'})
        self.assert_refused(
            403, 'cores: Requested 3, but already used 1 of 2 cores', reply
        )

    def test_latest_version_has_the_same_actions(self):
        reply = self.user.at_version(LATEST).act(self.uuid, 'os-dance')
        self.assert_refused(400, 'There is no such action', reply)
