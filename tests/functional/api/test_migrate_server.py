# SPDX-License-Identifier: Apache-2.0
"""Resize, cold migration and live migration."""

from minova import clock
from minova import exception
from minova.db.queries import operations
from minova.objects.step_args import ResizeInstanceArgs
from tests.functional.api import base

_LIVE = {'host': None, 'block_migration': True, 'disk_over_commit': False}
_LIVE_NEW = {'host': None, 'block_migration': 'auto'}


class MigrateTestCase(base.ApiTestCase):
    """A server on host a or b."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.big = self.make_flavor('big', vcpus=2, disk=2)
        self.uuid = self.boot()

    def host_of(self):
        return self.show(self.uuid, self.admin)['OS-EXT-SRV-ATTR:host']

    def disable(self, host):
        self._put_service('disable-log-reason', host)

    def enable(self, host):
        self._put_service('enable', host)

    def _put_service(self, verb, host):
        body = {'host': host, 'binary': 'nova-compute'}
        if verb == 'disable-log-reason':
            body['disabled_reason'] = 'broken fan'
        reply = self.admin.put(f'/os-services/{verb}', body)
        self.assertEqual(200, reply.status, reply.body)

    def act(self, action, content=None, client=None, status=202):
        reply = (client or self.admin).act(self.uuid, action, content)
        self.assertEqual(status, reply.status, reply.body)
        self.cloud.settle(self.uuid)
        return self.show(self.uuid)


class ResizeTest(MigrateTestCase):
    """Resize to another flavor."""

    def resize(self, **more):
        content = {'flavorRef': self.big} | more
        return self.act('resize', content, self.user)

    def test_confirmed(self):
        before = self.host_of()
        shown = self.resize(**{'OS-DCF:diskConfig': 'AUTO'})
        self.assertEqual('VERIFY_RESIZE', shown['status'])
        self.assertEqual('big', shown['flavor']['id'])
        self.assertEqual('AUTO', shown['OS-DCF:diskConfig'])
        self.assertNotEqual(before, self.host_of())
        shown = self.act('confirmResize', client=self.user, status=204)
        self.assertEqual('ACTIVE', shown['status'])

    def test_flavor_as_a_url(self):
        url = f'http://cloud/v2.1/flavors/{self.big}'
        shown = self.act('resize', {'flavorRef': url}, self.user)
        self.assertEqual('big', shown['flavor']['id'])

    def test_reverted(self):
        before = self.host_of()
        self.resize()
        shown = self.act('revertResize', client=self.user)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual('small', shown['flavor']['id'])
        self.assertEqual(before, self.host_of())

    def test_transfer_ticket_is_not_exposed(self):
        self.resize()
        last = self.cloud.operations(self.uuid)[-1]
        steps = self.cloud.read(operations.list_steps, last.id)
        (token,) = {
            step.args.transfer_ticket.token
            for step in steps
            if isinstance(step.args, ResizeInstanceArgs)
        }
        actions = f'/servers/{self.uuid}/os-instance-actions'
        for path in (
            actions,
            f'{actions}/{last.request_id}',
            '/os-migrations',
            f'/servers/{self.uuid}',
        ):
            for client in (self.admin, self.admin.at_version(base.LATEST)):
                reply = client.get(path)
                self.assertEqual(200, reply.status)
                self.assertNotIn(token, str(reply.body))

    def test_no_valid_host_changes_nothing(self):
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

    def cores(self):
        """Return the used cores of the project."""
        return self.user.get('/limits').body['limits']['absolute'][
            'totalCoresUsed'
        ]

    def refused_server(self):
        """Check that one more server does not fit."""
        reply = self.user.post('/servers', {'server': self.server()})
        self.assert_refused(403, 'already used 2 of 2 cores', reply)

    def test_larger_flavor_counts_from_the_begin(self):
        self.config('quota', cores=2)
        self.cloud.stop(self.cloud.conductors['conductor0'])
        self.user.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assertEqual('small', self.show(self.uuid)['flavor']['id'])
        self.assertEqual(2, self.cores())
        self.refused_server()
        self.cloud.start_conductor('conductor0')
        self.cloud.settle(self.uuid)
        self.assertEqual(2, self.cores())
        self.act('revertResize', client=self.user)
        self.assertEqual(1, self.cores())
        self.boot()

    def test_resize_without_a_host_returns_the_usage(self):
        self.make_flavor('huge', vcpus=60000, disk=2)
        self.user.act(self.uuid, 'resize', {'flavorRef': 'huge'})
        self.cloud.settle(self.uuid)
        self.assertEqual(1, self.cores())

    def test_smaller_flavor_counts_from_the_confirm(self):
        self.resize()
        self.act('confirmResize', client=self.user, status=204)
        self.make_flavor('slim', disk=2)
        self.config('quota', cores=2)
        self.act('resize', {'flavorRef': 'slim'}, self.user)
        self.assertEqual('slim', self.show(self.uuid)['flavor']['id'])
        self.assertEqual(2, self.cores())
        self.refused_server()
        self.act('revertResize', client=self.user)
        self.assertEqual(2, self.cores())
        self.act('resize', {'flavorRef': 'slim'}, self.user)
        self.act('confirmResize', client=self.user, status=204)
        self.assertEqual(1, self.cores())
        self.boot()

    def test_user_limit(self):
        project = '22222222bbbbbbbb'
        user = self.cloud.instance(self.uuid).user_id
        self.admin.put(
            f'/os-quota-sets/{project}?user_id={user}',
            {'quota_set': {'cores': 1, 'force': True}},
        )
        # The limit is that of the server's user, also for an administrator.
        reply = self.admin.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assert_refused(
            403, 'cores: Requested 1, but already used 1 of 1 cores', reply
        )

    def test_accepted_without_conductor(self):
        # The error of the bus when no conductor replies.
        self.cloud.stop(self.cloud.conductors['conductor0'])
        reply = self.user.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assertEqual(202, reply.status)
        self.assertEqual('RESIZE', self.show(self.uuid)['status'])
        self.cloud.start_conductor('conductor0')
        self.cloud.settle(self.uuid)
        self.assertEqual('VERIFY_RESIZE', self.show(self.uuid)['status'])


class MigrateTest(MigrateTestCase):
    """Cold migration."""

    def test_anywhere(self):
        before = self.host_of()
        self.assertEqual('VERIFY_RESIZE', self.act('migrate')['status'])
        self.assertNotEqual(before, self.host_of())

    def test_to_a_host(self):
        wanted = 'b' if self.host_of() == 'a' else 'a'
        self.act('migrate', {'host': wanted}, self.admin.at_version('2.56'))
        self.assertEqual(wanted, self.host_of())

    def test_to_a_disabled_host(self):
        here = self.host_of()
        there = 'b' if here == 'a' else 'a'
        self.disable(there)
        reply = self.admin.at_version('2.56').act(
            self.uuid, 'migrate', {'host': there}
        )
        self.assert_refused(400, f'{there}: it is disabled', reply)
        self.cloud.settle(self.uuid)
        self.assertEqual(here, self.host_of())

    def test_to_an_unknown_host(self):
        reply = self.admin.at_version('2.56').act(
            self.uuid, 'migrate', {'host': 'nowhere'}
        )
        self.assert_refused(400, 'nowhere: no host has this name', reply)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])


class LiveMigrateTest(MigrateTestCase):
    """Live migration."""

    def setUp(self):
        super().setUp()
        self.here = self.host_of()
        self.there = 'b' if self.here == 'a' else 'a'

    def live(self, version, **changes):
        content = dict(_LIVE_NEW if version >= 25 else _LIVE) | changes
        return self.admin.at_version(f'2.{version}').act(
            self.uuid, 'os-migrateLive', content
        )

    def test_in_every_form(self):
        for version, changes in (
            (1, {}),
            (1, {'block_migration': 'yes', 'disk_over_commit': 'no'}),
            (25, {}),
            (30, {'force': False, 'host': None}),
            (34, {}),
            (68, {}),
        ):
            before = self.host_of()
            reply = self.live(version, **changes)
            self.assertEqual(202, reply.status, reply.body)
            self.assertIsNone(reply.body)
            self.cloud.settle(self.uuid)
            self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
            self.assertNotEqual(before, self.host_of())

    def test_to_a_host(self):
        self.assertEqual(202, self.live(25, host=self.there).status)
        self.cloud.settle(self.uuid)
        self.assertEqual(self.there, self.host_of())

    def test_to_a_disabled_host(self):
        self.disable(self.there)
        for version in (30, 33):
            reply = self.live(version, host=self.there)
            self.assert_refused(
                400, f'to {self.there}: it is disabled (broken fan)', reply
            )
            self.cloud.settle(self.uuid)
        for version in (34, 68):
            self.assertEqual(202, self.live(version, host=self.there).status)
            self.cloud.settle(self.uuid)
            newest = self.admin.get(
                f'/servers/{self.uuid}/os-instance-actions'
            ).body['instanceActions'][0]
            self.assertIn('it is disabled (broken fan)', newest['message'])
        self.assertEqual(self.here, self.host_of())

    def test_forced_to_a_disabled_host(self):
        # Below 2.30 the reference does not verify a named host.
        for version, changes in ((1, {}), (25, {}), (30, {'force': True})):
            here, there = self.host_of(), self.there
            self.there = here
            self.disable(there)
            reply = self.live(version, host=there, **changes)
            self.assertEqual(202, reply.status, reply.body)
            self.cloud.settle(self.uuid)
            self.assertEqual(there, self.host_of())
            self.enable(there)

    def test_forced_to_no_host(self):
        reply = self.live(30, force=True)
        self.assert_refused(400, 'there is no host to force', reply)

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
            self.assertEqual(block, params.block_migration)
            self.assertEqual(disk, params.disk_over_commit)

    def test_prechecks_are_synchronous_before_2_34(self):
        for host, text in (
            (self.here, f'to current host ({self.here})'),
            ('nowhere', 'Compute host nowhere could not be found.'),
        ):
            self.assert_refused(400, text, self.live(33, host=host))
            self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        self.assertEqual(self.here, self.host_of())

    def test_prechecks_are_recorded_since_2_34(self):
        reply = self.live(34, host='nowhere')
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        newest = self.admin.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions'][0]
        self.assertEqual('live-migration', newest['action'])
        self.assertIn('nowhere could not be found', newest['message'])

    def test_sick_hosts(self):
        # The fault of a hypervisor is understood: never 500.
        check = 'check_can_live_migrate_destination'
        for version, host in ((1, None), (25, None), (33, self.there)):
            self.cloud.world.inject_fault(self.there, check, 'libvirt is away')
            reply = self.live(version, host=host)
            self.assert_refused(400, 'libvirt is away', reply)
            self.cloud.settle(self.uuid)
        for method in (check, 'pre_live_migration'):
            self.cloud.world.inject_fault(
                self.there, method, 'libvirt is away'
            )
            self.assertEqual(202, self.live(34).status)
            self.cloud.settle(self.uuid)
            newest = self.admin.get(
                f'/servers/{self.uuid}/os-instance-actions'
            ).body['instanceActions'][0]
            for text in (
                f'{self.there}: ',
                'libvirt is away',
                f'{self.here}: it has the server',
            ):
                self.assertIn(text, newest['message'])
        self.assertEqual(self.here, self.host_of())

    def test_off(self):
        self.act('os-stop')
        reply = self.live(34)
        self.assert_refused(409, "Cannot 'os-migrateLive' instance", reply)

    def test_accepted_without_conductor(self):
        self.cloud.stop(self.cloud.conductors['conductor0'])
        for version in (33, 34):
            reply = self.live(version)
            self.assertEqual(202 if version == 33 else 409, reply.status)
        self.assertEqual('MIGRATING', self.show(self.uuid)['status'])

    def test_conductor_timeout(self):
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
        # The sweeper selects the host later.
        self.cloud.settle(self.uuid)
        self.assertNotEqual(self.here, self.cloud.instance(self.uuid).host)

    def test_uncertain_commit_names_the_next_step(self):
        database = self.backend.database

        class Silent:
            read = staticmethod(database.read)

            def write(self, work):
                database.write(work)
                raise exception.CommitUncertain(
                    what='The database', reason='10.0.0.5 is silent'
                )

        self.backend = base.dataclasses.replace(
            self.backend, database=Silent()
        )
        self.restart_api()
        reply = self.admin.act(self.uuid, 'os-stop')
        self.assert_refused(503, 'may have been committed', reply)
        self.assertNotIn('10.0.0.5', reply.message)
        number = reply.headers['X-OpenStack-Request-ID']
        self.assertIn(number, reply.message)
        # The error text names the action, and the operation ends well.
        actions = self.admin.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions']
        self.assertIn(number, [one['request_id'] for one in actions])
        self.assertEqual('stopped', self.cloud.settle(self.uuid).vm_state)

    def test_conductor_failure_is_500(self):
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
