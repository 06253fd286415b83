# SPDX-License-Identifier: Apache-2.0
"""The usage audit: one ``exists`` for each instance and period.

A conductor emits for all hosts, also for those that are down. One conductor
audits at a time, the holder of a lease; the transaction of each instance
checks again that it is not audited, so that two emit no notification twice.
"""

import datetime
from typing import Final

from oslo_db import exception as db_exception
from oslo_log import log as logging

from minova import clock
from minova.conf import CONF
from minova.context import Context
from minova.context import get_admin_context
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import instances
from minova.db.queries import leases
from minova.db.queries import usage_audits
from minova.engine.outbox_rows import OutboxRows
from minova.notifications import audit_period
from minova.notifications import events
from minova.notifications import payload
from minova.objects.audit_period import AuditPeriod
from minova.objects.instance import Instance
from minova.periodic import PeriodicTask

LOG = logging.getLogger(__name__)

_LEASE: Final = 'usage_audit'
#: The number of instances between two renewals of the lease.
_PAGE: Final = 100


class UsageAudit:
    """A periodic task that audits the periods that have ended."""

    def __init__(self, database: Database, holder: str, host: str) -> None:
        self._database = database
        self._holder = holder
        self._host = host
        self._task = PeriodicTask(
            'usage_audit', self.run, lambda: CONF.conductor.sweep_interval
        )

    def start(self) -> None:
        """Start the periodic task."""
        self._task.start()

    def stop(self) -> None:
        """Stop after the page in progress and release the lease."""
        self._task.stop()
        if CONF.notifications.instance_usage_audit:
            leases.release(self._database, _LEASE, self._holder)

    def run(self) -> None:
        """Audit the periods that have ended, the oldest first."""
        if not CONF.notifications.instance_usage_audit:
            return
        last = self._database.read(usage_audits.find_last_ending)
        # A transaction that launches or deletes an instance in the period
        # ends within twice its timeout.
        delay = datetime.timedelta(seconds=2 * CONF.conductor.database_timeout)
        for period in audit_period.list_since(last, clock.now() - delay):
            if not self._audit(period):
                return

    def _audit(self, period: AuditPeriod) -> bool:
        """Audit a period; False when another conductor does."""
        if not self._holds_lease():
            return False
        try:
            self._database.write(
                lambda c: usage_audits.begin(c, period, clock.now())
            )
        except db_exception.DBDuplicateEntry:
            # Another conductor began it while this one was frozen.
            return False
        context = get_admin_context()
        count = 0
        while found := self._list_unaudited(period):
            for uuid in found:
                count += self._emit(context, period, uuid)
            if self._task.is_stopping or not self._holds_lease():
                return False
        self._database.write(
            lambda c: usage_audits.finish(c, period, clock.now())
        )
        LOG.info('Usage audit of %s: %d instances', period, count)
        return True

    def _holds_lease(self) -> bool:
        span = CONF.conductor.lease_time + CONF.conductor.sweep_interval
        return leases.acquire(self._database, _LEASE, self._holder, span)

    def _list_unaudited(self, period: AuditPeriod) -> list[str]:
        return self._database.read(
            lambda c: usage_audits.list_unaudited(c, period, _PAGE)
        )

    def _emit(self, context: Context, period: AuditPeriod, uuid: str) -> bool:
        """Emit the ``exists`` of an instance unless it is emitted."""

        def audit(connection: Connection) -> bool:
            instance = instances.get(connection, uuid, lock=True, deleted=True)
            if instance is None or not usage_audits.is_unaudited(
                instance, period
            ):
                return False
            self._write(connection, context, instance, period)
            return True

        return self._database.write(audit)

    def _write(
        self,
        connection: Connection,
        context: Context,
        instance: Instance,
        period: AuditPeriod,
    ) -> None:
        now = clock.now()
        rows = OutboxRows(instance, self._publisher(instance), now)
        rows.add(
            events.event_type('exists'),
            payload.exists_payload(instance, period),
            None,
            context.to_dict(),
        )
        # The row is locked: no operation has taken the instance meanwhile.
        instances.update(
            connection,
            instance.uuid,
            {
                'notification_seq': rows.number(),
                'usage_audited_until': period.ending,
            },
            generation=instance.generation,
            task_id=instance.task_id,
        )
        rows.write(connection)
        usage_audits.count_instance(connection, period, instance.host, now)

    def _publisher(self, instance: Instance) -> str:
        if instance.host is None:
            return events.publisher_id('conductor', self._host)
        return events.publisher_id('compute', instance.host)
