# SPDX-License-Identifier: Apache-2.0
"""Verification of a consumer's log against the ledger.

The log is read once, as a stream, and keeps the id, line and digest of each
notification: memory grows with their number, not with their size. The ledger
is read afterwards, by instance, so that it has the notifications that were
emitted during the read of the log.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import hashlib
import itertools
from typing import Any
from typing import Final
import uuid

import orjson

from minova import exception
from minova.db.queries.ledger import Entry
from minova.db.queries.ledger import Scope
from minova.notifications import envelope
from minova.notifications import exists_check
from minova.objects.audit_period import AuditPeriod

#: The keys of a notification that are compared.
_COMPARED: Final = (
    'publisher_id',
    'event_type',
    'priority',
    'payload',
    'timestamp',
)
#: The number of findings of a kind that the text report shows.
_MAX_SHOWN: Final = 10

#: A message_id: a uuid as a number, or text that is not a uuid.
_Key = int | str


class InvalidLogLine(exception.InvalidInput):
    """A line of the log is not a notification."""

    msg_fmt = 'line %(line)s is not a notification: %(reason)s'


@dataclasses.dataclass(frozen=True)
class Finding:
    """A notification that is missing, out of order, altered or unknown.

    ``line`` is the line of its first reception, None if it is missing.
    ``instance`` and ``seq`` are None if the ledger does not have it.
    """

    message_id: str
    line: int | None = None
    instance: str | None = None
    seq: int | None = None


@dataclasses.dataclass
class VerifyReport:
    """The result of the comparison."""

    lines: int = 0
    notifications: int = 0
    instances: int = 0
    #: Not published by the relay yet, hence not in the log.
    unpublished: int = 0
    #: Lines with a message_id that an earlier line has; not an error.
    duplicates: int = 0
    #: Lines outside the scope.
    out_of_scope: int = 0
    missing: list[Finding] = dataclasses.field(default_factory=list)
    out_of_order: list[Finding] = dataclasses.field(default_factory=list)
    altered: list[Finding] = dataclasses.field(default_factory=list)
    unknown: list[Finding] = dataclasses.field(default_factory=list)
    #: The second ``exists`` of an instance for a period.
    repeated_exists: list[Finding] = dataclasses.field(default_factory=list)
    #: The first ``exists`` after a period without one.
    missing_exists: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """True when the log has all notifications, in order."""
        return not any(found for _, found in self.findings())

    def findings(self) -> tuple[tuple[str, list[Finding]], ...]:
        """Return the findings by kind."""
        return (
            ('missing', self.missing),
            ('out of order', self.out_of_order),
            ('altered', self.altered),
            ('unknown', self.unknown),
            ('repeated exists', self.repeated_exists),
            ('exists after a period without one', self.missing_exists),
        )


def verify(
    lines: Iterable[bytes],
    ledger_entries: Iterable[Entry],
    scope: Scope,
    audited: Sequence[AuditPeriod] = (),
) -> VerifyReport:
    """Compare a log with the ledger of a scope.

    ``ledger_entries`` are grouped by instance and read after the log. An
    instance has one ``exists`` for each of the ``audited`` periods, the oldest
    first, from its first one to its last one. Raises InvalidLogLine.
    """
    log = _Log(scope)
    for number, line in enumerate(lines, 1):
        if line.strip():
            log.add(number, line)
    report = VerifyReport(lines=log.lines, duplicates=log.duplicates)
    for instance, entries in itertools.groupby(
        ledger_entries, key=lambda entry: entry.instance_uuid
    ):
        report.instances += 1
        exists = exists_check.ExistsCheck(audited)
        _compare(log, instance, map(exists.add, entries), report)
        report.repeated_exists += map(_find, exists.repeated)
        report.missing_exists += map(_find, exists.after_gaps)
    for key, (number, _) in log.first.items():
        if key in log.out_of_scope:
            report.out_of_scope += 1
        else:
            report.unknown.append(Finding(_message_id(key), number))
    return report


def _find(entry: Entry) -> Finding:
    return Finding(entry.message_id, None, entry.instance_uuid, entry.seq)


class _Log:
    """The extract of a log."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.lines = 0
        self.duplicates = 0
        #: Line and digest of the first reception of each notification.
        self.first: dict[_Key, tuple[int, int]] = {}
        #: The line of a later reception with another content.
        self.altered: dict[_Key, int] = {}
        #: The notifications outside the scope.
        self.out_of_scope: set[_Key] = set()

    def add(self, number: int, line: bytes) -> None:
        """Add a line."""
        message = _parse_line(number, line)
        self.lines += 1
        key = _key(message['message_id'])
        digest = _digest(number, message)
        known = self.first.get(key)
        if known is None:
            self.first[key] = (number, digest)
            if self._is_out_of_scope(message):
                self.out_of_scope.add(key)
            return
        self.duplicates += 1
        if digest != known[1]:
            self.altered.setdefault(key, number)

    def _is_out_of_scope(self, message: dict[str, Any]) -> bool:
        scope = self._scope
        if scope.instance not in (None, message['payload'].get('instance_id')):
            return True
        if scope.since is None and scope.until is None:
            return False
        moment = _parse_timestamp(message['timestamp'])
        if moment is None:
            return False
        return bool(
            (scope.since and moment < scope.since)
            or (scope.until and moment >= scope.until)
        )


def _parse_line(number: int, line: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(line)
        if isinstance(message, dict) and 'oslo.message' in message:
            message = orjson.loads(message['oslo.message'])
    except (orjson.JSONDecodeError, TypeError) as error:
        raise InvalidLogLine(
            line=number, reason=f'no JSON: {error}'
        ) from error
    if not isinstance(message, dict):
        raise InvalidLogLine(line=number, reason='no JSON object')
    lacking = [
        name for name in ('message_id', *_COMPARED) if name not in message
    ]
    if lacking:
        reason = f'it has no {", ".join(lacking)}'
        raise InvalidLogLine(line=number, reason=reason)
    if not isinstance(message['message_id'], str):
        raise InvalidLogLine(line=number, reason='its message_id is no text')
    if not isinstance(message['payload'], dict):
        raise InvalidLogLine(
            line=number, reason='its payload is no JSON object'
        )
    return message


def _key(message_id: str) -> _Key:
    try:
        return uuid.UUID(message_id).int
    except ValueError:
        return message_id


def _message_id(key: _Key) -> str:
    return key if isinstance(key, str) else str(uuid.UUID(int=key))


def _digest(number: int, message: dict[str, Any]) -> int:
    try:
        text = orjson.dumps(
            [message[name] for name in _COMPARED], option=orjson.OPT_SORT_KEYS
        )
    except orjson.JSONEncodeError as error:
        raise InvalidLogLine(line=number, reason=str(error)) from error
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _parse_timestamp(timestamp: Any) -> datetime.datetime | None:
    """Return the time of a notification, None without a valid one."""
    try:
        found = datetime.datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    if found.tzinfo is None:
        return found.replace(tzinfo=datetime.UTC)
    return found


def _compare(
    log: _Log, instance: str, entries: Iterable[Entry], report: VerifyReport
) -> None:
    received = []
    for entry in entries:
        report.notifications += 1
        key = _key(entry.message_id)
        known = log.first.pop(key, None)
        if known is None:
            if entry.published_at is None:
                report.unpublished += 1
            else:
                report.missing.append(
                    Finding(entry.message_id, None, instance, entry.seq)
                )
            continue
        line, digest = known
        finding = Finding(entry.message_id, line, instance, entry.seq)
        received.append(finding)
        other = log.altered.get(key)
        if digest != _digest(0, envelope.body(entry)):
            report.altered.append(finding)
        elif other is not None:
            report.altered.append(dataclasses.replace(finding, line=other))
    report.out_of_order += _find_out_of_order(received)


def _find_out_of_order(received: list[Finding]) -> list[Finding]:
    """Return the notifications received after a later one."""
    late = []
    earliest: int | None = None
    for finding in reversed(received):
        line = finding.line
        assert line is not None
        if earliest is not None and line > earliest:
            late.append(finding)
        else:
            earliest = line
    return late[::-1]


# -- reports -----------------------------------------------------------------


def as_json(report: VerifyReport) -> dict[str, Any]:
    """Return the report with all findings, for JSON."""
    return {'clean': report.is_clean, **dataclasses.asdict(report)}


def render(report: VerifyReport) -> Iterator[str]:
    """Return the lines of a text report, with a few findings of a kind."""
    notes = [
        f'{count} {what}'
        for count, what in (
            (report.duplicates, 'received twice or more'),
            (report.unpublished, 'not published yet'),
            (report.out_of_scope, 'outside the scope'),
        )
        if count
    ]
    more = f' ({", ".join(notes)})' if notes else ''
    yield (
        f'{report.lines} received, {report.notifications} emitted for '
        f'{report.instances} servers{more}'
    )
    for kind, found in report.findings():
        if not found:
            continue
        yield f'{kind}: {len(found)}'
        named = list(_group_consecutive(found))
        for line in named[:_MAX_SHOWN]:
            yield f'  {line}'
        if len(named) > _MAX_SHOWN:
            hidden = len(named) - _MAX_SHOWN
            yield f'  ... and {hidden} more; --json lists all'
    if report.is_clean:
        yield 'Nothing is missing, out of order, altered or unknown.'


def _group_consecutive(found: list[Finding]) -> Iterator[str]:
    """Describe findings; consecutive missing ones in one line."""
    numbered = enumerate(found)
    for (instance, line, _), run in itertools.groupby(
        numbered,
        key=lambda pair: (
            pair[1].instance,
            pair[1].line,
            pair[1].seq - pair[0] if pair[1].seq is not None else None,
        ),
    ):
        several = [finding for _, finding in run]
        first, last = several[0], several[-1]
        if instance is None:
            yield f'line {line}: {first.message_id}'
        elif line is not None:
            yield f'line {line}: {instance} number {first.seq}'
        elif first is last:
            yield f'{instance} number {first.seq}'
        else:
            yield f'{instance} numbers {first.seq} to {last.seq}'
