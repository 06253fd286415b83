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
from collections.abc import Sequence
import dataclasses
import functools
from typing import TypeVar

from minova import clock
from minova import exception
from minova.audit import service_rules
from minova.audit.examine import examine
from minova.audit.findings import Finding
from minova.context import get_admin_context
from minova.db.connections.engine import Database
from minova.db.queries import audit_snapshot
from minova.engine import service_liveness
from minova.images import Image
from minova.objects.host import HostArtifact
from minova.rpc.compute import ComputeClients
from minova.rpc.named_queue import QueueStats

#: Seconds between the scans: more than the end of a step takes.
RESCAN_DELAY = 2.0
#: The number of hosts read in parallel.
_PARALLEL_HOSTS = 16

#: The default of the seconds in which the hosts, or the broker, must answer.
ANSWER_TIMEOUT = 60.0
#: The most seconds for the figures of the queues, which take one connection,
#: and for the list of images.
_SERVICE_TIMEOUT = 30.0

T = TypeVar('T')

#: Returns the statistics of queues by name; None for a transport that has
#: none. Raises Unavailable when the broker does not answer.
QueueReader = Callable[[list[str]], Mapping[str, QueueStats | None] | None]

#: Returns the images of servers without data; raises Unavailable.
ImageReader = Callable[[], Sequence[Image]]


@dataclasses.dataclass(frozen=True)
class Scan:
    """The findings, the hosts that were read and those that were not.

    ``broker_error`` is '' unless the broker could not be reached, and
    ``image_error`` unless the image service could not.
    """

    findings: list[Finding]
    checked_hosts: list[str]
    unchecked_hosts: dict[str, str]
    has_checked_queues: bool = False
    broker_error: str = ''
    image_error: str = ''


class Auditor:
    """Runs the scans.

    Without ``computes`` no host is read and none is reported as unchecked;
    without ``read_queues`` no queue is checked, without ``read_images`` no
    image. The broker, and all hosts together, have ``answer_timeout`` seconds
    to answer.
    """

    def __init__(
        self,
        database: Database,
        computes: ComputeClients | None,
        read_queues: QueueReader | None,
        rescan_delay: float,
        answer_timeout: float = ANSWER_TIMEOUT,
        read_images: ImageReader | None = None,
    ) -> None:
        self._database = database
        self._computes = computes
        self._read_queues = read_queues
        self._rescan_delay = rescan_delay
        self._answer_timeout = answer_timeout
        self._read_images = read_images

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
        # The broker first: without it no host can be asked.
        queues, broker_error = self._read_statistics(rows)
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts: dict[str, str] = {}
        if self._computes is not None:
            artifacts, unchecked_hosts = self._read_hosts(
                rows, self._computes, broker_error
            )
        images, image_error = self._list_images()
        now = clock.now()
        findings = examine(
            rows, artifacts, now, unchecked_hosts, queues, images
        )
        return Scan(
            findings,
            sorted(artifacts),
            unchecked_hosts,
            queues is not None,
            broker_error,
            image_error,
        )

    def _list_images(self) -> tuple[Sequence[Image], str]:
        """Return the images without data, and the service's error."""
        read = self._read_images
        if read is None:
            return (), ''

        def ask() -> Sequence[Image] | str:
            try:
                return read()
            except exception.Unavailable as error:
                return str(error).rstrip('.')

        seconds = min(_SERVICE_TIMEOUT, self._answer_timeout)
        found = _call_all({'': ask}, seconds).get(
            '', f'The image service {_no_answer(seconds)}'
        )
        return ((), found) if isinstance(found, str) else (found, '')

    def _read_statistics(
        self, rows: audit_snapshot.DatabaseSnapshot
    ) -> tuple[Mapping[str, QueueStats | None] | None, str]:
        """Return the figures of the queues, and the error of the broker."""
        read = self._read_queues
        if read is None:
            return None, ''
        names = list(service_rules.expected_queues(rows.services))

        def ask() -> Mapping[str, QueueStats | None] | str | None:
            try:
                return read(names)
            except exception.Unavailable as error:
                return str(error).rstrip('.')

        seconds = min(_SERVICE_TIMEOUT, self._answer_timeout)
        found = _call_all({'': ask}, seconds).get(
            '', f'The message broker {_no_answer(seconds)}'
        )
        return (None, found) if isinstance(found, str) else (found, '')

    def _read_hosts(
        self,
        rows: audit_snapshot.DatabaseSnapshot,
        computes: ComputeClients,
        broker_error: str,
    ) -> tuple[dict[str, list[HostArtifact]], dict[str, str]]:
        found = {service.host: service for service in rows.compute_services}
        artifacts: dict[str, list[HostArtifact]] = {}
        unchecked_hosts = dict.fromkeys(
            rows.hosts.keys() - found.keys(), 'the host has no compute service'
        )
        calls = {}
        for host, service in found.items():
            reason = service_liveness.down_reason(service) or broker_error
            if reason:
                unchecked_hosts[host] = reason
            else:
                calls[host] = functools.partial(_read_host, computes, host)
        answers = _call_all(calls, self._answer_timeout)
        for host in calls:
            contents = answers.get(
                host, f'the host {_no_answer(self._answer_timeout)}'
            )
            if isinstance(contents, str):
                unchecked_hosts[host] = contents
            else:
                artifacts[host] = contents
        return artifacts, unchecked_hosts


def _no_answer(seconds: float) -> str:
    return f'did not answer within {seconds:g} s'


def _read_host(
    computes: ComputeClients, host: str
) -> list[HostArtifact] | str:
    """Return the contents of a host, or the error as text."""
    try:
        return computes.for_host(host).list_host_contents(get_admin_context())
    except exception.MinovaException as error:
        return str(error).rstrip('.')


def _call_all(
    calls: Mapping[str, Callable[[], T]], seconds: float
) -> dict[str, T]:
    """Return the results that arrive in time; raise the first error.

    A call that hangs keeps its thread, which does not keep the process.
    """
    waiting = iter(calls.items())
    results: dict[str, T] = {}
    errors: list[Exception] = []
    ended = clock.event()

    def work() -> None:
        # An iterator of a dictionary's items gives each item once.
        for name, call in waiting:
            try:
                results[name] = call()
            except Exception as error:
                errors.append(error)
            if errors or len(results) == len(calls):
                ended.set()

    for number in range(min(_PARALLEL_HOSTS, len(calls))):
        clock.spawn(f'audit-{number}', work)
    if calls:
        ended.wait(seconds)
    if errors:
        raise errors[0]
    # A late result may still arrive in the dictionary of the threads.
    return dict(results)
