# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a conductor.

======= ====================================================================
version what came with it
======= ====================================================================
1.0     steps: begin, save, finish, fail; hosts: register, beat; power states
1.4     migrate_server, with the instance as a plain dict
1.5     report_progress
1.6     migrate_server takes the instance as a versioned object
1.7     ping answers with the incarnation; before, with true
1.8     check_console, closed_consoles
======= ====================================================================
"""

from typing import Any
from typing import cast
from typing import Protocol

from minova.conf import CONF
from minova.context import Context
from minova.objects.host import GuestReport
from minova.objects.host import HostReport
from minova.objects.instance import Instance
from minova.objects.instance import InstanceState
from minova.objects.step import DueStep
from minova.objects.step import StepAssignment
from minova.objects.step import StepResult
from minova.rpc import bus
from minova.rpc import contract

TOPIC = 'conductor'


class Conductor(Protocol):
    """Decides, and owns the operations."""

    # -- asked by itself --

    @contract.call(timeout=5)
    def ping(self, context: Context) -> str:
        """Answer with the incarnation; a conductor asks itself for it."""

    # -- asked by the api --

    @contract.cast()
    def build_instances(self, context: Context, *, steps: list[str]) -> None:
        """Decide where instances go; ``steps`` are what the api has owed."""

    @contract.call(since='1.4', timeout=60, objects_since='1.6')
    def migrate_server(
        self,
        context: Context,
        *,
        instance: Instance | dict[str, Any],
        scheduler_hint: dict[str, Any],
        live: bool,
        flavor: dict[str, Any] | None,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        step: str | None = None,
    ) -> None:
        """Decide where a server moves to, cold or live, and begin the move.

        ``scheduler_hint`` may name the wanted ``host``. ``flavor`` is the new
        one of a resize, None to keep it. ``step`` is what the api has owed;
        without one the operation is begun here. Raises NoValidHost or
        MigrationPreCheckError when it cannot move; it stays as it was.
        """

    # -- asked by a proxy of consoles --

    @contract.call(since='1.8', timeout=30)
    def check_console(self, context: Context, *, token: str) -> dict[str, Any]:
        """Tell what a token is good for, and how that is reached just now.

        ``instance_uuid``, ``console_type``, ``compute`` (the instance's
        host), and what ``get_vnc_console`` of that says. Raises
        ConsoleTokenNotFound, or what the compute raises.
        """

    @contract.call(since='1.8', timeout=20)
    def closed_consoles(
        self, context: Context, *, instances: list[str]
    ) -> list[str]:
        """Return those instances whose consoles nobody may see any more."""

    # -- asked by a compute at work on a step --

    @contract.call()
    def start_step(
        self, context: Context, *, step: str, host: str, incarnation: str
    ) -> StepAssignment:
        """Take a step; Stale when it is not there to be taken."""

    @contract.call()
    def save_checkpoint(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        checkpoint: str,
        facts: dict[str, Any],
    ) -> dict[str, str]:
        """Note that a step has passed a checkpoint; Stale when not its own.

        Returns the ids of the nested steps that it may call, by method.
        """

    @contract.call()
    def finish_step(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        result: dict[str, Any],
    ) -> StepResult:
        """End a step well; the answer says whom to wake."""

    @contract.call()
    def fail_step(
        self,
        context: Context,
        *,
        step: str,
        incarnation: str,
        error: dict[str, Any],
        facts: dict[str, Any],
    ) -> StepResult:
        """End a step badly; ``error`` is in its wire form."""

    @contract.cast(since='1.5')
    def report_progress(
        self, context: Context, *, migration: int, byte_counts: dict[str, int]
    ) -> None:
        """Note how far a migration is, in bytes."""

    # -- asked by a compute about its host --

    @contract.call()
    def register_host(
        self, context: Context, *, report: HostReport
    ) -> list[DueStep]:
        """Note that a compute has started; return what it owes."""

    @contract.call()
    def heartbeat(
        self, context: Context, *, host: str, incarnation: str
    ) -> list[DueStep]:
        """Note that a compute lives; return what it owes.

        Stale when a newer start of it has registered.
        """

    @contract.call()
    def instances_on_host(
        self, context: Context, *, host: str
    ) -> list[InstanceState]:
        """Return what power reconciliation needs, for all of a host."""

    @contract.call()
    def report_power_states(
        self, context: Context, *, host: str, guests: list[GuestReport]
    ) -> None:
        """Correct what differs between a hypervisor and the database."""


INTERFACE = contract.Interface(Conductor, TOPIC, '1.8', late_ack=True)


def client(bus: bus.Bus, server: str | None = None) -> Conductor:
    """Return a client of any conductor, or of those on one host."""
    pin = CONF.upgrade_levels.conductor
    return cast(
        Conductor, contract.client(INTERFACE, bus, server=server, pin=pin)
    )
