# SPDX-License-Identifier: Apache-2.0
"""All rules over what was read once: a pure function."""

from collections.abc import Mapping
import datetime

from minova.audit import allocation_rules
from minova.audit import guest_rules
from minova.audit import notification_rules
from minova.audit import operation_rules
from minova.audit import port_rules
from minova.audit import service_rules
from minova.audit.findings import Finding
from minova.audit.findings import Severity
from minova.audit.snapshot import HostContents
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.rpc.named_queue import QueueStats

_ORDER = list(Severity)


def examine(
    database: DatabaseSnapshot,
    host_contents: HostContents,
    now: datetime.datetime,
    unchecked_hosts: Mapping[str, str] | None = None,
    queues: Mapping[str, QueueStats | None] | None = None,
) -> list[Finding]:
    """Return what breaks the rules, the worst first.

    ``holdings`` has what each host has that was asked; of others nothing is
    said but, with ``host_not_checked``, why they were not. ``queues`` has what the
    broker says of each queue, None for one that it does not know.

    What was read while things moved may show what never was: see ``looks``.
    """
    snapshot = Snapshot(database, host_contents, now)
    found = [
        *guest_rules.find(snapshot),
        *allocation_rules.find(snapshot),
        *port_rules.find(snapshot),
        *operation_rules.find(snapshot),
        *notification_rules.find(snapshot),
        *service_rules.find(snapshot),
        *service_rules.find_queue_faults(snapshot, queues or {}),
    ]
    found += [
        Finding('host_not_checked', f'{reason}.', host=host)
        for host, reason in (unchecked_hosts or {}).items()
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
