# SPDX-License-Identifier: Apache-2.0
"""All rules over what was read once: a pure function."""

from collections.abc import Mapping
import datetime

from minova.audit import addresses
from minova.audit import courses
from minova.audit import rooms
from minova.audit import services
from minova.audit import stock
from minova.audit import told
from minova.audit.findings import Finding
from minova.audit.findings import Severity
from minova.audit.view import Stocks
from minova.audit.view import View
from minova.db.census import Records
from minova.rpc.queue import Queue

_ORDER = list(Severity)


def examine(
    records: Records,
    holdings: Stocks,
    now: datetime.datetime,
    not_asked: Mapping[str, str] | None = None,
    queues: Mapping[str, Queue | None] | None = None,
) -> list[Finding]:
    """Return what breaks the rules, the worst first.

    ``holdings`` has what each host has that was asked; of others nothing is
    said but, with ``not_asked``, why they were not. ``queues`` has what the
    broker says of each queue, None for one that it does not know.

    What was read while things moved may show what never was: see ``looks``.
    """
    view = View(records, holdings, now)
    found = [
        *stock.find(view),
        *rooms.find(view),
        *addresses.find(view),
        *courses.find(view),
        *told.find(view),
        *services.find(view),
        *services.find_deaf(view, queues or {}),
    ]
    found += [
        Finding('not_asked', f'{reason}.', host=host)
        for host, reason in (not_asked or {}).items()
    ]
    return sorted(
        found,
        key=lambda one: (
            _ORDER.index(one.rule.severity),
            one.name,
            one.host or '',
            one.instance or '',
            one.subject,
        ),
    )
