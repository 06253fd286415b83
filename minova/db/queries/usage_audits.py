# SPDX-License-Identifier: Apache-2.0
"""The audits of the usage of instances, by period.

The row of an instance says until when its usage was audited. The transaction
that changes it writes the notification, so an instance has one in each period,
whatever was killed meanwhile.
"""

import dataclasses
import datetime
from typing import Final

import sqlalchemy as sa

from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.queries import operations
from minova.objects.audit_period import AuditPeriod
from minova.objects.instance import Instance

_i = tables.instances
_t = tables.usage_audits

#: The states of an audit, as the Compute API shows them.
RUNNING: Final = 'RUNNING'
DONE: Final = 'DONE'
#: The host of the row for the period as a whole.
_WHOLE: Final = ''


@dataclasses.dataclass(frozen=True)
class HostAudit:
    """The audit of one host for a period."""

    host: str
    state: str
    instances: int
    started_at: datetime.datetime
    finished_at: datetime.datetime | None


# -- periods -----------------------------------------------------------------


def find_last_ending(connection: Connection) -> datetime.datetime | None:
    """Return the end of the newest period that is audited completely."""
    query = sa.select(sa.func.max(_t.c.period_ending)).where(
        _t.c.host == _WHOLE, _t.c.state == DONE
    )
    found: datetime.datetime | None = connection.execute(query).scalar_one()
    return found


def begin(
    connection: Connection, period: AuditPeriod, now: datetime.datetime
) -> None:
    """Record the begin of an audit for the period and for each host."""
    known = connection.execute(
        sa.select(_t.c.host).where(*_of(period))
    ).scalars()
    hosts = connection.execute(
        sa.select(tables.services.c.host).where(
            tables.services.c.binary == operations.COMPUTE_BINARY
        )
    ).scalars()
    for host in sorted({_WHOLE, *hosts} - set(known)):
        _insert(connection, period, host, 0, now)


def finish(
    connection: Connection, period: AuditPeriod, now: datetime.datetime
) -> None:
    """Record that no instance of a period is left."""
    connection.execute(
        sa.update(_t)
        .where(*_of(period), _t.c.state == RUNNING)
        .values(state=DONE, finished_at=now)
    )


def list_hosts(connection: Connection, period: AuditPeriod) -> list[HostAudit]:
    """Return the audit of each host, also when it is archived."""
    found = []
    for table in (_t, tables.archived_usage_audits):
        rows = connection.execute(
            sa.select(
                table.c.host,
                table.c.state,
                table.c.instances,
                table.c.started_at,
                table.c.finished_at,
            ).where(
                table.c.period_ending == period.ending,
                table.c.period_beginning == period.beginning,
                table.c.host != _WHOLE,
            )
        )
        found += [HostAudit(**row) for row in rows.mappings()]
    return sorted(found, key=lambda audit: audit.host)


def list_done(connection: Connection) -> list[AuditPeriod]:
    """Return the periods that are audited completely, the oldest first."""
    found = set()
    for table in (_t, tables.archived_usage_audits):
        rows = connection.execute(
            sa.select(table.c.period_ending, table.c.period_beginning).where(
                table.c.host == _WHOLE, table.c.state == DONE
            )
        )
        found |= {tuple(row) for row in rows}
    return [
        AuditPeriod(beginning, ending) for ending, beginning in sorted(found)
    ]


# -- instances ---------------------------------------------------------------


def list_unaudited(
    connection: Connection, period: AuditPeriod, limit: int
) -> list[str]:
    """Return instances that existed in a period and are not audited."""
    query = (
        sa.select(_i.c.uuid)
        .where(
            _i.c.usage_audited_until < period.ending,
            sa.or_(
                _i.c.terminated_at.is_(None),
                _i.c.terminated_at > period.beginning,
            ),
        )
        .order_by(_i.c.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def is_unaudited(instance: Instance, period: AuditPeriod) -> bool:
    """Tell whether an instance is one that ``list_unaudited`` returns."""
    audited, terminated = instance.usage_audited_until, instance.terminated_at
    return (
        audited is not None
        and audited < period.ending
        and (terminated is None or terminated > period.beginning)
    )


def count_instance(
    connection: Connection,
    period: AuditPeriod,
    host: str | None,
    now: datetime.datetime,
) -> None:
    """Count an instance of a host that is audited now."""
    counted = connection.execute(
        sa.update(_t)
        .where(*_of(period), _t.c.host == (host or _WHOLE))
        .values(instances=_t.c.instances + 1)
    )
    if not counted.rowcount:
        # The service of the host was deleted before the audit began.
        _insert(connection, period, str(host), 1, now)


def _insert(
    connection: Connection,
    period: AuditPeriod,
    host: str,
    instances: int,
    now: datetime.datetime,
) -> None:
    connection.execute(
        sa.insert(_t),
        {
            'period_beginning': period.beginning,
            'period_ending': period.ending,
            'host': host,
            'state': RUNNING,
            'instances': instances,
            'started_at': now,
        },
    )


def _of(period: AuditPeriod) -> tuple[types.Condition, ...]:
    return (
        _t.c.period_ending == period.ending,
        _t.c.period_beginning == period.beginning,
    )
