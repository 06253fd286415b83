# SPDX-License-Identifier: Apache-2.0
"""The bounds of audit periods."""

import datetime
import itertools

from oslo_config import cfg

from minova.notifications import audit_period
from tests import base


def _at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


class AuditPeriodTest(base.TestCase):
    """Hours, days, months and years, with and without an offset."""

    def last(self, unit, now):
        self.config('notifications', instance_usage_audit_period=unit)
        found = audit_period.find_last(_at(now))
        return (
            f'{found.beginning:%Y-%m-%d %H:%M:%S.%f}'[:19],
            f'{found.ending:%Y-%m-%d %H:%M:%S.%f}'[:19],
        )

    def test_last_period(self):
        for row in (
            'hour     2026-03-01T00:10    2026-02-28T23:00 2026-03-01T00:00',
            'hour@15  2026-03-01T00:10    2026-02-28T22:15 2026-02-28T23:15',
            'hour@15  2026-03-01T00:15:01 2026-02-28T23:15 2026-03-01T00:15',
            'day      2026-03-01T00:10    2026-02-28T00:00 2026-03-01T00:00',
            'day@6    2026-03-01T00:10    2026-02-27T06:00 2026-02-28T06:00',
            'day@6    2026-03-01T06:10    2026-02-28T06:00 2026-03-01T06:00',
            'month    2026-03-01T00:10    2026-02-01T00:00 2026-03-01T00:00',
            'month@0  2026-03-31T00:00    2026-02-01T00:00 2026-03-01T00:00',
            'month@10 2026-01-05T00:00    2025-11-10T00:00 2025-12-10T00:00',
            'month@28 2026-03-29T00:00    2026-02-28T00:00 2026-03-28T00:00',
            'year     2026-03-01T00:10    2025-01-01T00:00 2026-01-01T00:00',
            'year@4   2026-03-01T00:10    2024-04-01T00:00 2025-04-01T00:00',
            'year@4   2024-05-01T00:10    2023-04-01T00:00 2024-04-01T00:00',
        ):
            unit, now, beginning, ending = row.split()
            self.assertEqual(
                (f'{_at(beginning)}'[:19], f'{_at(ending)}'[:19]),
                self.last(unit, now),
                unit,
            )

    def test_an_end_belongs_to_the_period_before(self):
        for unit, now, ending in (
            ('hour', '2026-03-01T01:00', '2026-03-01 00:00:00'),
            ('day', '2026-03-01T00:00', '2026-02-28 00:00:00'),
            ('month', '2026-03-01T00:00', '2026-02-01 00:00:00'),
            ('year', '2026-01-01T00:00', '2025-01-01 00:00:00'),
        ):
            self.assertEqual(ending, self.last(unit, now)[1], unit)

    def test_periods_since(self):
        self.config('notifications', instance_usage_audit_period='day')
        now = _at('2026-03-03T10:00')
        (only,) = audit_period.list_since(None, now)
        self.assertEqual(_at('2026-03-03T00:00'), only.ending)
        self.assertEqual('2026-03-02 00:00 to 2026-03-03 00:00', str(only))
        found = audit_period.list_since(_at('2026-02-28T00:00'), now)
        self.assertEqual(
            [_at(f'2026-03-0{day}T00:00') for day in (1, 2, 3)],
            [period.ending for period in found],
        )
        for before, after in itertools.pairwise(found):
            self.assertEqual(before.ending, after.beginning)
        self.assertEqual([], audit_period.list_since(only.ending, now))
        # A shorter unit than before continues where the longer one ended.
        self.config('notifications', instance_usage_audit_period='hour')
        found = audit_period.list_since(_at('2026-03-03T08:00'), now)
        self.assertEqual([_at('2026-03-03T09:00')], [p.ending for p in found])

    def test_invalid_units(self):
        for unit in (
            'week',
            'hour@60',
            'day@24',
            'month@29',
            'year@13',
            'hour@',
            'day@-1',
        ):
            self.assertRaises(
                (ValueError, cfg.ConfigFileValueError),
                self.config,
                'notifications',
                instance_usage_audit_period=unit,
            )
