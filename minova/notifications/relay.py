# SPDX-License-Identifier: Apache-2.0
"""The relay: from the outbox to the broker, in order, until it has them.

One conductor at a time does it, the holder of the lease. A notification is
marked published after the broker has confirmed it: when the relay dies between
the two, it is published again, with the same ``message_id``.
"""

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db import leases
from minova.db import outbox
from minova.db.engine import Database
from minova.loop import Loop
from minova.notifications import envelope
from minova.rpc.bus import Bus

LOG = logging.getLogger(__name__)

_LEASE = 'relay'
#: Seconds in which notifications are gathered before they are read: those of
#: one action then take two statements, not two each.
GATHERING = 0.25
#: Seconds after which one that does not hold the lease asks for it again.
_ASKING = 1.0


class Relay:
    """Publishes what was written, here or by other processes."""

    def __init__(self, database: Database, bus: Bus, holder: str) -> None:
        self._database = database
        self._bus = bus
        self._holder = holder
        self._held_until = 0.0
        self._asked_at = float('-inf')
        self._troubled = False
        self._loop = Loop(
            'relay', self._work, lambda: CONF.notifications.relay_interval
        )

    def start(self) -> None:
        """Begin to publish."""
        self._loop.start()

    def wake(self) -> None:
        """Publish soon: something was written."""
        self._loop.wake()

    def stop(self) -> None:
        """Publish no more, and let another one do it."""
        self._loop.stop()
        if self._held_until:
            leases.give_back(self._database, _LEASE, self._holder)

    def _work(self) -> None:
        clock.sleep(GATHERING)
        while self._hold() and self.publish_some():
            pass

    def _hold(self) -> bool:
        """Hold the lease; renewed when half of it is over.

        While another one has it, being woken is no reason to ask again.
        """
        span = CONF.conductor.lease_time
        now = clock.monotonic()
        if now < self._held_until - span / 2:
            return True
        if not self._held_until and now < self._asked_at + _ASKING:
            return False
        self._asked_at = now
        held = leases.take(self._database, _LEASE, self._holder, span)
        self._held_until = now + span if held else 0.0
        return held

    def publish_some(self) -> bool:
        """Publish the oldest notifications; tell whether there may be more."""
        limit = CONF.notifications.relay_batch
        notices = self._database.read(
            lambda connection: outbox.unpublished(connection, limit)
        )
        confirmed: list[int] = []
        try:
            for notice in notices:
                if CONF.notifications.enabled:
                    self._publish(notice)
                confirmed.append(notice.id)
        except exception.Unavailable as error:
            self._complain(error, len(notices) - len(confirmed))
            return False
        finally:
            if confirmed:
                now = clock.now()
                self._database.write(
                    lambda connection: outbox.mark_published(
                        connection, confirmed, now
                    )
                )
        self._recover()
        return bool(len(notices) == limit)

    def _publish(self, notice: outbox.Notice) -> None:
        envelope.publish(self._bus, notice)

    def _complain(self, error: Exception, waiting: int) -> None:
        if not self._troubled:
            LOG.warning(
                'Notifications wait in the database, %d of this batch: %s',
                waiting,
                error,
            )
        self._troubled = True

    def _recover(self) -> None:
        if self._troubled:
            LOG.info('Notifications are published again.')
        self._troubled = False
