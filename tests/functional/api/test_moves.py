# SPDX-License-Identifier: Apache-2.0
"""Resize, migration, live migration, as their clients see them."""

from minova import clock
from minova import exception
from minova.db import operations
from tests.functional.api import base

_LIVE = {'host': None, 'block_migration': True, 'disk_over_commit': False}
_LIVE_NEW = {'host': None, 'block_migration': 'auto'}


class MovesTestCase(base.ApiTestCase):
    """A server on host a or b."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.big = self.make_flavor('big', vcpus=2, disk=2)
        self.uuid = self.boot()

    def place(self):
        return self.show(self.uuid, self.admin)['OS-EXT-SRV-ATTR:host']

    def ask(self, action, content=None, client=None, status=202):
        reply = (client or self.admin).act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return self.show(self.uuid)


class ResizeTest(MovesTestCase):
    """Another size, another host."""

    def resize(self, **more):
        content = {'flavorRef': self.big} | more
        return self.ask('resize', content, self.user)

    def test_confirmed(self):
        before = self.place()
        shown = self.resize(**{'OS-DCF:diskConfig': 'AUTO'})
        self.assertEqual('VERIFY_RESIZE', shown['status'])
        self.assertEqual('big', shown['flavor']['id'])
        self.assertEqual('AUTO', shown['OS-DCF:diskConfig'])
        self.assertNotEqual(before, self.place())
        shown = self.ask('confirmResize', client=self.user, status=204)
        self.assertEqual('ACTIVE', shown['status'])

    def test_reverted(self):
        before = self.place()
        self.resize()
        shown = self.ask('revertResize', client=self.user)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual('small', shown['flavor']['id'])
        self.assertEqual(before, self.place())

    def test_who_was_invited_is_told_to_nobody(self):
        self.resize()
        last = self.cloud.operations(self.uuid)[-1]
        steps = self.cloud.read(operations.steps_of, last.id)
        (token,) = {
            step.args['invitation']['token']
            for step in steps
            if 'invitation' in step.args
        }
        actions = f'/servers/{self.uuid}/os-instance-actions'
        for path in (
            actions,
            f'{actions}/{last.request_id}',
            '/os-migrations',
            f'/servers/{self.uuid}',
        ):
            for client in (self.admin, self.admin.at(base.LATEST)):
                reply = client.get(path)
                self.assertEqual(200, reply.status)
                self.assertNotIn(token, str(reply.body))

    def test_no_place_is_told_at_once_and_changes_nothing(self):
        self.make_flavor('huge', vcpus=60000, disk=2)
        for client, detail in ((self.user, False), (self.admin, True)):
            reply = client.act(self.uuid, 'resize', {'flavorRef': 'huge'})
            self.assert_refused(
                400,
                'No valid host was found. There are not enough hosts '
                'available',
                reply,
            )
            self.assertIs(detail, 'vcpus are free' in reply.message)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        self.assertEqual('small', self.show(self.uuid)['flavor']['id'])

    def test_within_the_quota(self):
        self.config('quota', instances=1, cores=2, ram=512)
        self.assertEqual('VERIFY_RESIZE', self.resize()['status'])

    def test_without_a_conductor_it_has_begun(self):
        # What the bus says when nobody answers.
        self.cloud.stop(self.cloud.conductors['conductor0'])
        reply = self.user.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assertEqual(202, reply.status)
        self.assertEqual('RESIZE', self.show(self.uuid)['status'])
        self.cloud.start_conductor('conductor0')
        self.cloud.settle(self.uuid)
        self.assertEqual('VERIFY_RESIZE', self.show(self.uuid)['status'])


class MigrateTest(MovesTestCase):
    """The same size, another host."""

    def test_anywhere(self):
        before = self.place()
        self.assertEqual('VERIFY_RESIZE', self.ask('migrate')['status'])
        self.assertNotEqual(before, self.place())

    def test_to_a_host(self):
        wanted = 'b' if self.place() == 'a' else 'a'
        self.ask('migrate', {'host': wanted}, self.admin.at('2.56'))
        self.assertEqual(wanted, self.place())

    def test_to_a_host_that_is_not_there(self):
        reply = self.admin.at('2.56').act(
            self.uuid, 'migrate', {'host': 'nowhere'}
        )
        self.assert_refused(400, 'nowhere: there is no such host', reply)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])


class LiveMigrateTest(MovesTestCase):
    """Another host while it runs."""

    def setUp(self):
        super().setUp()
        self.here = self.place()
        self.there = 'b' if self.here == 'a' else 'a'

    def live(self, version, **changes):
        content = dict(_LIVE_NEW if version >= 25 else _LIVE) | changes
        return self.admin.at(f'2.{version}').act(
            self.uuid, 'os-migrateLive', content
        )

    def test_in_every_form(self):
        for version, changes in (
            (1, {}),
            (1, {'block_migration': 'yes', 'disk_over_commit': 'no'}),
            (25, {}),
            (30, {'force': True, 'host': None}),
            (34, {}),
            (68, {}),
        ):
            before = self.place()
            reply = self.live(version, **changes)
            self.assertEqual(202, reply.status, reply.body)
            self.assertIsNone(reply.body)
            self.cloud.settle(self.uuid)
            self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
            self.assertNotEqual(before, self.place())

    def test_to_a_host(self):
        self.assertEqual(202, self.live(25, host=self.there).status)
        self.cloud.settle(self.uuid)
        self.assertEqual(self.there, self.place())

    def test_params_that_reach_the_conductor(self):
        for version, changes, block, disk in (
            (1, {'block_migration': 'true'}, True, False),
            (1, {'block_migration': 'no'}, False, False),
            (1, {'disk_over_commit': 'on'}, True, True),
            (25, {}, None, None),
            (25, {'block_migration': False}, False, None),
        ):
            self.live(version, host='nowhere', **changes)
            params = self.cloud.operations(self.uuid)[-1].params
            self.assertEqual(block, params['block_migration'])
            self.assertEqual(disk, params['disk_over_commit'])

    def test_before_2_34_refusals_are_told_at_once(self):
        for host, text in (
            (self.here, f'to current host ({self.here})'),
            ('nowhere', 'Compute host nowhere could not be found.'),
        ):
            self.assert_refused(400, text, self.live(33, host=host))
            self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        self.assertEqual(self.here, self.place())

    def test_from_2_34_on_they_are_recorded(self):
        reply = self.live(34, host='nowhere')
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        newest = self.admin.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions'][0]
        self.assertEqual('live-migration', newest['action'])
        self.assertIn('nowhere could not be found', newest['message'])

    def test_off(self):
        self.ask('os-stop')
        reply = self.live(34)
        self.assert_refused(409, "Cannot 'os-migrateLive' instance", reply)

    def test_without_a_conductor_it_has_begun(self):
        self.cloud.stop(self.cloud.conductors['conductor0'])
        for version in (33, 34):
            reply = self.live(version)
            self.assertEqual(202 if version == 33 else 409, reply.status)
        self.assertEqual('MIGRATING', self.show(self.uuid)['status'])

    def test_a_conductor_that_does_not_answer_is_waited_for_a_while(self):
        asked, answer = clock.event(), clock.event()
        self.addCleanup(answer.set)

        class Silent:
            def migrate_server(self, context, **arguments):
                asked.set()
                answer.wait()

        self.config('api', conductor_timeout=0.3)
        self.backend = base.dataclasses.replace(
            self.backend, conductor=Silent()
        )
        self.restart_api()
        began = clock.monotonic()
        self.assertEqual(202, self.live(33).status)
        self.assertLess(clock.monotonic() - began, 3)
        self.assertTrue(asked.is_set())
        # The sweeper finds what nobody has decided.
        self.cloud.settle(self.uuid)
        self.assertNotEqual(self.here, self.cloud.instance(self.uuid).host)

    def test_commit_that_nobody_confirmed_says_how_to_look(self):
        database = self.backend.database

        class Silent:
            read = staticmethod(database.read)

            def write(self, work):
                database.write(work)
                raise exception.OutcomeUnknown(
                    what='The database', reason='10.0.0.5 is silent'
                )

        self.backend = base.dataclasses.replace(
            self.backend, database=Silent()
        )
        self.restart_api()
        reply = self.admin.act(self.uuid, 'os-stop')
        self.assert_refused(503, 'accepted wholly or not at all', reply)
        self.assertNotIn('10.0.0.5', reply.message)
        number = reply.headers['X-OpenStack-Request-ID']
        self.assertIn(number, reply.message)
        # It was accepted: so it stands where the text says, and ends well.
        actions = self.admin.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions']
        self.assertIn(number, [one['request_id'] for one in actions])
        self.assertEqual('stopped', self.cloud.settle(self.uuid).vm_state)

    def test_conductor_that_fails_is_no_refusal(self):
        class Broken:
            def migrate_server(self, context, **arguments):
                raise exception.OperationFailed(cause='KeyError', reason='x')

        self.backend = base.dataclasses.replace(
            self.backend, conductor=Broken()
        )
        self.restart_api()
        reply = self.live(33)
        self.assertEqual(500, reply.status)
        self.assertNotIn('KeyError', reply.message)
        self.assertIn(reply.headers['X-OpenStack-Request-ID'], reply.message)
