# SPDX-License-Identifier: Apache-2.0
"""The check of one exists for each instance and audit period."""

import datetime
import json

from minova.db.queries.ledger import Entry
from minova.db.queries.ledger import Scope
from minova.notifications import envelope
from minova.notifications import verify
from minova.objects.audit_period import AuditPeriod
from tests import base

_BEGIN = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
_HOUR = datetime.timedelta(hours=1)
_UUID = '5d1b1f3e-7a3f-4d3c-9a44-0a9b7c1de101'


def _bounds(hour):
    begin = _BEGIN + hour * _HOUR
    return begin, begin + _HOUR


class ExistsCheckTest(base.TestCase):
    """A ledger with planted faults, and a log that has all of it."""

    def verify(self, *hours, operation=None, audited=range(5)):
        """Return the reports on exists for these hours, by number."""
        entries = [
            self.entry(seq, hour, operation)
            for seq, hour in enumerate(hours, 1)
        ]
        lines = [
            json.dumps(envelope.to_oslo_message(entry)).encode()
            for entry in entries
        ]
        report = verify.verify(
            lines,
            entries,
            Scope(),
            [AuditPeriod(*_bounds(hour)) for hour in audited],
        )
        self.assertEqual(
            not (report.repeated_exists or report.missing_exists),
            report.is_clean,
        )
        return (
            [finding.seq for finding in report.repeated_exists],
            [finding.seq for finding in report.missing_exists],
        )

    def entry(self, seq, hour, operation):
        begin, end = (
            f'{moment:%Y-%m-%d %H:%M:%S}' for moment in _bounds(hour)
        )
        return Entry(
            id=seq,
            instance_uuid=_UUID,
            seq=seq,
            message_id=f'{seq:08}-7a3f-4d3c-9a44-0a9b7c1de101',
            operation_id=operation,
            event_type='compute.instance.exists',
            publisher_id='compute.a',
            priority='INFO',
            payload={
                'instance_id': _UUID,
                'audit_period_beginning': begin,
                'audit_period_ending': end,
            },
            context={},
            created_at=_BEGIN,
            published_at=_BEGIN,
            archived=False,
        )

    def test_one_for_each_period(self):
        self.assertEqual(([], []), self.verify(1, 2, 3))
        self.assertEqual(([], []), self.verify(4))

    def test_repeated(self):
        self.assertEqual(([2], []), self.verify(1, 1, 2))
        self.assertEqual(([4], []), self.verify(1, 2, 3, 2))

    def test_missing(self):
        self.assertEqual(([], [2]), self.verify(1, 3, 4))

    def test_of_operations(self):
        self.assertEqual(([], []), self.verify(1, 1, 4, operation='o'))

    def test_periods_that_are_not_audited_completely(self):
        self.assertEqual(([], []), self.verify(1, 2, 2, audited=(1,)))
