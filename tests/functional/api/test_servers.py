# SPDX-License-Identifier: Apache-2.0
"""Show, list, filter, page, update and delete servers."""

import datetime

from minova import exception
from minova import states
from minova.db import tables
from minova.db.queries import instances
from minova.notifications import events
from tests.functional.api import base
from tests.functional.api.base import LATEST

NOWHERE = '9f4b2c1e-0000-4000-8000-000000000000'


class RowsTestCase(base.ApiTestCase):
    """Servers that are database rows only."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def row(self, name='web', client=None, **columns):
        """Create a server and set its state; return its id."""
        uuid = self.boot(client, wait=False, name=name)
        self.set(uuid, **{'vm_state': 'active', 'task_state': None} | columns)
        return uuid

    def set(self, uuid, **columns):
        """Change columns of a server in the database."""
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update()
                .where(tables.instances.c.uuid == uuid)
                .values(columns)
            )
        )


class ShowTest(RowsTestCase):
    """GET /servers/{id}."""

    def test_attributes_for_users(self):
        uuid = self.row(metadata={'a': 'b'})
        shown = self.show(uuid)
        self.assertEqual(uuid, shown['id'])
        self.assertEqual('web', shown['name'])
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual('22222222bbbbbbbb', shown['tenant_id'])
        self.assertEqual('user', shown['user_id'])
        self.assertEqual({'a': 'b'}, shown['metadata'])
        self.assertEqual('', shown['hostId'])
        self.assertEqual('small', shown['flavor']['id'])
        self.assertEqual(self.image, shown['image']['id'])
        self.assertEqual({}, shown['addresses'])
        self.assertEqual(0, shown['progress'])
        self.assertEqual('active', shown['OS-EXT-STS:vm_state'])
        self.assertIsNone(shown['OS-EXT-STS:task_state'])
        self.assertRegex(shown['created'], r'^\d{4}-\d\d-\d\dT[\d:]{8}Z$')
        self.assertNotIn('OS-EXT-SRV-ATTR:host', shown)
        self.assertNotIn('fault', shown)

    def test_attributes_for_administrators(self):
        uuid = self.row(host='a', node='node-a')
        shown = self.show(uuid, self.admin)
        self.assertEqual('a', shown['OS-EXT-SRV-ATTR:host'])
        self.assertEqual(
            'node-a', shown['OS-EXT-SRV-ATTR:hypervisor_hostname']
        )
        self.assertEqual(
            'instance-00000001', shown['OS-EXT-SRV-ATTR:instance_name']
        )

    def test_host_id_differs_between_projects(self):
        mine = self.show(self.row(host='a'))['hostId']
        other = self.row(client=self.other, host='a')
        theirs = self.show(other, self.other)['hostId']
        self.assertEqual(56, len(mine))
        self.assertNotEqual(mine, theirs)

    def test_server_of_another_project_is_hidden(self):
        uuid = self.row(client=self.other)
        reply = self.user.get(f'/servers/{uuid}')
        self.assert_refused(404, f'Instance {uuid} could not be found.', reply)
        self.assertEqual(200, self.admin.get(f'/servers/{uuid}').status)

    def test_deleted_server_is_hidden(self):
        uuid = self.row(vm_state=states.DELETED)
        for client in (self.user, self.admin):
            reply = client.get(f'/servers/{uuid}')
            self.assert_refused(404, 'could not be found', reply)

    def test_unknown_server(self):
        reply = self.user.get(f'/servers/{NOWHERE}')
        self.assert_refused(404, NOWHERE, reply)

    def test_fault_of_a_server_in_error(self):
        uuid = self.row(vm_state='error')
        self.add_fault(
            uuid,
            exception.NoValidHost(
                reason='There are not enough hosts available: '
                'a: it is disabled; b: 1 of 2 vcpus are free'
            ),
        )
        fault = self.show(uuid)['fault']
        self.assertEqual(500, fault['code'])
        self.assertEqual(
            'No valid host was found. There are not enough hosts available.',
            fault['message'],
        )
        fault = self.show(uuid, self.admin)['fault']
        self.assertIn('a: it is disabled', fault['message'])

    def test_fault_is_hidden_after_recovery(self):
        uuid = self.row(vm_state='error')
        self.add_fault(uuid, exception.GuestFailed('it broke'))
        self.assertIn('fault', self.show(uuid))
        self.set(uuid, vm_state='active')
        self.assertNotIn('fault', self.show(uuid))

    def add_fault(self, uuid, error):
        now = datetime.datetime.now(datetime.UTC)
        self.cloud.database.write(
            lambda c: instances.add_fault(c, uuid, None, error, 'a', now)
        )

    def test_status_values(self):
        uuid = self.row()
        for vm_state, task_state, status in (
            ('building', 'spawning', 'BUILD'),
            ('active', 'rebooting_hard', 'HARD_REBOOT'),
            ('active', 'migrating', 'MIGRATING'),
            ('stopped', 'resize_prep', 'RESIZE'),
            ('resized', None, 'VERIFY_RESIZE'),
            ('stopped', None, 'SHUTOFF'),
        ):
            self.set(uuid, vm_state=vm_state, task_state=task_state)
            self.assertEqual(status, self.show(uuid)['status'])
        self.assertNotIn('progress', self.show(uuid))


class AttributesTest(RowsTestCase):
    """The attributes of a server by microversion."""

    #: (version, new for users, additionally new for administrators)
    ADDED = (
        (
            3,
            set(),
            {
                f'OS-EXT-SRV-ATTR:{name}'
                for name in (
                    'reservation_id',
                    'launch_index',
                    'hostname',
                    'kernel_id',
                    'ramdisk_id',
                    'root_device_name',
                    'user_data',
                )
            },
        ),
        (9, {'locked'}, set()),
        (16, set(), {'host_status'}),
        (19, {'description'}, set()),
        (26, {'tags'}, set()),
        (63, {'trusted_image_certificates'}, set()),
        (71, {'server_groups'}, set()),
        (73, {'locked_reason'}, set()),
        (90, {'OS-EXT-SRV-ATTR:hostname'}, set()),
        (96, {'pinned_availability_zone'}, set()),
        (100, {'scheduler_hints'}, set()),
    )

    def keys(self, client, version, uuid):
        return set(self.show(uuid, client.at_version(f'2.{version}')))

    def test_attribute_versions(self):
        uuid = self.row(host='a')
        for version, for_all, for_admin in self.ADDED:
            before = self.keys(self.user, version - 1, uuid)
            after = self.keys(self.user, version, uuid)
            self.assertEqual(for_all, after - before, version)
            self.assertEqual(set(), before - after)
            before = self.keys(self.admin, version - 1, uuid)
            after = self.keys(self.admin, version, uuid)
            # Administrators may have had it before.
            self.assertEqual(
                (for_all | for_admin) - before, after - before, version
            )
            self.assertLessEqual(for_all | for_admin, after)

    def test_other_attributes_are_unchanged(self):
        uuid = self.row(host='a')
        versions = {1, *(version for version, _, _ in self.ADDED)}
        newest = int(LATEST.partition('.')[2])
        for version in range(2, newest + 1):
            if version in versions:
                continue
            self.assertEqual(
                self.keys(self.admin, version - 1, uuid),
                self.keys(self.admin, version, uuid),
                version,
            )

    def test_list_is_without_server_groups(self):
        self.row()
        reply = self.user.at_version('2.71').get('/servers/detail')
        self.assertNotIn('server_groups', reply.body['servers'][0])

    def test_flavor_is_embedded_from_2_47_on(self):
        uuid = self.row()
        before = self.show(uuid, self.user.at_version('2.46'))['flavor']
        self.assertEqual({'id', 'links'}, set(before))
        after = self.show(uuid, self.user.at_version('2.47'))['flavor']
        self.assertEqual(
            {
                'original_name': 'small',
                'vcpus': 1,
                'ram': 512,
                'disk': 1,
                'ephemeral': 0,
                'swap': 0,
                'extra_specs': {},
            },
            after,
        )

    def test_host_status(self):
        uuid = self.row()
        admin = self.admin.at_version('2.16')
        self.assertEqual('', self.show(uuid, admin)['host_status'])
        self.set(uuid, host='a')
        self.assertEqual('', self.show(uuid, admin)['host_status'])
        services = tables.services
        now = datetime.datetime.now(datetime.UTC)
        old = now - datetime.timedelta(hours=1)

        def write(query):
            self.cloud.database.write(lambda c: c.execute(query))

        write(
            services.insert().values(
                uuid=NOWHERE,
                binary='nova-compute',
                host='a',
                incarnation='i',
                version='1',
                disabled=False,
                forced_down=False,
                started_at=now,
                last_seen_at=now,
            )
        )
        for values, word in (
            ({}, 'UP'),
            ({'last_seen_at': old}, 'UNKNOWN'),
            (
                {'hypervisor_error': 'away', 'last_seen_at': now},
                'MAINTENANCE',
            ),
            ({'disabled': True, 'hypervisor_error': None}, 'MAINTENANCE'),
            ({'forced_down': True}, 'DOWN'),
        ):
            if values:
                write(services.update().values(values))
            self.assertEqual(word, self.show(uuid, admin)['host_status'])
            reply = admin.get('/servers/detail?all_tenants=1')
            self.assertEqual(word, reply.body['servers'][0]['host_status'])


class ListTest(RowsTestCase):
    """GET /servers and /servers/detail."""

    def test_brief_and_detail(self):
        uuid = self.row()
        (brief,) = self.user.get('/servers').body['servers']
        self.assertEqual({'id', 'name', 'links'}, set(brief))
        (detail,) = self.user.get('/servers/detail').body['servers']
        self.assertEqual(self.show(uuid), detail)

    def test_users_see_their_project(self):
        mine = self.row()
        theirs = self.row(client=self.other)
        self.assertEqual([mine], self.ids(self.user))
        self.assertEqual([theirs], self.ids(self.other))
        self.assertEqual([], self.ids(self.admin))

    def test_all_tenants_is_for_administrators(self):
        both = {self.row(), self.row(client=self.other)}
        for query in ('?all_tenants=1', '?all_tenants', '?all_projects=true'):
            self.assertEqual(both, set(self.ids(self.admin, query)))
            for path in ('/servers', '/servers/detail'):
                reply = self.user.get(path + query)
                self.assert_refused(403, "Policy doesn't allow", reply)
                self.assertIn('administrators', reply.message)
        self.assertEqual([], self.ids(self.admin, '?all_tenants=0'))

    def test_invalid_all_tenants(self):
        reply = self.admin.get('/servers?all_tenants=maybe')
        self.assert_refused(400, 'all_tenants', reply)

    def test_project_of_another_is_for_administrators(self):
        self.row()
        theirs = self.row(client=self.other)
        for query in (
            '?tenant_id=33333333cccccccc',
            '?project_id=33333333cccccccc&all_tenants=1',
        ):
            self.assertEqual([theirs], self.ids(self.admin, query))
        reply = self.user.get('/servers?tenant_id=33333333cccccccc')
        self.assertNotIn(theirs, str(reply.body))

    def test_project_id_does_not_imply_all_tenants(self):
        mine = self.row(client=self.admin)
        self.row(client=self.other)
        for query in ('', '&all_tenants=0'):
            query = f'?project_id=33333333cccccccc{query}'
            self.assertEqual([mine], self.ids(self.admin, query))

    def test_names_are_matched_by_regular_expression(self):
        one, two = self.row(name='web-1'), self.row(name='db-1')
        self.assertEqual([one], self.ids(self.user, '?name=^web'))
        self.assertEqual([two], self.ids(self.user, '?name=^db.1$'))
        self.assertEqual([two, one], self.ids(self.user, '?name=-1'))
        self.assertEqual([], self.ids(self.user, '?name=^1'))

    def test_complex_name_patterns(self):
        for pattern in ('(', '(a%2B)%2B', '(%3F=a)', '*', 'a' * 256):
            reply = self.user.get(f'/servers?name={pattern}')
            self.assert_refused(400, 'query parameter name', reply)

    def test_status(self):
        active, off = self.row(), self.row(vm_state='stopped')
        rebooting = self.row(task_state='rebooting')
        for query, found in (
            ('?status=ACTIVE', [active]),
            ('?status=active', [active]),
            ('?status=SHUTOFF', [off]),
            ('?status=REBOOT', [rebooting]),
            ('?status=ACTIVE&status=SHUTOFF', [off, active]),
            ('?status=ERROR', []),
        ):
            self.assertEqual(found, self.ids(self.user, query), query)

    def test_unknown_status_is_refused_from_2_38_on(self):
        self.row()
        for client in (self.user, self.admin):
            self.assertEqual(
                [], self.ids(client.at_version('2.37'), '?status=foo')
            )
            reply = client.at_version('2.38').get('/servers?status=foo')
            self.assert_refused(400, 'Invalid status value', reply)

    def test_deleted_servers_are_for_administrators(self):
        alive = self.row()
        gone = self.row(vm_state=states.DELETED)
        all_tenants = '?all_tenants=1&'
        self.assertEqual([alive], self.ids(self.user))
        self.assertEqual([alive], self.ids(self.user, '?deleted=true'))
        self.assertEqual(
            [gone], self.ids(self.admin, all_tenants + 'deleted=true')
        )
        self.assertEqual(
            [gone], self.ids(self.admin, all_tenants + 'status=DELETED')
        )
        reply = self.user.get('/servers?status=DELETED')
        self.assert_refused(403, 'Only administrators may list', reply)

    def test_changes_since_shows_deleted_ones_too(self):
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        old = self.row(updated_at=moment)
        gone = self.row(vm_state=states.DELETED)
        for since in ('2026-06-01T00:00:00Z', '2026-06-01T02:00:00%2B02:00'):
            found = self.ids(self.user, f'?changes-since={since}')
            self.assertEqual([gone], found)
        found = self.ids(self.user, '?changes-since=2026-01-01')
        self.assertEqual({old, gone}, set(found))

    def test_changes_before(self):
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        old = self.row(updated_at=moment)
        new = self.row()
        query = '?changes-before=2026-06-01T00:00:00Z'
        self.assertEqual([old], self.ids(self.user.at_version('2.66'), query))
        self.assertEqual(
            [new, old], self.ids(self.user.at_version('2.65'), query)
        )
        query += '&changes-since=2026-07-01T00:00:00Z'
        reply = self.user.at_version('2.66').get(f'/servers{query}')
        self.assert_refused(400, 'less than or equal', reply)

    def test_invalid_times(self):
        for value in ('yesterday', '2026-13-01', '1', '2026-01-01T25:00'):
            reply = self.user.get(f'/servers?changes-since={value}')
            self.assert_refused(400, 'changes-since: must be a time', reply)

    def test_flavor_and_image(self):
        big = self.make_flavor('big', vcpus=2)
        image = self.image_store.add().id
        one = self.row()
        two = self.boot(wait=False, flavorRef=big, imageRef=image)
        for query, found in (
            ('?flavor=small', [one]),
            ('?flavor=big', [two]),
            ('?flavor=none', []),
            (f'?image={self.image}', [one]),
            (f'?image={image}', [two]),
            ('?image=none', []),
            ('?flavor=http://cloud/v2.1/flavors/big', [two]),
            (f'?image=http://cloud/v2/images/{image}', [two]),
        ):
            self.assertEqual(found, self.ids(self.user, query), query)

    def test_hosts_are_for_administrators(self):
        on_a = self.row(host='a', node='na')
        on_b = self.row(host='b', node='nb')
        self.assertEqual([on_a], self.ids(self.admin, '?host=a&all_tenants=1'))
        self.assertEqual(
            [on_b], self.ids(self.admin, '?node=nb&all_tenants=1')
        )
        self.assertEqual([on_b, on_a], self.ids(self.user, '?host=a'))

    def test_filters_of_administrators_and_since_2_83_of_all(self):
        one = self.row(key_name='k', progress=7, power_state=1)
        two = self.row(power_state=4, config_drive=True)
        for query, found in (
            ('vm_state=active', [two, one]),
            ('vm_state=stopped', []),
            ('power_state=4', [two]),
            ('progress=7', [one]),
            ('key_name=k', [one]),
            ('config_drive=true', [two]),
            ('user_id=user', [two, one]),
            ('user_id=unknown', []),
        ):
            all_tenants = f'?all_tenants=1&{query}'
            self.assertEqual(found, self.ids(self.admin, all_tenants), query)
            new = self.user.at_version('2.83')
            self.assertEqual(found, self.ids(new, f'?{query}'), query)
            old = self.user.at_version('2.82')
            self.assertEqual([two, one], self.ids(old, f'?{query}'), query)

    def test_reservation_and_uuid(self):
        one, two = self.row(reservation_id='r-x'), self.row()
        self.assertEqual([one], self.ids(self.user, '?reservation_id=r-x'))
        self.assertEqual(
            [two], self.ids(self.admin, f'?all_tenants=1&uuid={two}')
        )

    def test_created_at_is_within_the_second(self):
        moment = datetime.datetime(
            2026, 3, 4, 5, 6, 7, 890000, tzinfo=datetime.UTC
        )
        one = self.row(created_at=moment)
        self.row()
        query = '?created_at=2026-03-04T05:06:07Z'
        self.assertEqual([one], self.ids(self.user.at_version('2.83'), query))

    def test_no_server_has_an_address(self):
        self.row()
        self.assertEqual([], self.ids(self.user, '?ip=10.0.0.1'))
        self.assertEqual(
            [], self.ids(self.user.at_version('2.5'), '?ip6=fe80')
        )
        self.assertEqual(
            1, len(self.ids(self.user.at_version('2.4'), '?ip6=fe80'))
        )

    def test_tags(self):
        red = self.row()
        both = self.row()
        none = self.row()
        for server, tags in (
            (red, ['red', 'x"red"y']),
            (both, ['red', 'blue']),
            (none, ['Red', 'red ', 'rédé', 'reds']),
        ):
            reply = self.user.at_version('2.26').put(
                f'/servers/{server}/tags', {'tags': tags}
            )
            self.assertEqual({'tags': sorted(tags)}, reply.body)
            shown = self.show(server, self.user.at_version('2.26'))
            self.assertEqual(sorted(tags), shown['tags'])
        user = self.user.at_version('2.26')
        for query, found in (
            ('?tags=red', {red, both}),
            ('?tags=red,blue', {both}),
            ('?tags-any=blue,green', {both}),
            ('?not-tags=red,blue', {red, none}),
            ('?not-tags-any=red,blue', {none}),
            ('?tags=red&not-tags=blue', {red}),
            ('?tags=re', set()),
            # A part of the JSON text of a tag.
            ('?tags=red%22y', set()),
            ('?tags=x%22red%22y', {red}),
            ('?tags=%22red%22', set()),
            ('?tags=red%20', {none}),
            ('?tags=RED', set()),
            ('?not-tags-any=red%22y,red', {none}),
        ):
            self.assertEqual(found, set(self.ids(user, query)), query)
        reply = user.get('/servers?not-tags=')
        text = 'not-tags: must be a comma-separated list of tags'
        self.assert_refused(400, text, reply)
        old = self.user.at_version('2.25')
        self.assertEqual(3, len(self.ids(old, '?tags=red,blue')))

    def test_locked(self):
        one, two = self.row(locked=True), self.row()
        user = self.user.at_version('2.73')
        self.assertEqual([one], self.ids(user, '?locked=true'))
        self.assertEqual([two], self.ids(user, '?locked=False'))
        self.assertEqual(
            [one, two],
            self.ids(user, '?sort_key=locked&sort_dir=desc'),
        )
        reply = self.user.at_version('2.72').get('/servers?sort_key=locked')
        self.assert_refused(400, 'sort_key', reply)

    def test_unknown_filters(self):
        uuid = self.row()
        for client in (self.user, self.admin):
            query = '?all_tenants=0&foo=bar'
            reply = client.at_version('2.75').get(f'/servers{query}')
            self.assert_refused(400, "'foo'", reply)
        self.assertEqual(
            [uuid], self.ids(self.user.at_version('2.74'), '?foo=bar')
        )


class PagingTest(RowsTestCase):
    """Pages of a list."""

    def setUp(self):
        super().setUp()
        self.uuids = [self.row(name=f's{n}') for n in range(5)][::-1]

    def test_pages_follow_each_other(self):
        seen = []
        path = '/v2.1/servers/detail?limit=2&status=ACTIVE'
        pages = 0
        while path:
            body = self.user.get(path).body
            seen += [server['id'] for server in body['servers']]
            pages += 1
            links = body.get('servers_links', [])
            path = links and links[0]['href'].partition('.org')[2]
            if links:
                self.assertEqual('next', links[0]['rel'])
                self.assertIn('status=ACTIVE', path)
        self.assertEqual(self.uuids, seen)
        self.assertEqual(3, pages)

    def test_exactly_full_page_has_no_next(self):
        body = self.user.get('/servers?limit=5').body
        self.assertEqual(5, len(body['servers']))
        self.assertNotIn('servers_links', body)

    def test_no_page_is_longer_than_max_limit(self):
        self.config('api', max_limit=3)
        for query in ('', '?limit=100'):
            body = self.user.get(f'/servers{query}').body
            self.assertEqual(3, len(body['servers']))
            self.assertIn('servers_links', body)

    def test_limit_0_is_empty(self):
        self.assertEqual(
            {'servers': []}, self.user.get('/servers?limit=0').body
        )

    def test_invalid_limits(self):
        for value in ('-1', 'x', '', '1.5', '99999999999'):
            reply = self.user.get(f'/servers?limit={value}')
            self.assert_refused(400, 'query parameter limit', reply)
        reply = self.user.get('/servers?limit=1&limit=2')
        self.assert_refused(400, 'must not be repeated', reply)

    def test_unknown_marker(self):
        theirs = self.row(client=self.other)
        for marker in (NOWHERE, theirs, 'x'):
            reply = self.user.get(f'/servers?marker={marker}')
            self.assert_refused(400, f'marker [{marker}] not found', reply)

    def test_sorted_by_name(self):
        up = self.uuids[::-1]
        for query, found in (
            ('sort_key=display_name&sort_dir=asc', up),
            ('sort_key=display_name', self.uuids),
            ('sort_key=display_name&sort_dir=desc', self.uuids),
            (f'sort_key=display_name&sort_dir=asc&marker={up[1]}', up[2:]),
        ):
            self.assertEqual(found, self.ids(self.user, f'?{query}'), query)

    def test_sorted_by_several_keys_some_null(self):
        self.set(self.uuids[0], task_state='pausing')
        self.set(self.uuids[1], task_state='pausing')
        keys = '?sort_key=task_state&sort_key=display_name'
        order = [self.uuids[1], self.uuids[0], *self.uuids[2:][::-1]]
        query = f'{keys}&sort_dir=desc&sort_dir=asc'
        self.assertEqual(order, self.ids(self.user, query))
        for number, marker in enumerate(order):
            behind = self.ids(self.user, f'{query}&marker={marker}')
            self.assertEqual(order[number + 1 :], behind)

    def test_invalid_sort_keys(self):
        for query in ('sort_key=foo', 'sort_key=metadata'):
            reply = self.user.get(f'/servers?{query}')
            self.assert_refused(400, 'sort_key: must be one of', reply)
        reply = self.user.get('/servers?sort_key=uuid&sort_dir=up')
        self.assert_refused(400, 'must be one of asc, desc', reply)
        reply = self.user.get('/servers?sort_dir=asc')
        self.assert_refused(400, 'more sort_dir', reply)

    def test_sorting_by_host_is_for_administrators(self):
        reply = self.user.get('/servers?sort_key=host')
        self.assert_refused(403, 'Only administrators', reply)
        self.assertEqual(200, self.admin.get('/servers?sort_key=host').status)


class UpdateTest(RowsTestCase):
    """PUT /servers/{id}."""

    def put(self, uuid, client=None, **changes):
        return (client or self.user).put(
            f'/servers/{uuid}', {'server': changes}
        )

    def test_rename_emits_update(self):
        uuid = self.row()
        reply = self.put(uuid, name='new')
        self.assertEqual(200, reply.status)
        self.assertEqual('new', reply.body['server']['name'])
        self.assertEqual('new', self.show(uuid)['name'])
        last = self.cloud.notifications(uuid)[-1]
        self.assertEqual(events.event_type('update'), last.event_type)
        self.assertEqual('api.api', last.publisher_id)
        self.assertEqual('web', last.payload['old_display_name'])
        self.assertEqual('new', last.payload['display_name'])
        numbers = [notice.seq for notice in self.cloud.notifications(uuid)]
        self.assertEqual(list(range(1, len(numbers) + 1)), numbers)

    def test_no_change_emits_nothing(self):
        uuid = self.row()
        before = self.cloud.notifications(uuid)
        self.assertEqual(200, self.put(uuid, name='web').status)
        self.assertEqual(200, self.put(uuid).status)
        self.assertEqual(before, self.cloud.notifications(uuid))

    def test_description_comes_with_2_19(self):
        uuid = self.row()
        reply = self.put(uuid, description='x')
        self.assert_refused(400, "no field 'description'", reply)
        self.assertIn('exists since microversion 2.19.', reply.message)
        reply = self.put(uuid, self.user.at_version('2.19'), description='x')
        self.assertEqual('x', reply.body['server']['description'])
        reply = self.put(uuid, self.user.at_version('2.19'), description=None)
        self.assertIsNone(reply.body['server']['description'])

    def test_addresses_and_disk_config(self):
        uuid = self.row()
        reply = self.put(
            uuid,
            accessIPv4='192.0.2.1',
            accessIPv6='2001:db8:0:0::1',
            **{'OS-DCF:diskConfig': 'AUTO'},
        )
        shown = reply.body['server']
        self.assertEqual('192.0.2.1', shown['accessIPv4'])
        self.assertEqual('2001:db8::1', shown['accessIPv6'])
        self.assertEqual('AUTO', shown['OS-DCF:diskConfig'])
        reply = self.put(uuid, accessIPv4='')
        self.assertEqual('', reply.body['server']['accessIPv4'])

    def test_update_reply_is_full_since_2_75(self):
        uuid = self.row()
        old = self.put(uuid, self.user.at_version('2.74')).body['server']
        self.assertNotIn('OS-EXT-STS:vm_state', old)
        self.assertIn('server_groups', old)
        new = self.put(uuid, self.user.at_version('2.75')).body['server']
        self.assertEqual(self.show(uuid, self.user.at_version('2.75')), new)

    def test_invalid_updates(self):
        uuid = self.row()
        for changes, text in (
            ({'name': ''}, 'server.name: must be 1 to 255 printable'),
            ({'name': ' x'}, 'server.name'),
            ({'name': 'a' * 256}, 'server.name'),
            ({'name': 'a\nb'}, 'server.name'),
            ({'name': None}, 'server.name'),
            ({'accessIPv4': 'x'}, 'server.accessIPv4: must be an IPv4'),
            ({'accessIPv6': '1.2.3.4'}, 'server.accessIPv6'),
            ({'OS-DCF:diskConfig': 'x'}, 'must be one of AUTO, MANUAL'),
            ({'nothing': 1}, "no field 'nothing'"),
        ):
            self.assert_refused(400, text, self.put(uuid, **changes))

    def test_server_of_another_project(self):
        uuid = self.row(client=self.other)
        self.assert_refused(404, uuid, self.put(uuid, name='mine'))

    def test_during_an_operation(self):
        uuid = self.boot(wait=False)
        self.assertEqual(200, self.put(uuid, name='early').status)
        row = self.cloud.instance(uuid)
        self.assertEqual('early', row.display_name)
        self.assertEqual('scheduling', row.task_state)


class AddressesTest(RowsTestCase):
    """GET /servers/{id}/ips."""

    def test_no_entries(self):
        uuid = self.row()
        self.assertEqual(
            {'addresses': {}}, self.user.get(f'/servers/{uuid}/ips').body
        )
        reply = self.user.get(f'/servers/{uuid}/ips/private')
        self.assert_refused(404, 'not a member of specified network', reply)

    def test_networks_defined(self):
        uuid = self.row(
            network_info=[
                {
                    'label': 'private',
                    'mac': 'fa:16:3e:00:00:01',
                    'addresses': [
                        {'address': '10.0.0.3', 'version': 4, 'type': 'fixed'}
                    ],
                }
            ]
        )
        one = {'version': 4, 'addr': '10.0.0.3'}
        reply = self.user.get(f'/servers/{uuid}/ips/private')
        self.assertEqual({'private': [one]}, reply.body)
        more = {
            'OS-EXT-IPS:type': 'fixed',
            'OS-EXT-IPS-MAC:mac_addr': 'fa:16:3e:00:00:01',
        }
        self.assertEqual(
            {'private': [one | more]}, self.show(uuid)['addresses']
        )


class DeleteTest(base.ApiTestCase):
    """DELETE /servers/{id}."""

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def test_delete(self):
        uuid = self.boot()
        reply = self.user.delete(f'/servers/{uuid}')
        self.assertEqual(204, reply.status)
        self.assertIsNone(reply.body)
        self.cloud.settle(uuid)
        self.assert_refused(404, uuid, self.user.get(f'/servers/{uuid}'))
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assert_refused(404, uuid, self.user.delete(f'/servers/{uuid}'))

    def test_second_delete_is_idempotent(self):
        uuid = self.boot()
        for host in self.hosts:
            self.cloud.stop(self.cloud.computes[host])
        for _ in range(2):
            self.assertEqual(204, self.user.delete(f'/servers/{uuid}').status)
        kinds = [one.kind for one in self.cloud.operations(uuid)]
        self.assertEqual(['create', 'delete'], kinds)

    def test_server_of_another_project(self):
        uuid = self.boot(self.other)
        self.assert_refused(404, uuid, self.user.delete(f'/servers/{uuid}'))
        self.assertEqual('ACTIVE', self.show(uuid, self.other)['status'])
