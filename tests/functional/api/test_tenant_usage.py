# SPDX-License-Identifier: Apache-2.0
"""/os-simple-tenant-usage: exact hours, deleted and archived servers."""

import datetime
from urllib import parse

import sqlalchemy as sa

from minova import clock
from minova.db import tables
from minova.notifications import retention
from tests.functional.api import base
from tests.functional.api.base import LATEST

_MINE = '22222222bbbbbbbb'
_OTHER = '33333333cccccccc'
_BEGIN = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
_PERIOD = 'start=2026-03-01T00:00:00&end=2026-03-02T00:00:00'
_HOUR = datetime.timedelta(hours=1)
_TOTALS = (
    'total_hours',
    'total_vcpus_usage',
    'total_memory_mb_usage',
    'total_local_gb_usage',
)


class TenantUsageTest(base.ApiTestCase):
    """The usage of projects whose servers have known times."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor(
            ram=512, vcpus=2, disk=3, **{'OS-FLV-EXT-DATA:ephemeral': 4}
        )

    def exist(self, begin, end=None, client=None, **values):
        """Create a server that existed from hour to hour of the period."""
        uuid = self.boot(client, wait=False, **values)
        changes = {'launched_at': _BEGIN + begin * _HOUR}
        if end is not None:
            changes['terminated_at'] = _BEGIN + end * _HOUR
            changes['deleted_at'] = changes['terminated_at']
            changes |= {'vm_state': 'deleted', 'task_id': None}
        t = tables.instances
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(t).where(t.c.uuid == uuid).values(**changes)
            )
        )
        return uuid

    def get(self, path='', client=None, query=_PERIOD):
        client = client or self.admin
        reply = client.get(f'/os-simple-tenant-usage{path}?{query}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body

    def usage(self, project=_MINE, client=None, query=_PERIOD):
        return self.get(f'/{project}', client or self.user, query)[
            'tenant_usage'
        ]

    def hours(self, **words):
        found = self.usage(**words)
        return sorted(one['hours'] for one in found.get('server_usages', ()))

    def test_document(self):
        uuid = self.exist(-1.5, 6.25, name='old')
        self.assertEqual(
            {
                'tenant_id': _MINE,
                'start': '2026-03-01T00:00:00.000000',
                'stop': '2026-03-02T00:00:00.000000',
                'total_hours': 6.25,
                'total_vcpus_usage': 12.5,
                'total_memory_mb_usage': 3200.0,
                'total_local_gb_usage': 43.75,
                'server_usages': [
                    {
                        'instance_id': uuid,
                        'name': 'old',
                        'tenant_id': _MINE,
                        'flavor': 'small',
                        'vcpus': 2,
                        'memory_mb': 512,
                        'local_gb': 7,
                        'hours': 6.25,
                        'uptime': 27900,
                        'started_at': '2026-02-28T22:30:00.000000',
                        'ended_at': '2026-03-01T06:15:00.000000',
                        'state': 'terminated',
                    }
                ],
            },
            self.usage(),
        )

    def test_hours_are_those_within_the_period(self):
        self.exist(-5, -1)
        self.exist(25)
        self.boot(wait=False)
        self.assertEqual({}, self.usage())
        self.exist(-1)
        self.exist(3, 4.000001)
        self.exist(23.5, 48)
        self.assertEqual([0.5, 1.000001, 24.0], self.hours())
        living = self.usage()['server_usages']
        self.assertEqual(
            {'building', 'terminated'}, {one['state'] for one in living}
        )
        (alive,) = [one for one in living if one['ended_at'] is None]
        age = clock.now() - (_BEGIN - _HOUR)
        self.assertAlmostEqual(age.total_seconds(), alive['uptime'], delta=60)

    def test_archived_servers_count(self):
        uuid = self.exist(1, 2)
        for table, ended in (
            (tables.operations, 'finished_at'),
            (tables.outbox, 'published_at'),
            (tables.steps, 'finished_at'),
        ):
            changes = {ended: _BEGIN}
            if 'state' in table.c:
                changes['state'] = 'done'
            self.cloud.database.write(
                lambda c, t=table, v=changes: c.execute(
                    sa.update(t).values(**v)
                )
            )
        before = self.usage()
        list(retention.run(self.cloud.database, clock.now(), 100, False))
        self.assertIsNone(self.cloud.instance(uuid))
        self.assertEqual(before, self.usage())
        newest = self.user.at_version(LATEST)
        query = f'{_PERIOD}&marker={uuid}'
        self.assertEqual({}, self.usage(client=newest, query=query))

    def test_list(self):
        self.exist(0, 2)
        self.exist(1, 2)
        self.exist(4, 5, client=self.other)
        found = {one['tenant_id']: one for one in self.get()['tenant_usages']}
        self.assertEqual({_MINE, _OTHER}, set(found))
        self.assertEqual(
            [3.0, 6.0, 1536.0, 21.0], [found[_MINE][n] for n in _TOTALS]
        )
        self.assertNotIn('server_usages', found[_MINE])
        for value, is_detailed in (
            ('1', True),
            ('True', True),
            ('0', False),
            ('2', False),
        ):
            detailed = self.get(query=f'{_PERIOD}&detailed={value}')
            self.assertEqual(
                is_detailed, 'server_usages' in detailed['tenant_usages'][0]
            )

    def test_pages(self):
        for hour in range(4):
            self.exist(hour, hour + 1)
        self.exist(5, 8, client=self.other)
        newest = self.admin.at_version('2.40')
        query = f'{_PERIOD}&detailed=1&limit=2'
        pages = []
        while query:
            found = self.get(client=newest, query=query)
            pages.append(found['tenant_usages'])
            query = None
            for link in found.get('tenant_usages_links', ()):
                self.assertEqual('next', link['rel'])
                query = parse.urlsplit(link['href']).query
        self.assertEqual(
            [[(_MINE, 2.0)], [(_MINE, 2.0)], [(_OTHER, 3.0)]],
            [
                [(one['tenant_id'], one['total_hours']) for one in page]
                for page in pages
            ],
        )
        first = self.get(
            f'/{_MINE}', self.user.at_version('2.40'), f'{_PERIOD}&limit=3'
        )
        self.assertEqual(3, len(first['tenant_usage']['server_usages']))
        (link,) = first['tenant_usage_links']
        self.assertIn(f'/os-simple-tenant-usage/{_MINE}?', link['href'])
        self.assertEqual(
            [1.0],
            self.hours(
                client=self.user.at_version('2.40'),
                query=parse.urlsplit(link['href']).query,
            ),
        )
        # An older version has no pages.
        self.assertEqual(4, len(self.hours(query=f'{_PERIOD}&limit=3')))

    def test_marker(self):
        newest = self.user.at_version('2.40')
        foreign = self.exist(5, 8, client=self.other)
        for marker in (foreign, 'x'):
            reply = newest.get(
                f'/os-simple-tenant-usage/{_MINE}?marker={marker}'
            )
            self.assert_refused(400, f'marker [{marker}] not found', reply)
        empty = self.get(
            client=self.admin.at_version('2.40'), query=f'{_PERIOD}&limit=0'
        )
        self.assertEqual({'tenant_usages': []}, empty)

    def test_period(self):
        self.exist(0)
        # Without a period, it is this moment.
        (found,) = self.usage(query='')['server_usages']
        self.assertEqual(0.0, found['hours'])
        self.assertEqual(
            24.0, sum(self.hours(query='start=2026-02-27&end=2026-03-02'))
        )
        for query in (
            'start=2026-03-02T00:00:00&end=2026-03-01T00:00:00',
            'start=2026-03-01T00:00:00&end=2026-03-01T00:00:00',
            'start=2999-03-01T00:00:00',
        ):
            self.assert_refused(
                400,
                'The start time cannot occur after the end time',
                self.user.get(f'/os-simple-tenant-usage/{_MINE}?{query}'),
            )
        self.assert_refused(
            400,
            'query parameter end: must be a time in ISO 8601',
            self.user.get(f'/os-simple-tenant-usage/{_MINE}?end=tomorrow'),
        )

    def test_unknown_parameters(self):
        path = f'/os-simple-tenant-usage/{_MINE}?bogus=1'
        self.assertEqual(200, self.user.at_version('2.74').get(path).status)
        self.assert_refused(
            400,
            'Additional properties are not allowed',
            self.user.at_version('2.75').get(path),
        )

    def test_callers(self):
        self.assert_refused(
            403,
            'os_compute_api:os-simple-tenant-usage:show',
            self.user.get(f'/os-simple-tenant-usage/{_OTHER}'),
        )
        self.assertEqual(403, self.user.get('/os-simple-tenant-usage').status)
        self.assertEqual({}, self.usage('unknown', self.admin))
