# SPDX-License-Identifier: Apache-2.0
"""The usage audit: one exists for each server and period, for all hosts."""

import datetime

import sqlalchemy as sa

from minova import clock
from minova.conductor.usage_audit import UsageAudit
from minova.db import tables
from minova.db.queries import usage_audits
from minova.notifications import audit_period
from minova.notifications import retention
from tests.functional.api import base

_HOUR = datetime.timedelta(hours=1)


class UsageAuditTest(base.ApiTestCase):
    """Hours pass; the conductor of the cloud audits them."""

    def setUp(self):
        super().setUp()
        self.config('notifications', instance_usage_audit_period='hour')
        self.now = clock.now()
        self.patch(clock, 'now', lambda: self.now)
        self.make_flavor()

    def begin_audits(self):
        self.config('notifications', instance_usage_audit=True)
        self.wait_audited()

    def advance(self, hours):
        """Let hours pass; wait for the audit."""
        self.now += hours * _HOUR
        self.wait_audited()

    def wait_audited(self):
        # An audit begins when the transactions of its period have ended.
        ending = audit_period.find_beginning(
            self.now - datetime.timedelta(seconds=30)
        )
        self.cloud.wait_for(
            lambda: self.cloud.read(usage_audits.find_last_ending) == ending
        )

    def exists(self, uuid):
        """Return publisher and period of the exists of a server."""
        self.cloud.settle(uuid)
        received = self.cloud.consumer.of_instance(uuid)
        return [
            (
                publisher,
                payload['audit_period_beginning'],
                payload['audit_period_ending'],
            )
            for event, publisher, payload, _ in received
            if event == 'compute.instance.exists'
        ]

    def hours(self, first, last=None):
        """Return the bounds of the hours that end 0, -1, ... hours ago."""
        ending = audit_period.find_beginning(self.now)
        return [
            (
                f'{ending + (hour - 1) * _HOUR:%Y-%m-%d %H:%M:%S}',
                f'{ending + hour * _HOUR:%Y-%m-%d %H:%M:%S}',
            )
            for hour in range(first, (first if last is None else last) + 1)
        ]

    def test_once_for_each_server_and_hour(self):
        one, two = self.boot(), self.boot()
        self.begin_audits()
        self.assertEqual([], self.exists(one))
        self.advance(1)
        self.advance(1)
        for uuid in (one, two):
            host = self.cloud.instance(uuid).host
            self.assertEqual(
                [(f'compute.{host}', *hour) for hour in self.hours(-1, 0)],
                self.exists(uuid),
            )
        rows = self.cloud.notifications(one)
        self.assertEqual(
            [row.seq for row in rows], list(range(1, len(rows) + 1))
        )
        self.assertEqual(
            self.cloud.instance(one).updated_at,
            self.cloud.operations(one)[-1].finished_at,
        )

    def test_hosts_that_are_down(self):
        uuid = self.boot()
        self.begin_audits()
        for service in self.cloud.computes.values():
            self.cloud.stop(service)
        self.advance(1)
        self.assertEqual(1, len(self.exists(uuid)))

    def test_missed_hours_follow_in_order(self):
        uuid = self.boot()
        self.begin_audits()
        self.cloud.stop(self.cloud.conductors['conductor0'])
        self.now += 3 * _HOUR
        self.cloud.start_conductor('conductor1')
        self.wait_audited()
        self.assertEqual(
            self.hours(-2, 0),
            [tuple(hour) for _, *hour in self.exists(uuid)],
        )

    def test_deleted_and_failed_servers(self):
        gone = self.boot()
        self.begin_audits()
        self.cloud.world.inject_fault('a', 'start')
        self.cloud.world.inject_fault('b', 'start')
        failed = self.boot()
        self.assertEqual('error', self.cloud.instance(failed).vm_state)
        self.user.delete(f'/servers/{gone}')
        self.cloud.settle(gone)
        self.advance(1)
        self.advance(1)
        ((_, *hour),) = self.exists(gone)
        self.assertEqual(self.hours(-1)[0], tuple(hour))
        (last,) = [
            payload
            for event, _, payload, _ in self.cloud.consumer.of_instance(gone)
            if event == 'compute.instance.exists'
        ]
        self.assertEqual('deleted', last['state'])
        self.assertNotEqual('', last['deleted_at'])
        self.assertEqual([], self.exists(failed))

    def test_a_resize_does_not_hide_a_server(self):
        """Its end renews launched_at, after the hour to audit."""
        uuid = self.boot()
        self.begin_audits()
        self.now += _HOUR
        t = tables.instances
        self.cloud.database.write(
            lambda c: c.execute(sa.update(t).values(launched_at=self.now))
        )
        self.wait_audited()
        self.assertEqual(1, len(self.exists(uuid)))

    def test_two_conductors(self):
        uuid = self.boot()
        self.begin_audits()
        self.now += _HOUR
        self.wait_audited()
        period = audit_period.find_last(self.now)
        other = UsageAudit(self.cloud.database, 'other', 'other')
        self.assertFalse(other._emit(self.cloud.context(), period, uuid))
        self.assertEqual(1, len(self.exists(uuid)))

    def test_off_by_default(self):
        uuid = self.boot()
        self.now += _HOUR
        UsageAudit(self.cloud.database, 'other', 'other').run()
        self.assertEqual([], self.exists(uuid))
        self.assertIsNone(self.cloud.read(usage_audits.find_last_ending))

    def test_log(self):
        self.boot()
        self.boot()
        self.begin_audits()
        self.advance(1)
        found = self.audit_log()
        ((beginning, ending),) = self.hours(0)
        self.assertEqual(
            {
                'period_beginning': beginning,
                'period_ending': ending,
                'num_hosts': 2,
                'num_hosts_done': 2,
                'num_hosts_running': 0,
                'num_hosts_not_run': 0,
                'hosts_not_run': [],
                'total_instances': 2,
                'total_errors': 0,
                'overall_status': 'ALL hosts done. 0 errors.',
            },
            {name: found[name] for name in found.keys() - {'log'}},
        )
        self.assertEqual({'a', 'b'}, set(found['log']))
        for host in found['log'].values():
            self.assertEqual(('DONE', 0), (host['state'], host['errors']))
            self.assertRegex(host['message'], r'^\d instances in [\d.]+ seco')
        earlier = f'{self.now - _HOUR:%Y-%m-%d %H:%M:%S.%f}'
        before = self.audit_log(f'/{earlier}')
        self.assertEqual(beginning, before['period_ending'])
        self.assertEqual(0, before['total_instances'])
        older = self.audit_log('/2026-01-01 00:00:00.0')
        self.assertEqual(['a', 'b'], older['hosts_not_run'])
        self.assertEqual({}, older['log'])
        self.assertEqual(
            '0 of 2 hosts done. 0 errors.', older['overall_status']
        )
        self.assert_refused(
            400,
            'Invalid timestamp for date yesterday',
            self.admin.get('/os-instance_usage_audit_log/yesterday'),
        )

    def audit_log(self, path=''):
        reply = self.admin.get(f'/os-instance_usage_audit_log{path}')
        self.assertEqual(200, reply.status, reply.body)
        (name,) = reply.body
        self.assertEqual(
            'instance_usage_audit_log'
            if path
            else 'instance_usage_audit_logs',
            name,
        )
        return reply.body[name]

    def test_archive_waits_for_the_audit(self):
        uuid = self.boot()
        self.begin_audits()
        self.user.delete(f'/servers/{uuid}')
        self.cloud.settle(uuid)
        soon = self.now + datetime.timedelta(seconds=1)
        list(retention.run(self.cloud.database, soon, 100, False))
        self.assertIsNotNone(self.cloud.instance(uuid))
        self.advance(1)
        self.assertEqual(1, len(self.exists(uuid)))
        self.now += _HOUR
        self.wait_audited()
        list(retention.run(self.cloud.database, self.now, 100, False))
        self.assertIsNone(self.cloud.instance(uuid))
        # The newest audit stays; the log has the archived ones too.
        left = self.cloud.database.read(
            lambda c: (
                c.execute(
                    sa.select(tables.usage_audits.c.period_ending.distinct())
                )
                .scalars()
                .all()
            )
        )
        self.assertEqual([audit_period.find_beginning(self.now)], left)
        earlier = f'{self.now - _HOUR:%Y-%m-%d %H:%M:%S.%f}'
        self.assertEqual(1, self.audit_log(f'/{earlier}')['total_instances'])
