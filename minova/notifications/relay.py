# SPDX-License-Identifier: Apache-2.0
"""The relay: it publishes the outbox to the broker, in order.

One conductor at a time runs it, the holder of the lease. It marks a
notification as published after the broker has confirmed it. When it dies
between the two, the next relay publishes the notification again, with the
same ``message_id``.
"""

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Database
from minova.db.queries import leases
from minova.db.queries import outbox
from minova.notifications import envelope
from minova.periodic import PeriodicTask
from minova.rpc.bus import Bus

LOG = logging.getLogger(__name__)

_LEASE = 'relay'
#: Seconds to collect notifications before a read: those of one operation then
#: take two statements in all.
BATCH_DELAY = 0.25
#: Seconds between two attempts to get the lease.
_LEASE_RETRY_SECONDS = 1.0


class Relay:
    """Publishes the notifications that all services have written."""

    def __init__(self, database: Database, bus: Bus, holder: str) -> None:
        self._database = database
        self._bus = bus
        self._holder = holder
        self._lease_expires = 0.0
        self._lease_tried_at = float('-inf')
        self._is_failing = False
        self._task = PeriodicTask(
            'relay',
            self._publish_all,
            lambda: CONF.notifications.relay_interval,
        )

    def start(self) -> None:
        """Start to publish."""
        self._task.start()

    def wake(self) -> None:
        """Publish soon: there is a new notification."""
        self._task.wake()

    def stop(self) -> None:
        """Stop, and release the lease for another relay."""
        self._task.stop()
        if self._lease_expires:
            leases.release(self._database, _LEASE, self._holder)

    def _publish_all(self) -> None:
        clock.sleep(BATCH_DELAY)
        while self._renew_lease() and self.publish_batch():
            pass

    def _renew_lease(self) -> bool:
        """Get or renew the lease; False while another relay holds it.

        Renews it after half its time. A wake-up does not lead to another
        attempt before ``_LEASE_RETRY_SECONDS`` have passed.
        """
        span = CONF.conductor.lease_time
        now = clock.monotonic()
        if now < self._lease_expires - span / 2:
            return True
        if (
            not self._lease_expires
            and now < self._lease_tried_at + _LEASE_RETRY_SECONDS
        ):
            return False
        self._lease_tried_at = now
        held = leases.acquire(self._database, _LEASE, self._holder, span)
        self._lease_expires = now + span if held else 0.0
        return held

    def publish_batch(self) -> bool:
        """Publish the oldest notifications; True when there may be more."""
        limit = CONF.notifications.relay_batch
        notices = self._database.read(
            lambda connection: outbox.list_unpublished(connection, limit)
        )
        confirmed: list[int] = []
        try:
            for notice in notices:
                if CONF.notifications.enabled:
                    self._publish(notice)
                confirmed.append(notice.id)
        except exception.Unavailable as error:
            self._log_failure(error, len(notices) - len(confirmed))
            return False
        finally:
            if confirmed:
                now = clock.now()
                self._database.write(
                    lambda connection: outbox.mark_published(
                        connection, confirmed, now
                    )
                )
        self._log_recovery()
        return bool(len(notices) == limit)

    def _publish(self, notice: outbox.Notice) -> None:
        envelope.publish(self._bus, notice)

    def _log_failure(self, error: Exception, unpublished: int) -> None:
        if not self._is_failing:
            LOG.warning(
                'Publication of notifications failed, retrying; %d of this '
                'batch are pending: %s',
                unpublished,
                error,
            )
        self._is_failing = True

    def _log_recovery(self) -> None:
        if self._is_failing:
            LOG.info('Publication of notifications resumed')
        self._is_failing = False
