# SPDX-License-Identifier: Apache-2.0
"""Planted faults: the invariants' judges are judged.

Each takes out one of the things that keep a invariant, by putting something else in
its place. The campaigns named with it must find that out; a fault that nobody
finds says that the proof has a hole.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any
from typing import Final

from minova import clock
from minova import states
from minova.compute import conductor_client
from minova.conductor import manager
from minova.conductor import sweeper
from minova.conf import CONF
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
from minova.notifications import relay
from minova.objects import operation as records
from minova.objects.transfer_ticket import TransferTicket

#: An object, the name of what is replaced, and what makes its replacement
#: from the original.
Patch = tuple[Any, str, Callable[[Any], Any]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault of our own making.

    ``campaigns`` and ``scenarios`` are where it is looked for, ``invariant`` is
    what it breaks.
    """

    name: str
    description: str
    invariant: str
    campaigns: tuple[str, ...]
    scenarios: tuple[str, ...]
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have it in the code for a while."""
        with contextlib.ExitStack() as taken_back:
            for owner, name, make in self.patches:
                # As it stands there, not as the class would hand it out.
                original = vars(owner)[name]
                setattr(owner, name, make(original))
                taken_back.callback(setattr, owner, name, original)
            yield


def _do_nothing(original: Any) -> Any:
    """Return what does nothing."""
    return lambda *args, **kwargs: None


def _return_value(value: Any) -> Callable[[Any], Any]:
    return lambda original: lambda *args, **kwargs: value


def _replace_with(value: Any) -> Callable[[Any], Any]:
    return lambda original: value


# -- what is put in the place of things --------------------------------------


def _any_incarnation(original: Any) -> Any:
    """Load a step as if whoever asks were the newest start."""

    def load(connection: Any, step_id: str) -> Any:
        loaded = original(connection, step_id)
        if loaded is not None and loaded.step.incarnation is not None:
            loaded = dataclasses.replace(
                loaded, incarnation=_EqualsAny(loaded.incarnation)
            )
            loaded.step.incarnation = _EqualsAny(loaded.step.incarnation)
        return loaded

    return load


class _EqualsAny(str):
    """A name that is everybody's."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def _update_unfenced(original: Any) -> Any:
    """Write an instance whoever owns it."""

    def update(
        connection: Any,
        uuid: str,
        values: Any,
        generation: int,
        task_id: str | None,
    ) -> bool:
        found = instances.get(connection, uuid, deleted=True)
        assert found is not None
        return bool(
            original(connection, uuid, values, found.generation, found.task_id)
        )

    return update


def _insert_later(original: Any) -> Any:
    """Write notifications in a transaction that comes a moment later."""

    def insert(connection: Any, rows: Any) -> None:
        def write() -> None:
            clock.sleep(0.001)
            with connection.engine.begin() as another:
                original(another, kept)

        kept = list(rows)
        clock.spawn('outbox', write)

    return insert


def _begin_later(original: Any) -> Any:
    """Accept an operation, and write it a moment later."""

    def begin_(database: Any, *args: Any) -> Any:
        def write() -> None:
            clock.sleep(0.2)
            original(database, *args)

        clock.spawn('begin', write)
        return original(_RollbackDatabase(database), *args)

    return begin_


class _RollbackDatabase:
    """A database that takes back what it has written."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def write(self, work: Any) -> Any:
        """Run a transaction and undo it."""

        def undone(connection: Any) -> Any:
            with connection.begin_nested() as nested:
                result = work(connection)
                nested.rollback()
            return result

        return self._database.write(undone)


def _reverse_order(original: Any) -> Any:
    return lambda *args: list(reversed(original(*args)))


def _mark_before_publish(original: Any) -> Any:
    """Note notifications as published, then publish them."""

    def publish_some(self: Any) -> bool:
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

    return publish_some


def _load_as_new(original: Any) -> Any:
    """Take a step as if for the first time."""

    def load(connection: Any, step_id: str) -> Any:
        loaded = original(connection, step_id)
        if loaded is not None and loaded.step.state == records.RUNNING:
            loaded.step.started_at = None
        return loaded

    return load


def _set_end_state_at_begin(original: Any) -> Any:
    """Be in the state that an operation leads to when it begins."""

    def begin_(kind: str, row: Any, task_id: str) -> states.StateChange:
        change: states.StateChange = original(kind, row, task_id)
        ends = states.TABLE[kind].success_state
        if (
            ends not in states.NOT_DELETED
            or not states.TABLE[kind].owns_instance
        ):
            return change
        return dataclasses.replace(change, vm_state=ends)

    return begin_


def _keep_task_state(original: Any) -> Any:
    """Leave the task state when an operation has ended."""

    def finish(kind: str, row: Any, origin: str | None = None) -> Any:
        change = original(kind, row, origin)
        return dataclasses.replace(change, task_state=row.task_state)

    return finish


def _claim_always(original: Any) -> Any:
    return lambda connection, host, uuid, holder, flavor: True


def _return_at_once(original: Any) -> Any:
    """Take a guest for moved as soon as it is on its way."""

    def watch(ctx: Any, dest: str) -> None:
        return None

    return watch


def _trust_error(original: Any) -> Any:
    """Take an error about a guest that moves for the end of its move."""
    return lambda ctx, ask: ask(ctx.instance.uuid)


# -- the faults --------------------------------------------------------------

_ALL: Final = ('crash',)
_LIVE: Final = ('live_migrate',)

# fmt: off
MUTANTS: Final = (
    Mutant('no-incarnation-fence', 'an older start of a service may save', 'invariant 8',
            ('stale_process',), ('reboot_hard', 'resize', 'create'),
            ((operations, 'load', _any_incarnation),)),
    Mutant('no-generation-fence', 'an operation that was taken over may save', 'invariants 4, 7, 9',
            ('pause', 'delay'), ('force_delete_resizing', 'delete_resizing'),
            ((instances, 'update', _update_unfenced), (step_lifecycle, '_require_live', _do_nothing), (operations, 'close_open_steps', _do_nothing))),
    Mutant('outbox-outside-transaction', 'notifications are not written in the same transaction', 'invariant 6',
            _ALL, ('stop', 'create'),
            ((outbox, 'insert', _insert_later),)),
    Mutant('accepted-before-commit', 'a request is accepted before that is written', 'invariant 3',
            _ALL, ('stop',),
            ((begin, 'begin', _begin_later),)),
    Mutant('published-out-of-order', 'the newest notification is published first', 'invariant 6',
            _ALL, ('stop',),
            ((outbox, 'unpublished', _reverse_order),)),
    Mutant('marked-before-publish', 'notifications are noted as published too early', 'invariant 6',
            _ALL, ('stop',),
            ((relay.Relay, 'publish_some', _mark_before_publish),)),
    Mutant('new-message-id-on-retry', 'a second publication has another message_id', 'invariant 6',
            _ALL, ('stop',),
            ((outbox_rows, 'message_id', lambda original: lambda uuid, seq: clock.uuid4()),)),
    Mutant('start-emitted-twice', 'a step that goes on tells its start again', 'invariant 5',
            _ALL, ('reboot_hard', 'resize'),
            ((operations, 'load', _load_as_new),)),
    Mutant('end-emitted-twice', 'it is forgotten that a span was closed', 'invariant 5',
            _ALL, ('resize_fails', 'delete_resizing'),
            ((notice_buffer.NoticeBuffer, '_remove_open_event', _return_value(True)),)),
    Mutant('undo-missing', 'the guest at the destination is not removed', 'invariant 9',
            _ALL, ('resize_fails',),
            ((resize.FinishResize, 'undo', _replace_with(None)),)),
    Mutant('host-not-restored', 'the source does not own the guest that was taken back', 'invariants 2, 9',
            _ALL, ('resize_fails',),
            ((resize.ResizeInstance, 'undone', _do_nothing),)),
    Mutant('allocation-not-released', 'the room of a move that failed is kept', 'invariant 9',
            _ALL, ('resize_fails', 'live_migrate_fails'),
            ((hosts, 'release', _do_nothing),)),
    Mutant('ports-not-released', 'a deleted server keeps its addresses', 'invariant 9',
            _ALL, ('delete', 'force_delete_resizing'),
            ((unit_of_work.UnitOfWork, 'release_ports', _do_nothing),)),
    Mutant('port-not-recorded', 'an address is given out and not noted as taken', 'invariant 9',
            _ALL, ('create',),
            ((ports, 'insert', _do_nothing),)),
    Mutant('allocation-not-claimed', 'an instance is placed without room for it', 'invariant 9',
            _ALL, ('create',),
            ((hosts, 'claim', _claim_always),)),
    Mutant('arrival-not-checked', 'a guest counts as moved before it has arrived', 'invariants 1, 9',
            _ALL, _LIVE,
            ((migration_monitor, 'watch', _return_at_once), (migration_monitor, 'require_arrived', _do_nothing))),
    Mutant('unwound-too-early', 'an error while a guest moves has its move taken back', 'invariants 2, 9',
            ('fail',), _LIVE,
            ((migration_monitor, 'ask', _trust_error),)),
    Mutant('stale-process-continues', 'a start that slept and was replaced goes on', 'invariant 9',
            ('stale_process',), ('resize_unwound', 'resize', 'resize_fails', 'create_rescheduled'),
            ((conductor_client.ConductorClient, 'require_newest', _do_nothing),)),
    Mutant('half-retained', 'what was cut short in the middle is not looked for', 'invariant 9',
            _ALL, ('resize',),
            ((resize.ResizeInstance, 'work', lambda original: _send_disks_once),)),
    Mutant('no-sweeper', 'no wake-up is repeated and nobody asks what he owes', 'invariant 3',
            ('drop',), ('stop', 'create'),
            ((manager, '_duties', _return_value([])), (sweeper, '_is_old', _return_value(False)))),
    Mutant('vm-state-too-early', 'the vm_state changes when an operation begins', 'invariant 7',
            _ALL, ('stop', 'pause'),
            ((states, 'begin', _set_end_state_at_begin),)),
    Mutant('task-state-not-cleared', 'the task state stays when an operation has ended', 'invariant 4',
            _ALL, ('stop',),
            ((states, 'finish', _keep_task_state),)),
    Mutant('no-preemption', 'a force-delete leaves what runs alone', 'invariants 4, 10',
            _ALL, ('force_delete_resizing', 'force_delete_migrating'),
            ((begin, '_take_over', _return_value([])),)),
    Mutant('no-cleanup-elsewhere', 'what a deleted guest has elsewhere is not removed', 'invariant 9',
            _ALL, ('delete_resizing', 'delete_resized'),
            ((delete, '_others', _return_value([])), (delete, '_again', _return_value([])))),
)
# fmt: on


def _send_disks_once(self: Any, ctx: Any) -> Any:
    """Hand over as ``resize_instance`` did when a crash left half of it."""
    power_actions.power_off(ctx)
    if not ctx.driver.has_retained_disks(ctx.instance.uuid):
        transfer_ticket = TransferTicket.from_wire(ctx.args['transfer_ticket'])
        list(
            ctx.driver.send_disks(
                ctx.instance.uuid, ctx.peer(), transfer_ticket
            )
        )
        ctx.driver.retain_disks(ctx.instance.uuid)
    return power_actions.read_power_state(ctx)
