# SPDX-License-Identifier: Apache-2.0
"""Two scans, of which the second confirms the first.

The auditor reads rows and hosts one after the other while operations begin
and end. After a pause it therefore repeats the scan, rows first and then
hosts; a finding counts only if both scans have it with the same generation.

That suffices: each operation that owns an instance raises its generation. If
both readings of the rows have the same generation, and no operation runs in
the first one, then none ran while the hosts were read in between, and no
operation explains what the hosts had.
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

#: Seconds between the scans: more than the end of a step takes.
RESCAN_DELAY = 2.0
#: The number of hosts read in parallel.
_PARALLEL_HOSTS = 16

#: Returns the statistics of queues by name; None if the broker has none.
QueueReader = Callable[[list[str]], Mapping[str, QueueStats | None] | None]


@dataclasses.dataclass(frozen=True)
class Scan:
    """The findings, the hosts that were read and those that were not."""

    findings: list[Finding]
    checked_hosts: list[str]
    unchecked_hosts: dict[str, str]


class Auditor:
    """Runs the scans.

    Without ``computes`` no host is read and none is reported as unchecked;
    without ``read_queues`` no queue is checked.
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
        """Return the confirmed findings, and those that are no faults."""
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
        rows = self._database.read(audit_snapshot.read_snapshot)
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts: dict[str, str] = {}
        if self._computes is not None:
            artifacts, unchecked_hosts = self._read_hosts(rows, self._computes)
        now = clock.now()
        queues = None
        if self._read_queues is not None:
            names = service_rules.expected_queues(rows.services)
            queues = self._read_queues(list(names))
        findings = examine(rows, artifacts, now, unchecked_hosts, queues)
        return Scan(findings, sorted(artifacts), unchecked_hosts)

    def _read_hosts(
        self,
        rows: audit_snapshot.DatabaseSnapshot,
        computes: ComputeClients,
    ) -> tuple[dict[str, list[HostArtifact]], dict[str, str]]:
        found = {service.host: service for service in rows.compute_services}
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts = dict.fromkeys(
            rows.hosts.keys() - found.keys(), 'the host has no compute service'
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
    """Return the contents of a host, or the error as text."""
    try:
        return computes.for_host(host).list_host_contents(get_admin_context())
    except exception.MinovaException as error:
        return str(error).rstrip('.')
