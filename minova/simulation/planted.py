# SPDX-License-Identifier: Apache-2.0
"""Planted faults: the laws' judges are judged.

Each takes out one of the things that keep a law, by putting something else in
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
from minova.compute import asking
from minova.conductor import manager
from minova.conductor import sweeper
from minova.conf import CONF
from minova.db import hosts
from minova.db import instances
from minova.db import operations
from minova.db import outbox
from minova.db import ports
from minova.flows import delete
from minova.flows import power
from minova.flows import resize
from minova.flows import watching
from minova.notifications import relay
from minova.objects import operation as records
from minova.operations import baton
from minova.operations import begin
from minova.operations import book
from minova.operations import telling

#: An object, the name of what is replaced, and what makes its replacement
#: from the original.
Patch = tuple[Any, str, Callable[[Any], Any]]


@dataclasses.dataclass(frozen=True)
class Planted:
    """One fault of our own making.

    ``campaigns`` and ``scenarios`` are where it is looked for, ``law`` is
    what it breaks.
    """

    name: str
    what: str
    law: str
    campaigns: tuple[str, ...]
    scenarios: tuple[str, ...]
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """Have it in the code for a while."""
        with contextlib.ExitStack() as taken_back:
            for owner, name, make in self.patches:
                # As it stands there, not as the class would hand it out.
                original = vars(owner)[name]
                setattr(owner, name, make(original))
                taken_back.callback(setattr, owner, name, original)
            yield


def _nothing(original: Any) -> Any:
    """Return what does nothing."""
    return lambda *args, **kwargs: None


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda original: lambda *args, **kwargs: value


def _instead(value: Any) -> Callable[[Any], Any]:
    return lambda original: value


# -- what is put in the place of things --------------------------------------


def _any_incarnation(original: Any) -> Any:
    """Load a step as if whoever asks were the newest start."""

    def load(connection: Any, step_id: str) -> Any:
        loaded = original(connection, step_id)
        if loaded is not None and loaded.step.incarnation is not None:
            loaded = dataclasses.replace(
                loaded, incarnation=_Everybody(loaded.incarnation)
            )
            loaded.step.incarnation = _Everybody(loaded.step.incarnation)
        return loaded

    return load


class _Everybody(str):
    """A name that is everybody's."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def _unfenced(original: Any) -> Any:
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


def _later(original: Any) -> Any:
    """Write notifications in a transaction that comes a moment later."""

    def insert(connection: Any, rows: Any) -> None:
        def write() -> None:
            clock.sleep(0.001)
            with connection.engine.begin() as another:
                original(another, kept)

        kept = list(rows)
        clock.spawn('outbox', write)

    return insert


def _accepted_first(original: Any) -> Any:
    """Accept an operation, and write it a moment later."""

    def begin_(database: Any, *args: Any) -> Any:
        def write() -> None:
            clock.sleep(0.2)
            original(database, *args)

        clock.spawn('begin', write)
        return original(_Forgetting(database), *args)

    return begin_


class _Forgetting:
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


def _backwards(original: Any) -> Any:
    return lambda *args: list(reversed(original(*args)))


def _marked_first(original: Any) -> Any:
    """Note notifications as published, then publish them."""

    def publish_some(self: Any) -> bool:
        limit = CONF.notifications.relay_batch
        notices = self._database.read(
            lambda connection: outbox.unpublished(connection, limit)
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


def _never_resumed(original: Any) -> Any:
    """Take a step as if for the first time."""

    def load(connection: Any, step_id: str) -> Any:
        loaded = original(connection, step_id)
        if loaded is not None and loaded.step.state == records.RUNNING:
            loaded.step.started_at = None
        return loaded

    return load


def _too_early(original: Any) -> Any:
    """Be in the state that an operation leads to when it begins."""

    def begin_(kind: str, row: Any, task_id: str) -> states.Change:
        change: states.Change = original(kind, row, task_id)
        ends = states.TABLE[kind].ends
        if ends not in states.LIVING or not states.TABLE[kind].owns:
            return change
        return dataclasses.replace(change, vm_state=ends)

    return begin_


def _not_let_go(original: Any) -> Any:
    """Leave the task state when an operation has ended."""

    def finish(kind: str, row: Any, origin: str | None = None) -> Any:
        change = original(kind, row, origin)
        return dataclasses.replace(change, task_state=row.task_state)

    return finish


def _without_room(original: Any) -> Any:
    return lambda connection, host, uuid, holder, flavor: True


def _at_once(original: Any) -> Any:
    """Take a guest for moved as soon as it is on its way."""

    def watch(job: Any, dest: str) -> None:
        return None

    return watch


def _believed(original: Any) -> Any:
    """Take an error about a guest that moves for the end of its move."""
    return lambda job, ask: ask(job.instance.uuid)


# -- the faults --------------------------------------------------------------

_ALL: Final = ('crash',)
_LIVE: Final = ('live_migrate',)

# fmt: off
PLANTED: Final = (
    Planted('no-fence-of-starts', 'an older start of a service may save', 'law 8',
            ('twin',), ('reboot_hard', 'resize', 'create'),
            ((operations, 'load', _any_incarnation),)),
    Planted('no-fence-of-owners', 'an operation that was taken over may save', 'laws 4, 7, 9',
            ('pause', 'late'), ('force_delete_moving', 'delete_moving'),
            ((instances, 'update', _unfenced), (baton, '_require_live', _nothing), (operations, 'close_open_steps', _nothing))),
    Planted('outbox-outside', 'notifications are not written in the same transaction', 'law 6',
            _ALL, ('stop', 'create'),
            ((outbox, 'insert', _later),)),
    Planted('accepted-before-commit', 'a request is accepted before that is written', 'law 3',
            _ALL, ('stop',),
            ((begin, 'begin', _accepted_first),)),
    Planted('published-out-of-order', 'the newest notification is published first', 'law 6',
            _ALL, ('stop',),
            ((outbox, 'unpublished', _backwards),)),
    Planted('marked-before-published', 'notifications are noted as published too early', 'law 6',
            _ALL, ('stop',),
            ((relay.Relay, 'publish_some', _marked_first),)),
    Planted('another-message-id', 'a second publication has another message_id', 'law 6',
            _ALL, ('stop',),
            ((telling, 'message_id', lambda original: lambda uuid, seq: clock.uuid4()),)),
    Planted('begun-twice', 'a step that goes on tells its start again', 'law 5',
            _ALL, ('reboot_hard', 'resize'),
            ((operations, 'load', _never_resumed),)),
    Planted('ended-twice', 'it is forgotten that a span was closed', 'law 5',
            _ALL, ('resize_fails', 'delete_moving'),
            ((telling.Telling, '_forget', _always(True)),)),
    Planted('undo-forgotten', 'the guest at the destination is not removed', 'law 9',
            _ALL, ('resize_fails',),
            ((resize.FinishResize, 'undo', _instead(None)),)),
    Planted('owner-not-given-back', 'the source does not own the guest that was taken back', 'laws 2, 9',
            _ALL, ('resize_fails',),
            ((resize.ResizeInstance, 'undone', _nothing),)),
    Planted('room-not-given-back', 'the room of a move that failed is kept', 'law 9',
            _ALL, ('resize_fails', 'live_migrate_fails'),
            ((hosts, 'release', _nothing),)),
    Planted('addresses-kept', 'a deleted server keeps its addresses', 'law 9',
            _ALL, ('delete', 'force_delete_moving'),
            ((book.Book, 'release_ports', _nothing),)),
    Planted('addresses-not-held', 'an address is given out and not noted as taken', 'law 9',
            _ALL, ('create',),
            ((ports, 'insert', _nothing),)),
    Planted('room-not-claimed', 'an instance is placed without room for it', 'law 9',
            _ALL, ('create',),
            ((hosts, 'claim', _without_room),)),
    Planted('probe-skipped', 'a guest counts as moved before it has arrived', 'laws 1, 9',
            _ALL, _LIVE,
            ((watching, 'watch', _at_once), (watching, 'require_arrived', _nothing))),
    Planted('taken-back-too-early', 'an error while a guest moves has its move taken back', 'laws 2, 9',
            ('fail',), _LIVE,
            ((watching, 'ask', _believed),)),
    Planted('replaced-and-at-work', 'a start that slept and was replaced goes on', 'law 9',
            ('twin',), ('resize_taken_back', 'resize', 'resize_fails', 'create_elsewhere'),
            ((asking.Asking, 'require_newest', _nothing),)),
    Planted('half-set-aside', 'what was cut short in the middle is not looked for', 'law 9',
            _ALL, ('resize',),
            ((resize.ResizeInstance, 'work', lambda original: _set_aside_once),)),
    Planted('nobody-sweeps', 'no wake-up is repeated and nobody asks what he owes', 'law 3',
            ('lose',), ('stop', 'create'),
            ((manager, '_duties', _always([])), (sweeper, '_is_old', _always(False)))),
    Planted('state-too-early', 'the vm_state changes when an operation begins', 'law 7',
            _ALL, ('stop', 'pause'),
            ((states, 'begin', _too_early),)),
    Planted('task-state-left', 'the task state stays when an operation has ended', 'law 4',
            _ALL, ('stop',),
            ((states, 'finish', _not_let_go),)),
    Planted('not-taken-over', 'a force-delete leaves what runs alone', 'laws 4, 10',
            _ALL, ('force_delete_moving', 'force_delete_migrating'),
            ((begin, '_take_over', _always([])),)),
    Planted('others-not-asked', 'what a deleted guest has elsewhere is not removed', 'law 9',
            _ALL, ('delete_moving', 'delete_resized'),
            ((delete, '_others', _always([])), (delete, '_again', _always([])))),
)
# fmt: on


def _set_aside_once(self: Any, job: Any) -> Any:
    """Hand over as ``resize_instance`` did when a crash left half of it."""
    power.switch_off(job)
    if not job.driver.has_aside(job.instance.uuid):
        invitation = job.args['invitation']
        list(job.driver.hand_over(job.instance.uuid, job.peer(), invitation))
        job.driver.set_aside(job.instance.uuid)
    return power.state(job)
