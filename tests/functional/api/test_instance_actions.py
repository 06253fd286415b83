# SPDX-License-Identifier: Apache-2.0
"""Actions and their events, migrations, abort of a migration."""

import os

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db import tables
from minova.db.queries import instances
from tests.functional.api import base
from tests.functional.api.base import LATEST

_RULE = 'os_compute_api:os-instance-actions'
NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class FaultTest(base.ApiTestCase):
    """What a failed operation tells its user."""

    hosts = ()
    error = (
        "qemu-img: Could not open '/var/lib/minova/images/1': "
        'qemu+tcp://10.0.0.5/system refused (file=/etc/minova/key.pem) 1/2'
    )
    hidden = (
        "qemu-img: Could not open '(hidden)': "
        '(hidden) refused (file=(hidden)) 1/2'
    )

    def test_files_and_addresses_of_hosts_are_hidden(self):
        """CVE-2019-14433."""
        self.make_flavor()
        uuid = self.boot(wait=False)
        failed = exception.OperationFailed(cause='Build', reason=self.error)

        def fail(connection):
            instances.add_fault(
                connection, uuid, None, failed, 'a', clock.now()
            )
            connection.execute(
                tables.instances.update().values(vm_state='error')
            )

        self.cloud.database.write(fail)
        for client, expected in (
            (self.admin, self.error),
            (self.user, self.hidden),
        ):
            for path in (f'/servers/{uuid}', '/servers/detail?all_tenants=1'):
                if client is self.user:
                    path = path.partition('?')[0]
                found = client.get(path).body
                server = found.get('server') or found['servers'][0]
                self.assertEqual(
                    f'Build: {expected}', server['fault']['message']
                )


class InstanceActionsTest(base.ApiTestCase):
    """/servers/{id}/os-instance-actions."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()
        self.path = f'/servers/{self.uuid}/os-instance-actions'
        self.stopped = self.act('os-stop')

    def act(self, action):
        """Request an action; return its request id after it has ended."""
        reply = self.user.act(self.uuid, action)
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        return reply.headers['X-Compute-Request-ID']

    def test_list(self):
        found = self.user.get(self.path).body['instanceActions']
        self.assertEqual(['stop', 'create'], [one['action'] for one in found])
        stop = found[0]
        self.assertEqual(self.stopped, stop['request_id'])
        self.assertEqual(self.uuid, stop['instance_uuid'])
        self.assertEqual('user', stop['user_id'])
        self.assertEqual('22222222bbbbbbbb', stop['project_id'])
        self.assertIsNone(stop['message'])
        self.assertNotIn('updated_at', stop)
        (new, _) = (
            self.user.at_version('2.58').get(self.path).body['instanceActions']
        )
        self.assertIn('updated_at', new)

    def test_show(self):
        reply = self.admin.get(f'{self.path}/{self.stopped}')
        action = reply.body['instanceAction']
        (event,) = action['events']
        self.assertEqual('compute_stop_instance', event['event'])
        self.assertEqual('Success', event['result'])
        self.assertIsNone(event['traceback'])
        self.assertLessEqual(event['start_time'], event['finish_time'])
        self.assertNotIn('host', event)
        created = self.admin.get(self.path).body['instanceActions'][1]
        reply = self.admin.get(f'{self.path}/{created["request_id"]}')
        self.assertEqual(
            [
                'compute__do_build_and_run_instance',
                'conductor_schedule_and_build_instances',
            ],
            [e['event'] for e in reply.body['instanceAction']['events']],
        )

    def events(self, client, version):
        reply = client.at_version(version).get(f'{self.path}/{self.stopped}')
        return reply.body['instanceAction'].get('events')

    def test_events_are_for_all_from_2_51_on(self):
        self.assertIsNone(self.events(self.user, '2.50'))
        self.assertEqual(1, len(self.events(self.admin, '2.50')))
        self.assertEqual(1, len(self.events(self.user, '2.51')))

    def test_hosts_of_events_from_2_62_on(self):
        (mine,) = self.events(self.user, '2.62')
        self.assertNotIn('host', mine)
        self.assertEqual(self.show(self.uuid)['hostId'], mine['hostId'])
        (theirs,) = self.events(self.admin, '2.62')
        self.assertEqual('a', theirs['host'])
        (old,) = self.events(self.admin, '2.61')
        self.assertNotIn('hostId', old)

    def test_failed_action(self):
        self.cloud.world.inject_fault('a', 'start', 'no such device', times=99)
        number = self.act('os-start')
        path = f'{self.path}/{number}'
        for client, text in (
            (self.user, 'Error'),
            (self.admin, 'Instance (any): start failed: no such device'),
        ):
            newest = client.get(self.path).body['instanceActions'][0]
            self.assertEqual(text, newest['message'])
            shown = client.get(path).body['instanceAction']
            self.assertEqual(text, shown['message'])

        def event(client, version):
            reply = client.at_version(version).get(path)
            return reply.body['instanceAction']['events'][0]

        mine = event(self.user, '2.84')
        self.assertEqual('Error', mine['result'])
        self.assertIsNone(mine['traceback'])
        self.assertNotIn('details', mine)
        theirs = event(self.admin, '2.84')
        self.assertIn('GuestFailed: ', theirs['traceback'])
        self.assertIn('no such device', theirs['details'])
        self.assertNotIn('details', event(self.admin, '2.83'))
        done = self.admin.at_version('2.84').get(f'{self.path}/{self.stopped}')
        (step,) = done.body['instanceAction']['events']
        self.assertIsNone(step['details'])

    def test_reasons_for_members_by_policy(self):
        self.cloud.world.inject_fault('a', 'start', 'no such device', times=99)
        number = self.act('os-start')
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w') as file:
            file.write(
                f'"{_RULE}:events:details": "rule:project_reader_or_admin"'
            )
        self.config('oslo_policy', policy_file=path)
        self.restart_api()
        shown = self.user.at_version('2.84').get(f'{self.path}/{number}')
        action = shown.body['instanceAction']
        (step,) = action['events']
        for text in (action['message'], step['details']):
            self.assertIn('no such device', text)
        self.assertIsNone(step['traceback'])
        self.assertNotIn('host', step)

    def test_create_without_a_host(self):
        self.make_flavor('huge', vcpus=60000)
        uuid = self.boot(flavorRef='huge')
        path = f'/servers/{uuid}/os-instance-actions'
        (action,) = self.user.get(path).body['instanceActions']
        self.assertEqual('Error', action['message'])
        shown = self.admin.get(f'{path}/{action["request_id"]}')
        (step,) = shown.body['instanceAction']['events']
        self.assertEqual(
            'conductor_schedule_and_build_instances', step['event']
        )
        self.assertEqual('Error', step['result'])
        self.assertIn('NoValidHost: ', step['traceback'])

    def test_pages(self):
        user = self.user.at_version('2.58')
        body = user.get(f'{self.path}?limit=1').body
        self.assertEqual('stop', body['instanceActions'][0]['action'])
        (link,) = body['links']
        self.assertEqual('next', link['rel'])
        body = user.get(link['href'].partition('.org')[2]).body
        self.assertEqual('create', body['instanceActions'][0]['action'])
        self.assertNotIn('links', body)
        reply = user.get(f'{self.path}?marker={NOWHERE}')
        self.assert_refused(400, 'no action of the server', reply)
        old = self.user.at_version('2.57').get(f'{self.path}?limit=1').body
        self.assertEqual(2, len(old['instanceActions']))

    def test_periods(self):
        user = self.user.at_version('2.66')
        for query, count in (
            ('changes-since=2026-01-01', 2),
            ('changes-since=2999-01-01', 0),
            ('changes-before=2999-01-01', 2),
            ('changes-before=2026-01-01', 0),
        ):
            body = user.get(f'{self.path}?{query}').body
            self.assertEqual(count, len(body['instanceActions']), query)
        reply = self.user.at_version('2.65').get(
            f'{self.path}?changes-before=2026-01-01'
        )
        self.assert_refused(400, 'changes-before', reply)

    def test_of_a_deleted_server(self):
        self.user.delete(f'/servers/{self.uuid}')
        self.cloud.settle(self.uuid)
        body = self.user.at_version('2.21').get(self.path).body
        self.assertEqual('delete', body['instanceActions'][0]['action'])
        reply = self.user.at_version('2.21').get(f'{self.path}/{self.stopped}')
        self.assertEqual(200, reply.status)
        for path in (self.path, f'{self.path}/{self.stopped}'):
            reply = self.user.at_version('2.20').get(path)
            self.assert_refused(404, self.uuid, reply)

    def test_not_found(self):
        reply = self.user.get(f'{self.path}/req-x')
        self.assert_refused(404, 'Action for request_id req-x on', reply)
        for path in (self.path, f'{self.path}/{self.stopped}'):
            reply = self.other.get(path)
            self.assert_refused(404, self.uuid, reply)


class MigrationsTest(base.ApiTestCase):
    """/os-migrations and /servers/{id}/migrations."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()
        self.path = f'/servers/{self.uuid}/migrations'
        self.here = self.show(self.uuid, self.admin)['OS-EXT-SRV-ATTR:host']

    def migration(self):
        self.admin.act(self.uuid, 'migrate')
        self.cloud.settle(self.uuid)
        self.admin.act(self.uuid, 'confirmResize')
        self.cloud.settle(self.uuid)

    def start_live(self):
        """Begin a live migration that does not end; return its id."""
        CONF.set_override('migration_seconds', 30, 'fake')
        reply = self.admin.at_version('2.34').act(
            self.uuid,
            'os-migrateLive',
            {'host': None, 'block_migration': 'auto'},
        )
        self.assertEqual(202, reply.status)

        def running():
            body = self.admin.at_version('2.23').get(self.path).body
            return [m for m in body['migrations'] if m['status'] == 'running']

        (move,) = self.cloud.wait_for(running)
        return move

    def list(self, query='', version=LATEST):
        reply = self.admin.at_version(version).get(f'/os-migrations{query}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['migrations']

    def test_list_and_its_keys(self):
        self.migration()
        old = {
            'id',
            'status',
            'instance_uuid',
            'source_compute',
            'source_node',
            'dest_compute',
            'dest_node',
            'dest_host',
            'old_instance_type_id',
            'new_instance_type_id',
            'created_at',
            'updated_at',
        }
        for version, added in (
            ('2.22', set()),
            ('2.23', {'migration_type'}),
            ('2.59', {'migration_type', 'uuid'}),
            ('2.80', {'migration_type', 'uuid', 'user_id', 'project_id'}),
        ):
            (move,) = self.list(version=version)
            self.assertEqual(old | added, set(move), version)
        self.assertEqual('confirmed', move['status'])
        self.assertEqual('migration', move['migration_type'])
        self.assertEqual(self.here, move['source_compute'])
        self.assertEqual('admin', move['user_id'])

    def test_filters(self):
        self.migration()
        there = 'b' if self.here == 'a' else 'a'
        for query, count in (
            ('status=confirmed', 1),
            ('status=error', 0),
            (f'host={there}', 1),
            ('host=c', 0),
            (f'source_compute={self.here}', 1),
            (f'source_compute={there}', 0),
            ('migration_type=migration', 1),
            ('migration_type=resize', 0),
            (f'instance_uuid={self.uuid}', 1),
            (f'instance_uuid={NOWHERE}', 0),
            ('hidden=true', 0),
            ('hidden=false', 1),
            ('changes-since=2999-01-01', 0),
            ('changes-before=2999-01-01', 1),
            ('user_id=admin', 1),
            ('project_id=x', 0),
        ):
            self.assertEqual(count, len(self.list(f'?{query}')), query)

    def test_unknown_filters(self):
        self.list('?foo=bar', '2.58')
        for version, name in (
            ('2.59', 'foo'),
            ('2.65', 'changes-before'),
            ('2.79', 'user_id'),
        ):
            reply = self.admin.at_version(version).get(
                f'/os-migrations?{name}=2026'
            )
            self.assert_refused(400, f'{name!r}', reply)

    def test_pages(self):
        self.migration()
        self.migration()
        body = self.admin.at_version('2.59').get('/os-migrations?limit=1').body
        (first,) = body['migrations']
        (link,) = body['migrations_links']
        body = (
            self.admin.at_version('2.59')
            .get(link['href'].partition('.org')[2])
            .body
        )
        (second,) = body['migrations']
        self.assertGreater(first['id'], second['id'])
        self.assertNotIn('migrations_links', body)
        reply = self.admin.at_version('2.59').get(
            f'/os-migrations?marker={NOWHERE}'
        )
        self.assert_refused(400, f'Marker {NOWHERE} not found', reply)

    def test_live_migration_in_progress(self):
        move = self.start_live()
        self.assertEqual(self.uuid, move['server_uuid'])
        self.assertEqual(self.here, move['source_compute'])
        self.assertIn('memory_total_bytes', move)
        self.assertNotIn('uuid', move)
        reply = self.admin.at_version('2.59').get(f'{self.path}/{move["id"]}')
        self.assertEqual(set(move) | {'uuid'}, set(reply.body['migration']))
        (listed,) = self.list(version='2.23')
        self.assertEqual(
            f'http://falconframework.org/v2.1{self.path}/{move["id"]}',
            listed['links'][0]['href'],
        )
        self.assertEqual('MIGRATING', self.show(self.uuid)['status'])
        # A server has at most one migration at a time.
        reply = self.admin.act(self.uuid, 'migrate')
        self.assert_refused(409, 'task_state migrating', reply)

    def test_abort(self):
        move = self.start_live()
        path = f'{self.path}/{move["id"]}'
        reply = self.admin.at_version('2.23').delete(path)
        self.assert_refused(404, 'could not be found', reply)
        reply = self.admin.at_version('2.24').delete(path)
        self.assertEqual(202, reply.status)
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
        (move,) = self.list()
        self.assertEqual('cancelled', move['status'])
        shown = self.show(self.uuid, self.admin)
        self.assertEqual(self.here, shown['OS-EXT-SRV-ATTR:host'])
        self.assertEqual(
            [], self.admin.at_version('2.23').get(self.path).body['migrations']
        )
        reply = self.admin.at_version('2.23').get(path)
        self.assert_refused(404, 'is not in progress', reply)

    def test_abort_not_found(self):
        move = self.start_live()
        other = self.boot()
        for number in (str(move['id'] + 1), 'x', '99999999999', '-1'):
            reply = self.admin.at_version('2.24').delete(
                f'{self.path}/{number}'
            )
            self.assert_refused(404, f'Migration {number} not found', reply)
        reply = self.admin.at_version('2.24').delete(
            f'/servers/{other}/migrations/{move["id"]}'
        )
        self.assert_refused(409, "Cannot 'abort' instance", reply)

    def test_abort_queued(self):
        move = self.start_live()
        self.cloud.database.write(
            lambda c: c.execute(
                tables.migrations.update().values(status='queued')
            )
        )
        path = f'{self.path}/{move["id"]}'
        reply = self.admin.at_version('2.64').delete(path)
        self.assert_refused(400, 'is queued. Cannot abort_live_migrate', reply)
        self.assertEqual(
            202, self.admin.at_version('2.65').delete(path).status
        )

    def test_cold_migrations_are_hidden(self):
        self.migration()
        (move,) = self.list()
        reply = self.admin.at_version('2.23').get(f'{self.path}/{move["id"]}')
        self.assert_refused(404, 'is not live-migration', reply)
        body = self.admin.at_version('2.23').get(self.path).body
        self.assertEqual({'migrations': []}, body)

    def test_admin_only(self):
        for method, path in (
            ('GET', '/os-migrations'),
            ('GET', self.path),
            ('GET', f'{self.path}/1'),
            ('DELETE', f'{self.path}/1'),
        ):
            reply = self.user.at_version(LATEST).request(method, path)
            self.assert_refused(403, 'igrations', reply)
