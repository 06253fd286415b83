# SPDX-License-Identifier: Apache-2.0
"""The functions of mutants: each replaces a guard of the code.

A replacement takes the original function and returns what replaces it.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import datetime
from typing import Any
from typing import TypeVar

import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import states
from minova.conductor.host_fencing import HostFencing
from minova.conductor.usage_audit import UsageAudit
from minova.conf import CONF
from minova.conf.fencing import Rule
from minova.context import Context
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.db.queries import outbox
from minova.db.queries.hosts import Service
from minova.engine import begin
from minova.flows import power_actions
from minova.flows import resize
from minova.flows import shelve
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import relay
from minova.objects import operation as records
from minova.objects.audit_period import AuditPeriod
from minova.objects.step_args import NoArgs
from minova.objects.step_args import ResizeInstanceArgs
from minova.objects.step_results import DisksSent
from minova.objects.step_results import GuestSettled
from minova.objects.step_results import GuestState
from minova.objects.step_results import HostFenced
from minova.virt.fake.disks import FakeDisks

T = TypeVar('T')

#: A function of the product; its type is that of the one it replaces.
Function = Callable[..., Any]


def do_nothing(original: Function) -> Function:
    """Return a function without effect."""
    return lambda *args, **kwargs: None


def return_value(value: object) -> Callable[[Function], Function]:
    """Return the replacement by a function with a constant result."""
    return lambda original: lambda *args, **kwargs: value


def keep_on_source(original: Function) -> Function:
    """Return a step that does not ask its host where the guest runs."""
    return lambda *args: GuestSettled(power_state=1, is_new=False)


def replace_with(value: object) -> Callable[[Function], object]:
    """Return the replacement by ``value``."""
    return lambda original: value


def any_incarnation(original: Function) -> Function:
    """Load a step whose incarnation equals that of every caller."""

    def load(
        connection: Connection, step_id: str
    ) -> operations.LockedStep | None:
        loaded: operations.LockedStep | None = original(connection, step_id)
        if loaded is not None and loaded.step.incarnation is not None:
            loaded = dataclasses.replace(
                loaded, incarnation=_EqualsAny(loaded.incarnation)
            )
            loaded.step.incarnation = _EqualsAny(loaded.step.incarnation)
        return loaded

    return load


class _EqualsAny(str):
    """A string that equals every other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def update_unfenced(original: Function) -> Function:
    """Update an instance regardless of its owner."""

    def update(
        connection: Connection,
        uuid: str,
        values: types.Values,
        generation: int,
        task_id: str | None,
    ) -> bool:
        found = instances.get(connection, uuid, deleted=True)
        assert found is not None
        return bool(
            original(connection, uuid, values, found.generation, found.task_id)
        )

    return update


def insert_later(original: Function) -> Function:
    """Insert notifications in a later transaction."""

    def insert(connection: Connection, rows: Iterable[types.Values]) -> None:
        def write() -> None:
            clock.sleep(0.001)
            with connection.engine.begin() as later:
                original(later, copied)

        copied = list(rows)
        clock.spawn('outbox', write)

    return insert


def begin_later(original: Function) -> Function:
    """Accept an operation before a later transaction writes it."""

    def begin_(database: Database, *args: object) -> begin.Begun:
        def write() -> None:
            clock.sleep(0.2)
            original(database, *args)

        clock.spawn('begin', write)
        begun: begin.Begun = original(_RollbackDatabase(database), *args)
        return begun

    return begin_


class _RollbackDatabase:
    """A database that rolls back every write."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction and roll it back."""

        def rolled_back(connection: Connection) -> T:
            with connection.begin_nested() as nested:
                result = work(connection)
                nested.rollback()
            return result

        return self._database.write(rolled_back)


def reverse_order(original: Function) -> Function:
    """Return the rows in the opposite order."""
    return lambda *args: list(reversed(original(*args)))


def mark_before_publish(original: Function) -> Function:
    """Mark notifications as published before they are published."""

    def publish_batch(self: relay.Relay) -> bool:
        limit = CONF.notifications.relay_batch
        notices = self._database.read(
            lambda connection: outbox.list_unpublished(connection, limit)
        )
        self._database.write(
            lambda connection: outbox.mark_published(
                connection, [n.id for n in notices], clock.now()
            )
        )
        for notice in notices:
            self._publish(notice)
        return bool(notices)

    return publish_batch


def load_as_new(original: Function) -> Function:
    """Load a running step as if it had not started."""

    def load(
        connection: Connection, step_id: str
    ) -> operations.LockedStep | None:
        loaded: operations.LockedStep | None = original(connection, step_id)
        if loaded is not None and loaded.step.state == records.RUNNING:
            loaded.step.started_at = None
        return loaded

    return load


def set_end_state_at_begin(original: Function) -> Function:
    """Set the success state of an operation already at its begin."""

    def begin_(
        rule: states.Rule, row: states.InstanceLike, task_id: str
    ) -> states.StateChange:
        change: states.StateChange = original(rule, row, task_id)
        state = rule.success_state
        if state not in states.NOT_DELETED or not rule.owns_instance:
            return change
        return dataclasses.replace(change, vm_state=state)

    return begin_


def keep_task_state(original: Function) -> Function:
    """Keep the task state at the end of an operation."""

    def succeed(
        kind: str, row: states.InstanceLike, old_vm_state: str | None = None
    ) -> states.StateChange:
        change: states.StateChange = original(kind, row, old_vm_state)
        return dataclasses.replace(change, task_state=row.task_state)

    return succeed


def emit_shutdown_early(original: Function) -> Function:
    """Emit the shutdown with the delete, before the host removes the guest."""

    def enqueue(uow: UnitOfWork, host: str) -> None:
        uow.emit_start('shutdown')
        uow.emit_end('shutdown')
        original(uow, host)

    return enqueue


def claim_always(original: Function) -> Function:
    """Claim without a look at the resources."""
    return lambda connection, host, uuid, consumer, flavor: True


def trust_error(original: Function) -> Function:
    """Treat an error of the hypervisor as the end of the migration."""
    return lambda ctx, call: call(ctx.instance.uuid)


def fail_only(original: Function) -> Function:
    """Fail an operation without the rest of its undo."""
    return lambda self, uow, error: uow.fail(error)


# -- mutants -----------------------------------------------------------------


def send_disks_once(
    self: resize.ResizeInstance, ctx: StepContext, args: ResizeInstanceArgs
) -> DisksSent:
    """Run ``resize_instance`` without the retry of ``retain_disks``."""
    power_actions.power_off(ctx)
    if not ctx.driver.has_retained_disks(ctx.instance.uuid):
        assert args.transfer_ticket is not None
        list(
            ctx.driver.send_disks(
                ctx.instance.uuid, ctx.peer(), args.transfer_ticket
            )
        )
        ctx.driver.retain_disks(ctx.instance.uuid)
    power_state = power_actions.read_power_state(ctx).power_state
    return DisksSent(power_state=power_state)


def emit_before_mark(original: Function) -> Function:
    """Mark an audited period in another transaction than its ``exists``."""

    def emit(
        self: UsageAudit, context: Context, period: AuditPeriod, uuid: str
    ) -> bool:
        def forget(connection: Connection) -> None:
            instance = instances.get(connection, uuid, deleted=True)
            assert instance is not None
            before = instance.usage_audited_until
            self._write(connection, context, instance, period)
            mark(connection, before)

        def mark(
            connection: Connection, moment: datetime.datetime | None
        ) -> None:
            connection.execute(
                sa.update(tables.instances)
                .where(tables.instances.c.uuid == uuid)
                .values(usage_audited_until=moment)
            )

        self._database.write(forget)
        self._database.write(lambda c: mark(c, period.ending))
        return True

    return emit


def report_power_off(original: Function) -> Function:
    """Report a guest as powered off that was not."""
    off = GuestState(power_state=int(states.PowerState.SHUTDOWN))
    return lambda step, ctx, args: off


def record_failed_fence(original: Function) -> Function:
    """Record that a host is fenced although its program has failed."""

    def run(self: HostFencing, service: Service, rule: Rule) -> HostFenced:
        try:
            found: HostFenced = original(self, service, rule)
            return found
        except exception.FenceFailed:
            self._database.write(
                lambda connection: hosts.record_fence(
                    connection, service, rule.program, ''
                )
            )
            return HostFenced(
                host=service.host,
                agent=rule.program,
                exit_code=1,
                output='',
                seconds=0.0,
            )

    return run


def remove_disks_of_all(original: Function) -> Function:
    """Remove the disks of a guest, whichever host owns them."""

    def remove(self: FakeDisks, uuid: str) -> None:
        original(self, uuid)
        for host in self._world.list_hosts():
            self._store.delete(f'{host}/disks/{uuid}')

    return remove


def discard_image_first(original: Function) -> Function:
    """Delete the image of a shelved server before its guest runs."""

    def run(
        step: shelve.UnshelveInstance, ctx: StepContext, args: NoArgs
    ) -> GuestState:
        ctx.images.discard(str(ctx.instance.shelved_image_id))
        found: GuestState = original(step, ctx, args)
        return found

    return run


def spec_of_first_image(original: Function) -> Function:
    """Return the guest with the image that it was created from."""
    return lambda ctx: ctx.spec(fetch_kernel=True)


def list_busy_too(original: Function) -> Function:
    """List the soft-deleted instances that an operation owns as well."""
    t = tables.instances
    query = sa.select(t.c.uuid).where(t.c.vm_state == states.SOFT_DELETE)
    return lambda connection, before: list(connection.scalars(query))
