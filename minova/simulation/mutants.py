# SPDX-License-Identifier: Apache-2.0
"""Mutants: the code without one of its guards, to test the simulation itself.

Each mutant replaces one function that an invariant depends on. The campaigns
of the mutant must find a violation; a mutant that survives shows a gap in the
checks.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
from types import ModuleType
from typing import Any
from typing import Final
from typing import TypeVar

from minova import clock
from minova import states
from minova.compute import conductor_client
from minova.compute import step_context
from minova.conductor import manager
from minova.conductor import sweeper
from minova.conf import CONF
from minova.db import types
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import hosts
from minova.db.queries import instances
from minova.db.queries import operations
from minova.db.queries import outbox
from minova.db.queries import ports
from minova.engine import begin
from minova.engine import notice_buffer
from minova.engine import outbox_rows
from minova.engine import step_lifecycle
from minova.engine import unit_of_work
from minova.flows import delete
from minova.flows import migration_monitor
from minova.flows import power_actions
from minova.flows import resize
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import relay
from minova.objects import operation as records
from minova.objects.step_args import ResizeInstanceArgs
from minova.objects.step_results import DisksSent

T = TypeVar('T')

#: A function of the product; its type is that of the one it replaces.
Function = Callable[..., Any]
#: A module or class, the name of the attribute to replace, and a function that
#: returns the replacement of the original.
Patch = tuple[ModuleType | type, str, Callable[[Function], object]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A planted fault: the patches, and the campaigns that must detect it.

    ``invariant`` names the invariants that it violates.
    """

    name: str
    description: str
    invariant: str
    campaigns: tuple[str, ...]
    scenarios: tuple[str, ...]
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the patches; restore the originals at the end."""
        with contextlib.ExitStack() as restored:
            for owner, name, make in self.patches:
                # The stored attribute, not a bound one.
                original = vars(owner)[name]
                setattr(owner, name, make(original))
                restored.callback(setattr, owner, name, original)
            yield


def _do_nothing(original: Function) -> Function:
    """Return a function without effect."""
    return lambda *args, **kwargs: None


def _return_value(value: object) -> Callable[[Function], Function]:
    return lambda original: lambda *args, **kwargs: value


def _replace_with(value: object) -> Callable[[Function], object]:
    return lambda original: value


# -- replacements ------------------------------------------------------------


def _any_incarnation(original: Function) -> Function:
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


def _update_unfenced(original: Function) -> Function:
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


def _insert_later(original: Function) -> Function:
    """Insert notifications in a later transaction."""

    def insert(connection: Connection, rows: Iterable[types.Values]) -> None:
        def write() -> None:
            clock.sleep(0.001)
            with connection.engine.begin() as later:
                original(later, copied)

        copied = list(rows)
        clock.spawn('outbox', write)

    return insert


def _begin_later(original: Function) -> Function:
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


def _reverse_order(original: Function) -> Function:
    return lambda *args: list(reversed(original(*args)))


def _mark_before_publish(original: Function) -> Function:
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


def _load_as_new(original: Function) -> Function:
    """Load a running step as if it had not started."""

    def load(
        connection: Connection, step_id: str
    ) -> operations.LockedStep | None:
        loaded: operations.LockedStep | None = original(connection, step_id)
        if loaded is not None and loaded.step.state == records.RUNNING:
            loaded.step.started_at = None
        return loaded

    return load


def _set_end_state_at_begin(original: Function) -> Function:
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


def _keep_task_state(original: Function) -> Function:
    """Keep the task state at the end of an operation."""

    def succeed(
        kind: str, row: states.InstanceLike, old_vm_state: str | None = None
    ) -> states.StateChange:
        change: states.StateChange = original(kind, row, old_vm_state)
        return dataclasses.replace(change, task_state=row.task_state)

    return succeed


def _emit_shutdown_early(original: Function) -> Function:
    """Emit the shutdown with the delete, before the host removes the guest."""

    def enqueue(uow: UnitOfWork, host: str) -> None:
        uow.emit_start('shutdown')
        uow.emit_end('shutdown')
        original(uow, host)

    return enqueue


def _claim_always(original: Function) -> Function:
    return lambda connection, host, uuid, consumer, flavor: True


def _trust_error(original: Function) -> Function:
    """Treat an error of the hypervisor as the end of the migration."""
    return lambda ctx, call: call(ctx.instance.uuid)


# -- mutants -----------------------------------------------------------------

_ALL: Final = ('crash',)
_LIVE: Final = ('live_migrate',)

# fmt: off
MUTANTS: Final = (
    Mutant('no-incarnation-fence', 'an older incarnation of a service may write', 'invariant 8',
            ('stale_process',), ('reboot_hard', 'resize', 'create'),
            ((operations, 'lock_step', _any_incarnation),)),
    Mutant('no-generation-fence', 'a preempted operation may write', 'invariants 4, 7, 9',
            ('pause', 'delay'), ('force_delete_resizing', 'delete_resizing'),
            ((instances, 'update', _update_unfenced), (step_lifecycle, '_require_live', _do_nothing), (operations, 'close_open_steps', _do_nothing))),
    Mutant('outbox-outside-transaction', 'notifications are written in another transaction', 'invariant 6',
            _ALL, ('stop', 'create'),
            ((outbox, 'insert', _insert_later),)),
    Mutant('accepted-before-commit', 'a request is accepted before its operation is committed', 'invariant 3',
            _ALL, ('stop',),
            ((begin, 'begin', _begin_later),)),
    Mutant('published-out-of-order', 'the newest notification is published first', 'invariant 6',
            _ALL, ('stop',),
            ((outbox, 'list_unpublished', _reverse_order),)),
    Mutant('marked-before-publish', 'notifications are marked as published too early', 'invariant 6',
            _ALL, ('stop',),
            ((relay.Relay, 'publish_batch', _mark_before_publish),)),
    Mutant('new-message-id-on-retry', 'a repeated publication has a new message_id', 'invariant 6',
            _ALL, ('stop',),
            ((outbox_rows, 'message_id', lambda original: lambda uuid, seq: clock.uuid4()),)),
    Mutant('start-emitted-twice', 'a resumed step emits its start again', 'invariant 5',
            _ALL, ('reboot_hard', 'resize'),
            ((operations, 'lock_step', _load_as_new),)),
    Mutant('end-emitted-twice', 'a closed event stays open', 'invariant 5',
            _ALL, ('resize_fails', 'delete_resizing'),
            ((notice_buffer.NoticeBuffer, '_remove_open_event', _return_value(True)),)),
    Mutant('shutdown-emitted-early', 'a force-delete emits shutdown.end while the guest runs', 'invariant 5',
            _ALL, ('force_delete',),
            ((delete, '_enqueue_shutdown', _emit_shutdown_early),)),
    Mutant('undo-missing', 'the guest at the destination is not removed', 'invariant 9',
            _ALL, ('resize_fails',),
            ((resize.FinishResize, 'undo', _replace_with(None)),)),
    Mutant('host-not-restored', 'an undone resize does not restore the host of the instance', 'invariants 2, 9',
            _ALL, ('resize_fails',),
            ((resize.ResizeInstance, 'on_undo', _do_nothing),)),
    Mutant('allocation-not-released', 'a failed migration keeps its allocation', 'invariant 9',
            _ALL, ('resize_fails', 'live_migrate_fails'),
            ((hosts, 'release', _do_nothing),)),
    Mutant('ports-not-released', 'a deleted server keeps its addresses', 'invariant 9',
            _ALL, ('delete', 'force_delete_resizing'),
            ((unit_of_work.UnitOfWork, 'release_ports', _do_nothing),)),
    Mutant('port-not-recorded', 'an address is allocated without a port', 'invariant 9',
            _ALL, ('create',),
            ((ports, 'insert', _do_nothing),)),
    Mutant('allocation-not-claimed', 'an instance is scheduled without a claim', 'invariant 9',
            _ALL, ('create',),
            ((hosts, 'claim', _claim_always),)),
    Mutant('arrival-not-checked', 'a guest counts as migrated before its arrival', 'invariants 1, 9',
            _ALL, _LIVE,
            ((migration_monitor, 'monitor', _do_nothing), (migration_monitor, 'require_arrived', _do_nothing))),
    Mutant('unwound-too-early', 'an error during a live migration unwinds it at once', 'invariants 2, 9',
            ('fail',), _LIVE,
            ((migration_monitor, 'query', _trust_error),)),
    Mutant('stale-process-continues', 'a paused and replaced incarnation continues', 'invariant 9',
            ('stale_process',), ('resize_unwound', 'resize', 'resize_fails', 'create_rescheduled'),
            ((conductor_client.ConductorClient, 'require_newest', _do_nothing),)),
    Mutant('change-not-noted', 'a failed step never counts as a change of its guest', 'invariant 9',
            ('fail', 'hypervisor'), ('create', 'rescue'),
            ((step_context.StepContext, 'is_guest_untouched', lambda original: property(lambda ctx: True)),)),
    Mutant('half-retained', 'an interrupted hand-over of disks is not resumed', 'invariant 9',
            _ALL, ('resize',),
            ((resize.ResizeInstance, 'run', lambda original: _send_disks_once),)),
    Mutant('no-sweeper', 'no wake-up is repeated and no compute is given its due steps', 'invariant 3',
            ('drop',), ('stop', 'create'),
            ((manager, '_due_steps', _return_value([])), (sweeper, '_is_old', _return_value(False)))),
    Mutant('vm-state-too-early', 'the vm_state changes at the begin of an operation', 'invariant 7',
            _ALL, ('stop', 'pause'),
            ((states, 'begin', _set_end_state_at_begin),)),
    Mutant('task-state-not-cleared', 'an ended operation keeps the task state', 'invariant 4',
            _ALL, ('stop',),
            ((states, 'succeed', _keep_task_state),)),
    Mutant('no-preemption', 'a force-delete does not preempt the running operation', 'invariants 4, 10',
            _ALL, ('force_delete_resizing', 'force_delete_migrating'),
            ((begin, '_preempt_owner', _return_value([])),)),
    Mutant('no-cleanup-elsewhere', 'artifacts of a deleted guest on other hosts are not removed', 'invariant 9',
            _ALL, ('delete_resizing', 'delete_resized'),
            ((delete, '_other_hosts', _return_value([])), (delete, '_hosts_to_recheck', _return_value([])))),
)
# fmt: on


def _send_disks_once(
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
