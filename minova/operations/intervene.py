# SPDX-License-Identifier: Apache-2.0
"""What operators may do to an operation that is open.

To *retry* makes a step that pauses after an error due at once. To *abandon*
ends an operation that nobody wants to wait for any more: in one transaction,
fenced like every other, so that whoever still works on it is refused. What a
host has done of it is not known then, and not touched.
"""

import dataclasses

from minova import exception
from minova import flows
from minova import states
from minova.db import hosts
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.db.engine import Connection
from minova.exception import written
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.instance import Instance
from minova.operations import begin
from minova.operations import journal
from minova.operations import outlook
from minova.operations.book import Book
from minova.operations.book import stale
from minova.operations.outlook import Prospect


@dataclasses.dataclass(frozen=True)
class Ending:
    """How an operation was abandoned.

    ``left`` names the hosts that may still have something of the instance,
    ``held`` those on which its room is kept, ``looking`` those that look once
    more for what they have of it, as they would have done later.
    """

    operation: records.Operation
    instance: Instance
    owned: bool
    left: list[str]
    held: list[str]
    looking: list[str]


# -- retry -------------------------------------------------------------------


def retry(connection: Connection, operation_id: str) -> list[records.Step]:
    """Make what pauses after an error due at once; return these steps.

    NoSuchOperation, or Conflict for an operation that has ended.
    """
    operation = _open(connection, operation_id)
    paused = []
    for step in operations.open_steps_of(connection, operation.instance_uuid):
        if step.operation_id == operation.id and step.not_before is not None:
            if not operations.update_step(
                connection, step, {'not_before': None}
            ):
                raise stale(operation)
            paused.append(step)
    return paused


# -- abandon -----------------------------------------------------------------


def abandon(
    connection: Connection,
    operation_id: str,
    reason: str | None,
    force: bool,
    publisher: str,
) -> Ending:
    """End an operation; an instance that it owns is let go of in error.

    Raises NoSuchOperation, or Conflict when it has ended or, without
    ``force``, when a host that is up has a step of it at work.
    """
    operation = _open(connection, operation_id)
    instance = instances.get(
        connection, operation.instance_uuid, lock=True, deleted=True
    )
    assert instance is not None
    if operation.owns and instance.task_id != operation.id:
        raise stale(operation)
    prospects = outlook.of(connection, operation)
    if not force:
        _require_idle(operation, prospects)
    book = Book(
        connection,
        instance,
        operation,
        None,
        events.publisher('conductor', publisher),
    )
    owned = operation.owns
    left = _left(book)
    error = exception.Abandoned(
        operation=operation.kind,
        reason=f': {reason}' if reason else '',
        left=_said(operation, left),
    )
    journal.tell(
        connection,
        operation,
        f' is abandoned: {error}',
        journal.WARNING,
    )
    _end(book, error)
    held = _settle_room(book, left, owned)
    given_up = [step for step in book.steps() if step.state in records.OPEN]
    _preempt(book, given_up)
    book.flush()
    looking = look_again(connection, given_up)
    return Ending(operation, instance, owned, left, held, looking)


def _open(connection: Connection, operation_id: str) -> records.Operation:
    """Lock an operation, behind its instance as everybody does."""
    found = operations.get(connection, operation_id)
    if found is None:
        raise exception.NoSuchOperation(name=operation_id)
    instances.get(connection, found.instance_uuid, lock=True, deleted=True)
    operation = operations.get(connection, operation_id, lock=True)
    assert operation is not None
    if operation.finished_at is not None:
        raise exception.Conflict(
            f'{journal.named(operation)} has ended at '
            f'{outlook.moment(operation.finished_at)}: {operation.state}.'
        )
    return operation


def _require_idle(
    operation: records.Operation, prospects: list[Prospect]
) -> None:
    for prospect in prospects:
        if prospect.at_work:
            raise exception.Conflict(
                f'{journal.named(operation)} cannot be abandoned now: '
                f'{prospect.step.method} is at work on host '
                f'{prospect.step.host}, which is up; it would be cut off in '
                'the middle. Wait for its end, or use --force.'
            )


def _end(book: Book, error: exception.Abandoned) -> None:
    """End the operation, its move and all that it has told the start of."""
    operation = book.operation
    move = book.find_migration()
    if move is not None and move.status in moves.GOING_ON:
        book.record_move(status='error')
    if operation.owns:
        if book.instance.progress is not None:
            book.change(progress=None)
        book.fail(error, lost=True)
    else:
        for event in book.opened():
            book.broke(event, error)
        operation.outcome = records.FAILED
        operation.error = written.encode(error)


def _preempt(book: Book, steps: list[records.Step]) -> None:
    for step in steps:
        book.end_other(step, records.PREEMPTED)


def look_again(
    connection: Connection, given_up: list[records.Step]
) -> list[str]:
    """Let hosts look that were to do so after steps which are given up.

    Returns these hosts. What a host that is lost may have handed to them
    before (``flows.delete``) would stay there for ever.
    """
    known = {
        service.host
        for service in hosts.services(connection, operations.COMPUTE)
    }
    looking: set[str] = set()
    for step in given_up:
        for host in step.args.get('then', ()):
            if host not in known or host in looking:
                continue
            instance = instances.get(
                connection, step.instance_uuid, lock=True, deleted=True
            )
            assert instance is not None
            begin.put_away(connection, instance, host)
            looking.add(host)
    return sorted(looking)


# -- what is left ------------------------------------------------------------


def _left(book: Book) -> list[str]:
    """Return the hosts that may have something of the instance.

    Of an operation that owns nothing: those that were to remove something.
    """
    operation = book.operation
    found = {
        step.host
        for step in book.steps()
        if (_may_have_left if operation.owns else _is_open)(step)
    }
    if operation.owns:
        # Without a host of its own it was never built.
        found.add(book.instance.host)
        if operation.params.get('migration') is not None:
            found |= {book.migration.source_host, book.migration.dest_host}
    return sorted(host for host in found if host is not None)


def _is_open(step: records.Step) -> bool:
    return step.state in records.OPEN


def _may_have_left(step: records.Step) -> bool:
    if step.undoes is not None or step.detached:
        return _is_open(step)
    ended = step.state in (records.UNDONE, records.PREEMPTED)
    return step.started_at is not None and not ended


def _said(operation: records.Operation, left: list[str]) -> str:
    names = ', '.join(left) or 'no host'
    text = f'What it was to remove is left on: {names}.'
    if operation.owns:
        text = f'The guest or disks of the instance may be on: {names}.'
    if operation.error is not None:
        before = written.decode(operation.error)
        text += f' It was being taken back because: {before}'
    return text


def _settle_room(book: Book, left: list[str], owned: bool) -> list[str]:
    """Keep the room that may be in use; return on which hosts.

    The owner host's is the instance's own, what others keep the operation's:
    a delete of the instance finds it by that and clears these hosts too.
    """
    instance, operation = book.instance, book.operation
    rows = hosts.allocations(book.connection, instance.uuid)
    known = {row.host for row in hosts.hosts(book.connection)}
    held = set()
    for row in rows:
        host, holder = row['host'], row['holder']
        mine = holder == operation.id
        if host not in known or (mine and host not in left):
            book.release(host, holder=holder)
            continue
        held.add(host)
        if not owned:
            continue
        if host != instance.host and holder == instance.uuid:
            book.pass_on(host, holder, to=operation.id)
        elif host == instance.host and mine and not _has_own(rows, host):
            book.pass_on(host, holder, to=instance.uuid)
    return sorted(held)


def _has_own(rows: list[dict[str, object]], host: str) -> bool:
    return any(
        row['host'] == host and row['holder'] == row['instance_uuid']
        for row in rows
    )


def lost_track(connection: Connection, instance: Instance) -> bool:
    """Tell whether nobody knows which host has the newest disk.

    That is so from when an operator abandoned an operation, or a move could
    go neither forward nor back, until something succeeds. What was tried
    since and failed has not changed what hosts hold.
    """
    if instance.vm_state != states.ERROR:
        return False
    for operation in operations.of_instance(connection, instance.uuid):
        if operation.state == records.DONE and (
            states.TABLE[operation.kind].owns
        ):
            return False
        if operation.error is None:
            continue
        error = written.decode(operation.error)
        moved = flows.STORIES[operation.kind].moves
        if isinstance(error, exception.Abandoned) or (
            moved and operation.state == records.FAILED
        ):
            return True
    return False
