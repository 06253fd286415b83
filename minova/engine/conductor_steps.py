# SPDX-License-Identifier: Apache-2.0
"""The steps of the conductor, one transaction each.

Any replica may run any step, and two may run the same step at once. The second
finds the step ended and changes nothing, but returns the wake-ups once more:
the first may have died before it sent them.
"""

import sqlalchemy as sa

from minova import exception
from minova import flows
from minova.db.connections.engine import Database
from minova.db.queries import operations
from minova.engine import step_records
from minova.engine import unwind
from minova.engine.unit_of_work import UnitOfWork
from minova.exception import serialization
from minova.flows.base import AnyConductorStep
from minova.flows.base import ConductorStep
from minova.flows.base import Prechecked
from minova.flows.base import Scheduler
from minova.notifications import events
from minova.objects import operation as records
from minova.objects.step import Wakeup


def run(
    database: Database, step_id: str, scheduler: Scheduler, host: str
) -> list[Wakeup]:
    """Run a conductor step; return the wake-ups that the caller sends.

    When the step fails, the operation is rolled back and the error raised; a
    further call raises the same error.
    """
    try:
        outcome = database.write(
            lambda connection: _run_in_transaction(
                connection, step_id, scheduler, None, host
            )
        )
        if isinstance(outcome, UnitOfWork):
            # Hosts are asked outside of a transaction.
            prechecked = _conductor_step(
                outcome.operation, outcome.step
            ).precheck(
                scheduler,
                outcome.step,
                outcome.operation.params,
                outcome.instance,
            )
            outcome = database.write(
                lambda connection: _run_in_transaction(
                    connection, step_id, scheduler, prechecked, host
                )
            )
        assert not isinstance(outcome, UnitOfWork)
        return outcome
    except (exception.Stale, exception.Unavailable):
        # Another conductor has run the step, or the sweeper retries it.
        raise
    except exception.MinovaException as error:
        reason = error
        database.write(
            lambda connection: _write_failure(
                connection, step_id, reason, host
            )
        )
        raise


def _run_in_transaction(
    connection: sa.Connection,
    step_id: str,
    scheduler: Scheduler,
    prechecked: Prechecked,
    host: str,
) -> list[Wakeup] | UnitOfWork:
    """Run the step; return the unit of work when a precheck is missing."""
    loaded = step_records.load(connection, step_id)
    uow = _open_unit_of_work(connection, loaded, host)
    if uow is None:
        return step_records.pending_wakeups(connection, loaded.operation)
    step = uow.step
    step_def = _conductor_step(uow.operation, step)
    if step_def.needs_precheck and prechecked is None:
        return uow
    step.started_at = uow.now
    step.result = step_def.run(uow, scheduler, step.args, prechecked)
    uow.finish_step(records.DONE)
    return uow.flush()


def _write_failure(
    connection: sa.Connection,
    step_id: str,
    error: exception.MinovaException,
    host: str,
) -> list[Wakeup]:
    uow = _open_unit_of_work(
        connection, step_records.load(connection, step_id), host
    )
    if uow is None:
        return []
    uow.step.started_at = uow.now
    uow.step.error = serialization.encode(error)
    uow.finish_step(records.FAILED)
    unwind.start(uow, error, f'{uow.step.method} failed: {error}')
    return uow.flush()


def _open_unit_of_work(
    connection: sa.Connection, loaded: operations.LockedStep, host: str
) -> UnitOfWork | None:
    """Return the unit of work, None when the step or operation has ended.

    Raises the error of a step that has failed.
    """
    if loaded.step.state != records.PENDING:
        if loaded.step.error is not None:
            raise serialization.decode(loaded.step.error)
        return None
    operation = loaded.operation
    if operation.state != records.RUNNING:
        return None
    if operation.owns_instance and loaded.instance.task_id != operation.id:
        return None
    return UnitOfWork.of(
        connection, loaded, events.publisher_id('conductor', host)
    )


def _conductor_step(
    operation: records.Operation, step: records.Step
) -> AnyConductorStep:
    found = flows.get_step(operation.kind, step.method)
    assert isinstance(found, ConductorStep)
    return found
