# SPDX-License-Identifier: Apache-2.0
"""Two looks: what is in flight is not a fault.

Rows and hosts are read one after the other while operations begin, move and
end. So whatever is found is looked for again, rows first and then hosts,
after a pause, and counts only when the same is found of the same generation.
That is enough: each operation that owns an instance raises its generation.
With the same generation in both readings of the rows, and no live operation
in the first, none was live when the hosts were asked in between: what they
had then was really nobody's.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from minova import clock
from minova import exception
from minova.audit import services
from minova.audit.examine import examine
from minova.audit.findings import Finding
from minova.context import internal
from minova.db import census
from minova.db.engine import Database
from minova.objects.host import Holding
from minova.rpc.compute import Computes
from minova.rpc.queue import Queue

#: Seconds between the two; a step's end and its notifications lie within.
PAUSE = 2.0
#: How many hosts are asked at a time.
_AT_ONCE = 16

#: Asks the broker about queues; None when it cannot tell.
AskQueues = Callable[[list[str]], Mapping[str, Queue | None] | None]


@dataclasses.dataclass(frozen=True)
class Look:
    """What was found, and what of it is sure to have been looked at."""

    findings: list[Finding]
    asked: list[str]
    not_asked: dict[str, str]


class Auditor:
    """Looks twice.

    Without ``computes`` hosts are neither asked nor missed, without
    ``queues`` the broker is not.
    """

    def __init__(
        self,
        database: Database,
        computes: Computes | None,
        queues: AskQueues | None,
        pause: float,
    ) -> None:
        self._database = database
        self._computes = computes
        self._queues = queues
        self._pause = pause

    def look(self) -> Look:
        """Return what is found twice, or is only told."""
        first = self._once()
        if not any(one.is_fault for one in first.findings):
            return first
        clock.sleep(self._pause)
        second = self._once()
        known = {one.place for one in first.findings}
        sure = [
            one
            for one in second.findings
            if not one.is_fault or one.place in known
        ]
        return dataclasses.replace(second, findings=sure)

    def _once(self) -> Look:
        records = self._database.read(census.gather)
        holdings: dict[str, list[Holding]] = {}
        not_asked: dict[str, str] = {}
        if self._computes is not None:
            holdings, not_asked = self._ask(records, self._computes)
        now = clock.now()
        queues = None
        if self._queues is not None:
            names = services.queues_of(records.services)
            queues = self._queues(list(names))
        findings = examine(records, holdings, now, not_asked, queues)
        return Look(findings, sorted(holdings), not_asked)

    def _ask(
        self, records: census.Records, computes: Computes
    ) -> tuple[dict[str, list[Holding]], dict[str, str]]:
        found = {service.host: service for service in records.computes}
        holdings: dict[str, list[Holding]] = {}
        not_asked = dict.fromkeys(
            records.hosts.keys() - found.keys(), 'it has no compute service'
        )
        pool = clock.pool('audit', _AT_ONCE)
        try:
            answers = {}
            for host, service in found.items():
                if services.is_up(service):
                    answers[host] = pool.submit(_ask_one, computes, host)
                else:
                    not_asked[host] = services.why_down(service)
            for host, answer in answers.items():
                stock = answer.result()
                if isinstance(stock, str):
                    not_asked[host] = stock
                else:
                    holdings[host] = stock
        finally:
            pool.shutdown()
        return holdings, not_asked


def _ask_one(computes: Computes, host: str) -> list[Holding] | str:
    """Return what a host has, or why it does not say."""
    try:
        return computes.at(host).take_stock(internal())
    except exception.MinovaException as error:
        return str(error).rstrip('.')
