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
from minova.audit import service_rules
from minova.audit.examine import examine
from minova.audit.findings import Finding
from minova.context import get_admin_context
from minova.db.connections.engine import Database
from minova.db.queries import audit_snapshot
from minova.engine import service_liveness
from minova.objects.host import HostArtifact
from minova.rpc.compute import ComputeClients
from minova.rpc.named_queue import QueueStats

#: Seconds between the two; a step's end and its notifications lie within.
RESCAN_DELAY = 2.0
#: How many hosts are asked at a time.
_PARALLEL_HOSTS = 16

#: Asks the broker about queues; None when it cannot tell.
QueueReader = Callable[[list[str]], Mapping[str, QueueStats | None] | None]


@dataclasses.dataclass(frozen=True)
class Scan:
    """What was found, and what of it is sure to have been looked at."""

    findings: list[Finding]
    checked_hosts: list[str]
    unchecked_hosts: dict[str, str]


class Auditor:
    """Looks twice.

    Without ``computes`` hosts are neither asked nor missed, without
    ``queues`` the broker is not.
    """

    def __init__(
        self,
        database: Database,
        computes: ComputeClients | None,
        read_queues: QueueReader | None,
        rescan_delay: float,
    ) -> None:
        self._database = database
        self._computes = computes
        self._read_queues = read_queues
        self._rescan_delay = rescan_delay

    def scan(self) -> Scan:
        """Return what is found twice, or is only told."""
        first = self._scan_once()
        if not any(one.is_fault for one in first.findings):
            return first
        clock.sleep(self._rescan_delay)
        second = self._scan_once()
        known = {one.key for one in first.findings}
        confirmed = [
            one
            for one in second.findings
            if not one.is_fault or one.key in known
        ]
        return dataclasses.replace(second, findings=confirmed)

    def _scan_once(self) -> Scan:
        records = self._database.read(audit_snapshot.read_snapshot)
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts: dict[str, str] = {}
        if self._computes is not None:
            artifacts, unchecked_hosts = self._read_hosts(
                records, self._computes
            )
        now = clock.now()
        queues = None
        if self._read_queues is not None:
            names = service_rules.expected_queues(records.services)
            queues = self._read_queues(list(names))
        findings = examine(records, artifacts, now, unchecked_hosts, queues)
        return Scan(findings, sorted(artifacts), unchecked_hosts)

    def _read_hosts(
        self,
        records: audit_snapshot.DatabaseSnapshot,
        computes: ComputeClients,
    ) -> tuple[dict[str, list[HostArtifact]], dict[str, str]]:
        found = {service.host: service for service in records.compute_services}
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts = dict.fromkeys(
            records.hosts.keys() - found.keys(), 'it has no compute service'
        )
        pool = clock.pool('audit', _PARALLEL_HOSTS)
        try:
            answers = {}
            for host, service in found.items():
                reason = service_liveness.down_reason(service)
                if reason is None:
                    answers[host] = pool.submit(_read_host, computes, host)
                else:
                    unchecked_hosts[host] = reason
            for host, answer in answers.items():
                contents = answer.result()
                if isinstance(contents, str):
                    unchecked_hosts[host] = contents
                else:
                    artifacts[host] = contents
        finally:
            pool.shutdown()
        return artifacts, unchecked_hosts


def _read_host(
    computes: ComputeClients, host: str
) -> list[HostArtifact] | str:
    """Return what a host has, or why it does not say."""
    try:
        return computes.for_host(host).list_host_contents(get_admin_context())
    except exception.MinovaException as error:
        return str(error).rstrip('.')
