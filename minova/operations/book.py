# SPDX-License-Identifier: Apache-2.0
"""An instance and an operation on it, open in one transaction.

The stories write on it what is true from now on; ``flush`` writes all of it,
each row fenced by what it was read as.
"""

import dataclasses
from typing import Any
from typing import Self

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import network
from minova import states
from minova.db import consoles
from minova.db import hosts
from minova.db import instances
from minova.db import moves
from minova.db import operations
from minova.exception import written
from minova.flows import chain
from minova.objects import operation as records
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.step import Wake
from minova.operations import journal
from minova.operations import waiting
from minova.operations.telling import Telling


class Book(Telling):
    """The page that one transaction writes; see ``flows.chain.Book``."""

    def __init__(
        self,
        connection: sa.Connection,
        instance: Instance,
        operation: records.Operation,
        step: records.Step | None,
        publisher: str,
        newest: int = 0,
        beginning: bool = False,
        unborn: bool = False,
    ) -> None:
        """Open the page.

        ``newest`` is the number of the operation's newest step. ``beginning``
        says that the operation, ``unborn`` that the instance is not in the
        database yet.
        """
        super().__init__(
            connection, instance, operation, step, publisher, beginning
        )
        self.wakes: list[Wake] = []
        self._newest = newest
        self._unborn = unborn
        self._step_as_read = _copy_of(step) if step else None
        self._operation_as_read = dataclasses.replace(operation)
        self._read_as = (instance.generation, instance.task_id)
        self._changed: dict[str, Any] = {}
        self._migration: Migration | None = None

    @classmethod
    def of(
        cls,
        connection: sa.Connection,
        loaded: operations.Loaded,
        publisher: str,
    ) -> Self:
        """Open the page of a step that was loaded, with all it belongs to."""
        return cls(
            connection,
            loaded.instance,
            loaded.operation,
            loaded.step,
            publisher,
            loaded.newest,
        )

    # -- what is open --------------------------------------------------------

    @property
    def step(self) -> records.Step:
        """The step that is being taken, saved, ended or decided."""
        assert self._step is not None
        return self._step

    @property
    def rule(self) -> states.Rule:
        """The row of the state table that the operation follows."""
        return states.TABLE[self.operation.kind]

    @property
    def migration(self) -> Migration:
        """The record of the move that the operation makes or ends."""
        move = self.find_migration()
        if move is None:
            raise LookupError(f'{self.operation.id} has no record of a move')
        return move

    def find_migration(self) -> Migration | None:
        """Return the record of the operation's move, None without one."""
        if self._migration is None:
            number = self.operation.params.get('migration')
            if number is not None:
                self._migration = moves.get(self.connection, number)
            elif not self._beginning:
                self._migration = moves.of_operation(
                    self.connection, self.operation.id
                )
        return self._migration

    # -- the instance --------------------------------------------------------

    def begin(self) -> None:
        """Take the instance for the operation; Refused when it may not be."""
        self._apply(
            states.begin(self.operation.kind, self.instance, self.operation.id)
        )
        if self.rule.owns:
            self.tell_update()

    def task(self, task_state: str) -> None:
        """Pass to the next task state; tells it."""
        self._apply(
            states.advance(self.operation.kind, self.instance, task_state)
        )
        self.tell_update()

    def change(self, **fields: Any) -> None:
        """Change fields of the instance other than its states."""
        for name, value in fields.items():
            setattr(self.instance, name, value)
        self._changed.update(fields)

    def correct(self, vm_state: str) -> None:
        """Change the vm_state to what power reconciliation found."""
        self._apply(states.correct(self.instance, vm_state))
        self.tell_update()

    def finish(self, origin: str | None = None) -> None:
        """End well: the instance is let go of in its new vm_state."""
        if self._may_let_go():
            self._apply(
                states.finish(self.operation.kind, self.instance, origin)
            )
            self.tell_update()
        self.operation.owns = False
        self.operation.outcome = records.DONE

    def fail(
        self,
        error: exception.MinovaException,
        lost: bool = False,
        closing: str | None = None,
    ) -> None:
        """End badly: as it was, or ``lost``: in error. Records a fault."""
        if self._may_let_go():
            self._apply(states.fail(self.operation.kind, self.instance, lost))
            self.tell_update()
        in_error = self.instance.vm_state == states.ERROR
        self.operation.outcome = (
            records.FAILED if in_error or lost else records.ROLLED_BACK
        )
        self.operation.owns = False
        self.operation.error = written.encode(error)
        for event in self.opened():
            if event == closing:
                self.close(event)
            else:
                self.broke(event, error)
        self._record_fault(error)

    def _may_let_go(self) -> bool:
        at_once = self.rule.hold in (states.Hold.AT_ONCE, states.Hold.SEIZE)
        return self.operation.owns or (self._beginning and at_once)

    def _apply(self, change: states.Change) -> None:
        new = vars(change)
        self.change(
            **{
                name: value
                for name, value in new.items()
                if value != getattr(self.instance, name)
            }
        )

    def _record_fault(self, error: exception.MinovaException) -> None:
        instances.add_fault(
            self.connection,
            self.instance.uuid,
            self.operation.id,
            error,
            self._step.host if self._step else None,
            self.now,
        )

    # -- what is owed --------------------------------------------------------

    def owe(
        self,
        step: type[chain.HostStep] | type[chain.Decision],
        host: str | None = None,
        nested: bool = False,
        detached: bool = False,
        undoes: str | None = None,
        **args: Any,
    ) -> None:
        """Let a host, or any conductor, run ``step`` next."""
        topic = 'compute' if issubclass(step, chain.HostStep) else 'conductor'
        if topic == 'compute' and host is None:
            raise ValueError(f'{step.method} needs a host')
        self._newest += 1
        self.operation.outstanding += 1
        owed = records.Step(
            id=clock.uuid4(),
            operation_id=self.operation.id,
            instance_uuid=self.instance.uuid,
            number=self._newest,
            method=step.method,
            topic=topic,
            host=host,
            args=args,
            state=records.OWED,
            undoes=undoes,
            nested=nested,
            detached=detached,
            incarnation=None,
            saved={},
            opened=[],
            attempts=0,
            result=None,
            error=None,
            not_before=None,
            created_at=self.now,
            started_at=None,
            finished_at=None,
        )
        self._owed.append(owed)
        if not nested:
            self.wakes.append(wake_for(owed))

    def end_step(self, state: str) -> None:
        """Note that the open step has ended."""
        self.step.state = state
        self.step.finished_at = self.now
        self.operation.outstanding -= 1
        waiting.over(self.operation, self.step)

    def end_other(self, step: records.Step, state: str) -> None:
        """Note that another open step has ended."""
        self.operation.outstanding -= 1
        waiting.over(self.operation, step)
        self.mark(step, state)

    def mark(self, step: records.Step, state: str) -> None:
        """Write the state of another step."""
        before = dataclasses.replace(step)
        step.state = state
        step.finished_at = step.finished_at or self.now
        if self._step is not None and step.id == self._step.id:
            return
        if not operations.update_step(
            self.connection,
            before,
            {'state': state, 'finished_at': step.finished_at},
        ):
            raise stale(self.operation)

    def try_again(self) -> None:
        """Having taken all back, go on instead of failing."""
        journal.tell(self.connection, self.operation, ' tries another host')
        self.operation.unwinding = False
        self.operation.error = None
        self._apply(states.restart(self.operation.kind, self.instance))
        self.tell_update()

    def cancel_owner(self) -> None:
        """Ask the operation that owns the instance to stop."""
        self._ask_owner('cancelled')

    def force_owner(self) -> None:
        """Ask the operation that owns the instance to end soon."""
        self._ask_owner('forced')

    def _ask_owner(self, wish: str) -> None:
        assert self.instance.task_id is not None
        owner = operations.get(self.connection, self.instance.task_id)
        assert owner is not None
        operations.update(
            self.connection,
            owner.id,
            {'params': owner.params | {wish: self.operation.id}},
        )

    # -- room on hosts, records of moves -------------------------------------

    def claim(self, host: str, flavor: Flavor, holder: str) -> bool:
        """Take room on a host; False when there is not enough."""
        uuid = self.instance.uuid
        return hosts.claim(self.connection, host, uuid, holder, flavor)

    def release(self, host: str, holder: str | None = None) -> None:
        """Give back the room on a host, all or what ``holder`` holds."""
        hosts.release(self.connection, self.instance.uuid, host, holder)

    def pass_on(self, host: str, holder: str, to: str) -> None:
        """Let another hold the room that ``holder`` holds on a host."""
        hosts.pass_on(self.connection, self.instance.uuid, host, holder, to)

    def end_consoles(self) -> None:
        """Let nobody see the instance's consoles any more."""
        consoles.remove_of(self.connection, self.instance.uuid)

    def release_ports(self) -> None:
        """Give back the instance's addresses: it is at its end."""
        if self.instance.network_info:
            network.service().release(self.connection, self.instance.uuid)
            self.change(network_info=[])

    def record_move(self, **fields: Any) -> None:
        """Begin the record of a move, or change it."""
        fields['updated_at'] = self.now
        move = self.find_migration()
        if move is None:
            fields |= {
                'uuid': clock.uuid4(),
                'instance_uuid': self.instance.uuid,
                'operation_id': self.operation.id,
                'user_id': self.operation.user_id,
                'project_id': self.operation.project_id,
                'created_at': self.now,
            }
            moves.insert(self.connection, fields)
            return
        moves.update(self.connection, move.id, fields)
        for name, value in fields.items():
            setattr(move, name, value)

    # -- writing -------------------------------------------------------------

    def flush(self) -> list[Wake]:
        """Write everything; return whom the writer is to wake.

        Raises Stale, and the transaction writes nothing, when another one
        has taken over the instance or the step.
        """
        self._write_instance()
        if self._step is not None:
            self._write_step(self._step)
        self._write_operation()
        if self._owed:
            operations.insert_steps(self.connection, self._owed)
        self.write_notices()
        return self.wakes

    def _write_instance(self) -> None:
        newest = self.number_notices()
        if newest != self.instance.notification_seq:
            self.change(notification_seq=newest)
        if self._unborn:
            values = self.instance.as_dict()
            del values['id']
            self.instance.id = instances.insert(self.connection, values)
        elif self._changed:
            self.change(updated_at=self.now)
            generation, task_id = self._read_as
            written = instances.update(
                self.connection,
                self.instance.uuid,
                self._changed,
                generation=generation,
                task_id=task_id,
            )
            if not written:
                raise stale(self.operation)

    def _write_step(self, step: records.Step) -> None:
        assert self._step_as_read is not None
        values = _difference(self._step_as_read, step)
        if values and not operations.update_step(
            self.connection, self._step_as_read, values
        ):
            raise stale(self.operation)

    def _write_operation(self) -> None:
        operation = self.operation
        if operation.outstanding == 0:
            if operation.owns:
                raise AssertionError(
                    f'{operation.kind} {operation.id} owns its instance and '
                    'owes nothing: a story ended without an end'
                )
            operation.state = operation.outcome or records.DONE
            operation.finished_at = self.now
            operation.waits_for = operation.waits_since = None
            journal.ended(self.connection, operation)
        if self._beginning:
            operations.insert(self.connection, operation)
            return
        values = _difference(self._operation_as_read, operation)
        if values:
            values['updated_at'] = self.now
            operations.update(self.connection, operation.id, values)


def _copy_of(step: records.Step) -> records.Step:
    """Return a copy that does not change with what is changed in place."""
    return dataclasses.replace(
        step, saved=dict(step.saved), opened=list(step.opened)
    )


def _difference(before: Any, after: Any) -> dict[str, Any]:
    old, new = vars(before), vars(after)
    return {name: new[name] for name in new if new[name] != old[name]}


def wake_for(step: records.Step) -> Wake:
    """Return the wake-up for whoever owes ``step``."""
    return Wake(
        step=step.id, method=step.method, topic=step.topic, host=step.host
    )


def load(connection: sa.Connection, step_id: str) -> operations.Loaded:
    """Lock a step with all it belongs to; Stale when there is none."""
    loaded = operations.load(connection, step_id)
    if loaded is None:
        raise exception.Stale(what=f'Step {step_id}', holder='anybody')
    return loaded


def open_wakes(
    connection: sa.Connection, operation: records.Operation
) -> list[Wake]:
    """Return the wake-ups for all that an operation owes.

    For who asks again for what has been done: the answer was lost, and with
    it may have been the wake-ups.
    """
    return [
        wake_for(step)
        for step in operations.steps_of(connection, operation.id)
        if step.state in records.OPEN and not step.nested
    ]


def stale(operation: records.Operation) -> exception.Stale:
    """Return the error for a writer that is too late."""
    return exception.Stale(
        what=f'Instance {operation.instance_uuid}',
        holder=f'{operation.kind} {operation.id}',
    )
