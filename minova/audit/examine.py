# SPDX-License-Identifier: Apache-2.0
"""All rules, applied to one snapshot: a pure function."""

from collections.abc import Mapping
from collections.abc import Sequence
import datetime

from minova.audit import allocation_rules
from minova.audit import guest_rules
from minova.audit import image_rules
from minova.audit import interface_rules
from minova.audit import notification_rules
from minova.audit import operation_rules
from minova.audit import placement_rules
from minova.audit import port_rules
from minova.audit import service_rules
from minova.audit.findings import Finding
from minova.audit.findings import Severity
from minova.audit.snapshot import HostContents
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import DatabaseSnapshot
from minova.images import Image
from minova.rpc.named_queue import QueueStats

_ORDER = list(Severity)


def examine(
    database: DatabaseSnapshot,
    host_contents: HostContents,
    now: datetime.datetime,
    unchecked_hosts: Mapping[str, str] | None = None,
    queues: Mapping[str, QueueStats | None] | None = None,
    images: Sequence[Image] = (),
) -> list[Finding]:
    """Return the violations of the rules, most severe first.

    ``host_contents`` has the contents of each host that was read,
    ``unchecked_hosts`` the reason for each that was not; no rule about
    artifacts applies to those. ``queues`` has None for a queue that the broker
    does not know. ``images`` has the images of servers without data.

    A snapshot of a cloud at work may show violations that never existed; see
    ``confirmed_scan``.
    """
    snapshot = Snapshot(database, host_contents, now)
    found = [
        *guest_rules.find(snapshot),
        *allocation_rules.find(snapshot),
        *placement_rules.find(snapshot),
        *port_rules.find(snapshot),
        *interface_rules.find(snapshot),
        *image_rules.find(snapshot, images),
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
