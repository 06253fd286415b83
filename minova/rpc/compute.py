# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a compute.

======= ====================================================================
version what came with it
======= ====================================================================
1.0     all that is not said to have come later
1.1     ping; list_host_contents, destroy_unknown_guest
1.2     suspend, resume, rescue, unrescue and what takes it back;
        live_migration_force_complete; get_console_output, get_vnc_console
======= ====================================================================

A method that takes only ``step`` is a wake-up: it names a step that this host
owes, and everything else is asked of the conductor.
"""

from typing import Any
from typing import cast
from typing import Protocol

from minova.conf import CONF
from minova.context import Context
from minova.objects.host import HostArtifact
from minova.objects.instance import Instance
from minova.rpc import bus as buses
from minova.rpc import contract

TOPIC = 'compute'


class Compute(Protocol):
    """Acts, on one host."""

    # -- asked by itself --

    @contract.call(since='1.1', timeout=5)
    def ping(self, context: Context) -> str:
        """Answer with the incarnation; a compute asks itself for it."""

    # -- create, delete --

    @contract.cast()
    def build_and_run_instance(self, context: Context, *, step: str) -> None:
        """Make a guest and start it."""

    @contract.cast()
    def unbuild_instance(self, context: Context, *, step: str) -> None:
        """Remove what a failed build has left."""

    @contract.cast()
    def terminate_instance(self, context: Context, *, step: str) -> None:
        """Remove a guest and its disks."""

    @contract.cast()
    def cleanup_stale_guest(self, context: Context, *, step: str) -> None:
        """Remove what is here of an instance that is not this host's."""

    # -- on, off --

    @contract.cast()
    def start_instance(self, context: Context, *, step: str) -> None:
        """Switch a guest on."""

    @contract.cast()
    def stop_instance(self, context: Context, *, step: str) -> None:
        """Switch a guest off."""

    @contract.cast()
    def pause_instance(self, context: Context, *, step: str) -> None:
        """Stop a guest's processors."""

    @contract.cast()
    def unpause_instance(self, context: Context, *, step: str) -> None:
        """Let a guest's processors go on."""

    @contract.cast()
    def reboot_instance(self, context: Context, *, step: str) -> None:
        """Restart a guest, softly or hard."""

    # -- saved to disk, and back --

    @contract.cast(since='1.2')
    def suspend_instance(self, context: Context, *, step: str) -> None:
        """Save a guest's memory to disk and switch it off."""

    @contract.cast(since='1.2')
    def resume_instance(self, context: Context, *, step: str) -> None:
        """Let a guest go on from what was saved."""

    # -- rescue, and back --

    @contract.cast(since='1.2')
    def rescue_instance(self, context: Context, *, step: str) -> None:
        """Start a guest from a rescue disk."""

    @contract.cast(since='1.2')
    def undo_rescue_instance(self, context: Context, *, step: str) -> None:
        """Let a guest that could not be rescued be as it was."""

    @contract.cast(since='1.2')
    def unrescue_instance(self, context: Context, *, step: str) -> None:
        """Start a guest from its own disk again."""

    @contract.cast(since='1.2')
    def undo_unrescue_instance(self, context: Context, *, step: str) -> None:
        """Let a guest that could not start by itself be rescued again."""

    # -- resize, cold migration --

    @contract.cast()
    def prep_resize(self, context: Context, *, step: str) -> None:
        """At the destination: check what only it knows."""

    @contract.cast()
    def undo_prep_resize(self, context: Context, *, step: str) -> None:
        """At the destination: take it back."""

    @contract.cast()
    def resize_instance(self, context: Context, *, step: str) -> None:
        """At the source: switch the guest off, hand its disks over."""

    @contract.cast()
    def undo_resize_instance(self, context: Context, *, step: str) -> None:
        """At the source: make the old guest the one guest again."""

    @contract.cast()
    def finish_resize(self, context: Context, *, step: str) -> None:
        """At the destination: define and start the guest."""

    @contract.cast()
    def undo_finish_resize(self, context: Context, *, step: str) -> None:
        """At the destination: remove the guest again."""

    @contract.cast()
    def confirm_resize(self, context: Context, *, step: str) -> None:
        """At the source: remove what was kept for a way back."""

    @contract.cast()
    def revert_resize(self, context: Context, *, step: str) -> None:
        """At the destination: remove the new guest."""

    @contract.cast()
    def finish_revert_resize(self, context: Context, *, step: str) -> None:
        """At the source: start the old guest again."""

    # -- live migration --

    @contract.call(timeout=30)
    def check_can_live_migrate_destination(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        source: dict[str, Any],
    ) -> dict[str, Any]:
        """At a candidate: tell whether it can receive the guest, and how.

        ``source`` is the source's row (host, hypervisor, cpu_info). Asks the
        source in turn. Raises MigrationPreCheckError, which says why not.
        """

    @contract.call(timeout=20)
    def check_can_live_migrate_source(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        dest_check_data: dict[str, Any],
    ) -> dict[str, Any]:
        """At the source: the last check; returns the plan of the move."""

    @contract.cast()
    def live_migration(self, context: Context, *, step: str) -> None:
        """At the source: move the guest."""

    @contract.call(timeout=60)
    def pre_live_migration(
        self, context: Context, *, step: str
    ) -> dict[str, Any]:
        """At the destination: make ready; returns when it is."""

    @contract.call(timeout=60)
    def post_live_migration_at_destination(
        self, context: Context, *, step: str
    ) -> dict[str, Any]:
        """At the destination: take over; returns when it has."""

    @contract.cast()
    def rollback_live_migration_at_destination(
        self, context: Context, *, step: str
    ) -> None:
        """At the destination: remove what was made ready."""

    @contract.cast()
    def live_migration_abort(self, context: Context, *, step: str) -> None:
        """At the source: stop the move."""

    @contract.cast(since='1.2')
    def live_migration_force_complete(
        self, context: Context, *, step: str
    ) -> None:
        """At the source: let the move end soon."""

    @contract.call(timeout=20)
    def guest_power_state(
        self, context: Context, *, instance_uuid: str
    ) -> int | None:
        """Ask the hypervisor; None when it does not know the guest.

        A guest that is still arriving is not known yet.
        """

    # -- consoles --

    @contract.call(since='1.2', timeout=20)
    def get_console_output(
        self, context: Context, *, instance_uuid: str, lines: int | None
    ) -> str:
        """Return the last ``lines`` of what a guest said, None: all.

        All is what is kept, and never more than fits a message.
        """

    @contract.call(since='1.2', timeout=20)
    def get_vnc_console(
        self, context: Context, *, instance_uuid: str
    ) -> dict[str, Any]:
        """Tell how a proxy reaches a guest's screen just now.

        ``host`` and ``port``, or ``socket``; ``machine`` names the only
        machine from which it is reached, None: from any. Raises
        InstanceNotReady or ConsoleTypeUnavailable.
        """

    # -- asked by an audit --

    @contract.call(since='1.1', timeout=30)
    def list_host_contents(self, context: Context) -> list[HostArtifact]:
        """Tell all that the host has of guests and disks, whosever it is."""

    @contract.call(since='1.1', timeout=60)
    def destroy_unknown_guest(
        self, context: Context, *, instance_uuid: str, generation: int | None
    ) -> None:
        """Remove what is here under a uuid that the database never knew.

        No operation can be begun for it, so it is done at once. Nothing is
        removed, and Stale raised, when the guest's mark is not of that
        ``generation`` (None: there is no guest), or when a step of it is at
        work here.
        """


INTERFACE = contract.Interface(Compute, TOPIC, '1.2')


def self_client(bus: buses.Bus, host: str) -> Compute:
    """Return what the compute on ``host`` speaks to itself with, not pinned.

    It is of its own release.
    """
    return cast(Compute, contract.client(INTERFACE, bus, host))


class ComputeClients:
    """The clients of all computes, by host."""

    def __init__(self, bus: buses.Bus) -> None:
        self._bus = bus
        self._clients: dict[str, Compute] = {}

    def for_host(self, host: str) -> Compute:
        """Return the client of the compute on ``host``."""
        if host not in self._clients:
            made = contract.client(
                INTERFACE, self._bus, host, pin=CONF.upgrade_levels.compute
            )
            self._clients[host] = cast(Compute, made)
        return self._clients[host]
