# SPDX-License-Identifier: Apache-2.0
"""The language in which the stories are told.

A *story* is what happens for one kind of operation, as *steps* in their
order, each of which one service runs on one host. A step has halves that run
in different places:

========== ============ ====================================================
half       where        what it does
========== ============ ====================================================
begins     conductor    in the transaction in which the step is taken
work       the host     asks the hypervisor; may be cut short at any point
                        and is then called again: look first, do the rest
saved      conductor    in a transaction in the middle of ``work``
ends       conductor    in the transaction in which the step is done: changes
                        the instance, owes the next step
fails      conductor    in the transaction in which the error is recorded
undone     conductor    in the transaction in which the step is taken back
========== ============ ====================================================

A *decision* is a step of the conductor: one transaction, nothing else.
Stories see a transaction as a ``Book``, a host as a ``Job``, the conductor's
knowledge as a ``Desk``; they import neither database nor hypervisor.
"""

import datetime
import math
from typing import Any
from typing import ClassVar
from typing import Protocol
from typing import TYPE_CHECKING

from minova import exception
from minova.exception import written
from minova.objects import operation as records
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration

if TYPE_CHECKING:
    from minova.virt.driver import Driver
    from minova.virt.driver import Peer
    from minova.virt.driver import Spec

Error = exception.MinovaException
Facts = dict[str, Any]


class Book(Protocol):
    """An instance and an operation on it, open in one transaction."""

    instance: Instance
    operation: records.Operation
    now: datetime.datetime

    @property
    def step(self) -> records.Step:
        """The step that is being taken, saved, ended or decided."""

    @property
    def migration(self) -> Migration:
        """The record of the move that the operation makes or ends."""

    def steps(self) -> list[records.Step]:
        """All steps of the operation so far, in the order they were owed."""

    # -- the instance --

    def task(self, task_state: str) -> None:
        """Pass to the next task state; tells it."""

    def change(self, **fields: Any) -> None:
        """Change fields of the instance other than its states."""

    def correct(self, vm_state: str) -> None:
        """Change the vm_state to what power reconciliation found."""

    def finish(self, origin: str | None = None) -> None:
        """End well: the instance is let go of in its new vm_state."""

    def fail(
        self, error: Error, lost: bool = False, closing: str | None = None
    ) -> None:
        """End badly: as it was, or ``lost``: in error. Records a fault.

        What is still open is told as broken, but ``closing`` as ended.
        """

    # -- what is told --

    def tell(self, event: str) -> None:
        """Tell a moment."""

    def open(self, event: str, **extras: Any) -> None:
        """Tell that something starts."""

    def close(self, event: str, **extras: Any) -> None:
        """Tell that it has ended well."""

    def broke(self, event: str, error: Error) -> None:
        """Tell that it has ended badly."""

    # -- what is owed --

    def owe(
        self,
        step: 'type[HostStep] | type[Decision]',
        host: str | None = None,
        nested: bool = False,
        detached: bool = False,
        **args: Any,
    ) -> None:
        """Let a host, or any conductor, run ``step`` next.

        A ``nested`` one is not woken: the step that owes it calls it. For a
        ``detached`` one the operation's course does not wait.
        """

    def try_again(self) -> None:
        """Having taken all back, go on instead of failing."""

    def cancel_owner(self) -> None:
        """Ask the operation that owns the instance to stop."""

    def force_owner(self) -> None:
        """Ask the operation that owns the instance to end soon."""

    # -- room on hosts, records of moves --

    def claim(self, host: str, flavor: Flavor, holder: str) -> bool:
        """Take room on a host; False when there is not enough."""

    def release(self, host: str, holder: str | None = None) -> None:
        """Give back the room on a host, all or what ``holder`` holds."""

    def pass_on(self, host: str, holder: str, to: str) -> None:
        """Let another hold the room that ``holder`` holds on a host."""

    def end_consoles(self) -> None:
        """Let nobody see the instance's consoles any more."""

    def release_ports(self) -> None:
        """Give back the instance's addresses: it is at its end."""

    def record_move(self, **fields: Any) -> None:
        """Begin the record of a move, or change it."""


class Choice(Protocol):
    """A host that was chosen and on which room was claimed."""

    @property
    def host(self) -> str:
        """The name by which the bus knows it."""

    @property
    def hypervisor_hostname(self) -> str:
        """The name by which its hypervisor knows itself."""

    @property
    def address(self) -> str:
        """Where other hosts reach it."""

    @property
    def availability_zone(self) -> str:
        """The zone it lies in."""


class Desk(Protocol):
    """What a conductor knows and decides with."""

    def place(
        self,
        book: Book,
        flavor: Flavor,
        holder: str,
        wanted: str | None = None,
        zone: str | None = None,
        excluded: tuple[str, ...] = (),
    ) -> Choice:
        """Choose a host and claim room on it, to be held by ``holder``.

        Raises NoValidHost, which says which hosts were left out and why.
        """

    def check_live_migration(
        self, instance: Instance, params: Facts, excluded: tuple[str, ...]
    ) -> Facts:
        """Ask hosts until one can receive the guest; return its answer.

        The answer's ``host`` names it. Raises MigrationRefused or
        NoValidHost, which say why.
        """


class Job(Protocol):
    """One step at work on one host."""

    host: str
    kind: str
    instance: Instance
    params: Facts
    args: Facts
    origin: str
    #: An earlier start of the service began the step and did not end it.
    resumed: bool
    #: Milestones passed by an earlier start, with the facts saved there.
    passed: dict[str, Facts]
    #: The work is to end soon, at the guest's cost.
    forced: bool

    @property
    def driver(self) -> 'Driver':
        """The hypervisor; Stale when another start has replaced this one."""

    @property
    def migration(self) -> Migration:
        """The record of the move."""

    def spec(
        self, fetched: bool = False, rescue: Facts | None = None
    ) -> 'Spec':
        """Return what the hypervisor is to know of the guest.

        With ``fetched`` the kernel that it may have beside its disk is on
        this host. ``rescue`` is what is known of the image it is to be
        rescued with.
        """

    def peer(self) -> 'Peer':
        """Return the other host of the move."""

    def is_mine(self, generation: int | None) -> bool:
        """Tell whether a guest was last defined by this operation."""

    def image(self, image_id: str | None = None) -> str | None:
        """Return the path of an image, the instance's own, on this host."""

    def save(self, milestone: str, **facts: Any) -> None:
        """Record that a point was passed; Stale when taken over."""

    def call(
        self,
        step: 'type[HostStep]',
        host: str,
        patience: float = math.inf,
    ) -> Facts:
        """Let another host run a nested step; return its result.

        One that does not answer is asked again for ``patience`` seconds, and
        as long as the work is wanted; then GuestMigrationFailed.
        """

    def cancel(self, step: 'type[HostStep]') -> None:
        """Let ``step`` of the same instance, at work here, stop."""

    def force(self, step: 'type[HostStep]') -> bool:
        """Let ``step``, as above, end soon; False when it is not at work."""

    def probe(self, host: str) -> int | None:
        """Ask another host for the guest's power state, None: not there."""

    def report(self, **figures: int) -> None:
        """Tell how far a migration is."""

    def check(self) -> None:
        """Raise Cancelled or Stale when the work is not wanted any more."""

    def wait(self, seconds: float) -> None:
        """Let time pass; ``check`` afterwards."""

    def seconds_left(self) -> float:
        """Seconds until the operation's deadline."""


class HostStep:
    """A step that a compute runs."""

    #: The RPC method by which a host is woken to it.
    method: ClassVar[str]
    #: The step that takes it back, on the same host.
    undo: ClassVar['type[HostStep] | None'] = None
    #: There is no way back: it is tried again until it succeeds, or until
    #: the operation's deadline leaves the instance in error.
    insists: ClassVar[bool] = False
    #: The milestone after which it insists.
    no_return: ClassVar[str | None] = None
    #: It harms nothing when it is done late: nobody waits for a dead host.
    can_wait: ClassVar[bool] = False
    #: It runs while another step of the instance does.
    beside: ClassVar[bool] = False
    #: The nested steps that its work calls on other hosts.
    calls: 'ClassVar[tuple[type[HostStep], ...]]' = ()
    #: When its host stays away past the deadline the operation fails, and
    #: what is left is taken back when the host returns. Others wait.
    abandons: ClassVar[bool] = False

    def begins(self, book: Book) -> None:
        """Write what is true once the step is taken."""

    def work(self, job: Job) -> Facts:
        """Ask the hypervisor; return what the conductor is to know."""
        return {}

    def saved(self, book: Book, milestone: str, facts: Facts) -> None:
        """Write what is true once ``work`` has passed ``milestone``."""

    def ends(self, book: Book, result: Facts) -> None:
        """Write what is true once ``work`` is done."""

    def fails(self, book: Book, error: Error) -> None:
        """Write what is true once ``work`` has raised ``error``."""

    def undone(self, book: Book, step: records.Step) -> None:
        """Write what is true once ``step``, one of these, is taken back."""

    def must_succeed(self, step: records.Step) -> bool:
        """Tell whether an error now leads to another try, not to undoing."""
        unsettled = step.error is not None and isinstance(
            written.decode(step.error), exception.Unsettled
        )
        return self.insists or unsettled or self.no_return in step.saved

    def tries_again(self, error: Error) -> bool:
        """Tell whether it is tried again, though it may be taken back.

        That is until the operation's deadline; then it is taken back.
        """
        return False

    def gives_up(self, error: Error) -> bool:
        """Tell whether trying again cannot help a step that insists."""
        return False

    def host_is_down(self, book: Book) -> bool:
        """Go on without the host; False when the operation must wait."""
        return False


class Decision:
    """A step that any conductor runs, in one transaction."""

    #: The RPC method by which a conductor is woken to it.
    method: ClassVar[str]
    #: It cannot decide without having asked hosts.
    needs_advice: ClassVar[bool] = False

    def consults(
        self, desk: Desk, step: records.Step, params: Facts, on: Instance
    ) -> Facts:
        """Ask hosts what must be known, before the transaction."""
        return {}

    def decides(self, book: Book, desk: Desk, advice: Facts) -> Facts:
        """Decide; return what ``undone`` will need to know."""
        return {}

    def undone(self, book: Book, step: records.Step) -> None:
        """Write what is true once ``step``, one of these, is taken back."""


class Story:
    """What happens for one kind of operation.

    ``steps`` are those it may owe, in the order they happen, then those that
    take them back.
    """

    steps: ClassVar[tuple[type[HostStep] | type[Decision], ...]] = ()
    #: It makes or ends a move, of which a record is kept.
    moves: ClassVar[bool] = False

    def starts(self, book: Book) -> None:
        """Owe the first step, in the transaction that begins it all."""

    def unwound(self, book: Book, error: Error) -> None:
        """Go on after everything was taken back; by default, fail."""
        book.fail(error)
