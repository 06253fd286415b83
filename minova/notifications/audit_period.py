# SPDX-License-Identifier: Apache-2.0
"""Audit periods: hours, days, months or years, with an offset.

``day@6`` is a day that begins at 06:00. All times are UTC.
"""

from collections.abc import Iterator
import datetime

from minova.conf import CONF
from minova.objects.audit_period import AuditPeriod


def find_beginning(now: datetime.datetime) -> datetime.datetime:
    """Return the beginning of the period that contains ``now``.

    A moment at which one period ends and another begins belongs to the first.
    """
    unit, _, text = CONF.notifications.instance_usage_audit_period.partition(
        '@'
    )
    offset = int(text or 0)
    found: datetime.datetime = now.replace(minute=0, second=0, microsecond=0)
    if unit == 'hour':
        found = found.replace(minute=offset)
        return found if found < now else found - datetime.timedelta(hours=1)
    if unit == 'day':
        found = found.replace(hour=offset)
        return found if found < now else found - datetime.timedelta(days=1)
    found = found.replace(hour=0, day=1)
    if unit == 'month':
        found = found.replace(day=max(offset, 1))
        if found >= now:
            before = found.replace(day=1) - datetime.timedelta(days=1)
            found = before.replace(day=found.day)
        return found
    found = found.replace(month=max(offset, 1))
    return found if found < now else found.replace(year=found.year - 1)


def find_last(now: datetime.datetime) -> AuditPeriod:
    """Return the newest period that ended before ``now``."""
    ending = find_beginning(now)
    return AuditPeriod(find_beginning(ending), ending)


def list_since(
    last_ending: datetime.datetime | None, now: datetime.datetime
) -> list[AuditPeriod]:
    """Return the periods that ended after ``last_ending``, the oldest first.

    Without ``last_ending`` it is the newest period that ended before ``now``.
    """
    if last_ending is None:
        return [find_last(now)]
    return list(_descend(last_ending, now))[::-1]


def _descend(
    last_ending: datetime.datetime, now: datetime.datetime
) -> Iterator[AuditPeriod]:
    period = find_last(now)
    while period.ending > last_ending:
        yield period
        period = find_last(period.ending)
