# SPDX-License-Identifier: Apache-2.0
"""Power synchronisation on the host: guests that differ from the database.

The compute reads the rows before the guests and reports a difference with the
generation of its row. The conductor ignores the report when an operation has
changed the generation since. A difference during an operation is left to the
operation. Either may stay, so a host with a difference is compared again soon.
"""

from collections.abc import Mapping
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import power_reconciliation
from minova.conf import CONF
from minova.context import get_admin_context
from minova.loops import Loop
from minova.objects.host import GuestReport
from minova.objects.instance import InstanceState
from minova.periodic import PeriodicTask
from minova.power_reconciliation import PowerSyncAction
from minova.rpc.conductor import Conductor
from minova.states import PowerState
from minova.virt.driver import Driver
from minova.virt.driver import Guest

LOG = logging.getLogger(__name__)

#: Seconds to wait for a guest event before the check for a stop.
EVENT_POLL_TIMEOUT = 0.5
#: Seconds until a difference is looked at again; the pause doubles.
_RECHECK_PAUSE: Final = 5.0


class Reconciler:
    """Compares after each guest event and periodically."""

    def __init__(
        self, host: str, driver: Driver, conductor: Conductor
    ) -> None:
        self._host = host
        self._driver = driver
        self._conductor = conductor
        #: Seconds until the next comparison of a host with a difference.
        self._recheck_pause: float | None = None
        self._loop = PeriodicTask('power', self.reconcile, self._interval)
        self._listener = Loop(f'events-{host}', self._await_event)

    def start(self) -> None:
        """Start, with a first comparison at once."""
        self._loop.start()
        self._listener.start()

    def stop(self) -> None:
        """Stop both threads."""
        self._loop.stop()
        self._listener.stop()

    def reconcile_soon(self) -> None:
        """Compare now instead of at the next interval."""
        self._loop.wake()

    def _interval(self) -> float:
        wanted = CONF.compute.sync_power_state_interval
        # With interval 0 only events start a comparison.
        longest = float(wanted) if wanted > 0 else 86400.0
        return min(self._recheck_pause or longest, longest)

    def _await_event(self) -> None:
        if self._driver.next_event(timeout=EVENT_POLL_TIMEOUT) is None:
            return
        # More events may follow, and a guest that reboots is off for a moment:
        # the comparison waits for the final state.
        clock.sleep(CONF.compute.lifecycle_event_delay)
        self.reconcile_soon()

    def reconcile(self) -> None:
        """Compare all guests of the host with its instances."""
        context = get_admin_context()
        rows = {
            row.uuid: row
            for row in self._conductor.instances_on_host(
                context, host=self._host
            )
        }
        guests = {guest.uuid: guest for guest in self._driver.guests()}
        if len(rows) != len(guests):
            LOG.debug(
                'Host %s: %d guests, %d instances in the database',
                self._host,
                len(guests),
                len(rows),
            )
        differing = [
            row for row in rows.values() if _differs(row, guests.get(row.uuid))
        ]
        self._plan_recheck(bool(differing))
        reports = [
            _report(row.uuid, guests.get(row.uuid), row.generation)
            for row in differing
            if not row.is_busy
        ]
        reports += _report_unknown(rows, guests)
        if reports:
            self._conductor.report_power_states(
                context, host=self._host, guests=reports
            )

    def _plan_recheck(self, has_difference: bool) -> None:
        if not has_difference:
            self._recheck_pause = None
        elif self._recheck_pause is None:
            self._recheck_pause = _RECHECK_PAUSE
        else:
            self._recheck_pause *= 2


def _report_unknown(
    rows: Mapping[str, InstanceState], guests: Mapping[str, Guest]
) -> list[GuestReport]:
    return [
        _report(uuid, guest, -1)
        for uuid, guest in guests.items()
        if uuid not in rows and not guest.is_incoming
    ]


def _differs(row: InstanceState, guest: Guest | None) -> bool:
    seen = None if guest is None else guest.power
    known = PowerState(row.power_state)
    if (seen or PowerState.NOSTATE) != known:
        return True
    if seen is None:
        return False
    action = power_reconciliation.reconcile(
        seen, row.vm_state, accept_running=False
    )
    return action is not PowerSyncAction.RECORD


def _report(uuid: str, guest: Guest | None, generation: int) -> GuestReport:
    return GuestReport(
        uuid=uuid,
        power_state=None if guest is None else int(guest.power),
        generation=generation,
        guest_generation=None if guest is None else guest.generation,
        reason=None if guest is None else guest.fault,
    )
