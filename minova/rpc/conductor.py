# SPDX-License-Identifier: Apache-2.0
"""The RPC interface of a conductor: what it answers besides steps.

======= ====================================================================
version what it adds
======= ====================================================================
1.0     all other methods
1.4     migrate_server, with the instance as a plain dict
1.6     migrate_server takes the instance as a versioned object
======= ====================================================================

The step classes of ``minova.flows`` declare the methods of steps, and
``minova.flows.interfaces`` joins the two.
"""

from typing import cast
from typing import Protocol

from minova.conf import CONF
from minova.context import Context
from minova.objects.checkpoints import Checkpoint
from minova.objects.host import GuestReport
from minova.objects.host import HostReport
from minova.objects.instance import Instance
from minova.objects.instance import InstanceState
from minova.objects.step import DueStep
from minova.objects.step import StepAck
from minova.objects.step import StepAssignment
from minova.objects.step_results import StepResult
from minova.rpc import bus as buses
from minova.rpc import contract
from minova.rpc.proof import Caller
from minova.rpc.proof import Signer

TOPIC = 'conductor'


class Conductor(Protocol):
    """Decides, and writes the database for the computes."""

    # -- the RPC self-check --

    @contract.call(Caller.CONTROL_PLANE, timeout=5)
    def ping(self, context: Context) -> str:
        """Return the incarnation; each conductor calls its own method."""

    # -- the API --

    @contract.call(
        Caller.CONTROL_PLANE,
        since='1.4',
        timeout=60,
        objects_since='1.6',
        once=True,
    )
    def migrate_server(
        self,
        context: Context,
        *,
        instance: Instance | buses.Json,
        scheduler_hint: dict[str, str | None],
        live: bool,
        flavor: buses.Json | None,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        step: str | None = None,
    ) -> None:
        """Select the destination of a resize, cold or live migration.

        ``scheduler_hint`` may name the requested ``host``. ``flavor`` is the
        new flavor of a resize, None for a migration. ``step`` is the pending
        step of an operation that has begun; without it the conductor begins
        the operation. Raises NoValidHost or MigrationPreCheckError; the
        instance is then unchanged.
        """

    # -- the console proxy, which has no key: the token is the secret --

    @contract.call(Caller.ANYONE, timeout=30)
    def check_console(
        self, context: Context, *, token: str
    ) -> dict[str, str | int | None]:
        """Validate a console token; return the console and its address.

        Keys: ``instance_uuid``, ``console_type``, ``compute`` (the host of
        the instance), and those of the compute's ``get_remote_console``.
        Raises ConsoleTokenNotFound, or the error of the compute.
        """

    @contract.call(Caller.ANYONE, timeout=20)
    def closed_consoles(
        self, context: Context, *, instances: list[str]
    ) -> list[str]:
        """Return the given instances whose consoles must be closed."""

    # -- a compute, about a step --

    @contract.call(Caller.COMPUTE)
    def start_step(
        self, context: Context, *, step: str, host: str, incarnation: str
    ) -> StepAssignment:
        """Assign a step to a compute; Stale when it may not run the step."""

    @contract.call(Caller.COMPUTE)
    def save_checkpoint(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        checkpoint: Checkpoint,
    ) -> dict[str, str]:
        """Record a checkpoint of a running step; Stale after a takeover.

        Returns the ids of the nested steps that the step may call, by method.
        """

    @contract.call(Caller.COMPUTE)
    def finish_step(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        result: StepResult,
    ) -> StepAck:
        """Finish a step; return the wake-ups that the compute sends."""

    @contract.call(Caller.COMPUTE)
    def fail_step(
        self,
        context: Context,
        *,
        step: str,
        host: str,
        incarnation: str,
        error: buses.Json,
        power_state: int | None,
        guest_untouched: bool,
    ) -> StepAck:
        """Fail a step with a serialized error; return the wake-ups to send.

        ``guest_untouched``: the step has certainly not changed its guest.
        """

    @contract.cast(Caller.COMPUTE)
    def report_progress(
        self,
        context: Context,
        *,
        host: str,
        migration: int,
        byte_counts: dict[str, int],
    ) -> None:
        """Record the progress of a migration from the host, in bytes."""

    @contract.cast(Caller.COMPUTE)
    def report_step_progress(
        self, context: Context, *, host: str, step: str, percent: int
    ) -> None:
        """Record the progress of a step that owns its instance."""

    # -- a compute, about keys --

    @contract.call(Caller.NEW_HOST)
    def enroll_host(
        self,
        context: Context,
        *,
        host: str,
        public_key: str,
        token: str | None,
    ) -> dict[str, str | float]:
        """Accept the key of a host, or confirm that it is accepted.

        ``token`` is that of ``minova-manage host enroll``. Returns
        ``control_plane_key``, the public key of api and conductors, and
        ``time``, that of the database in seconds since 1970. Raises
        MessageRefused with what the operator can do.
        """

    @contract.call(Caller.COMPUTE)
    def get_host_key(self, context: Context, *, host: str, peer: str) -> str:
        """Return the public key of another host; or MessageRefused."""

    # -- a compute, about its host --

    @contract.call(Caller.COMPUTE)
    def evacuated_instances(
        self, context: Context, *, host: str
    ) -> dict[str, bool]:
        """Return the instances whose old guests a host must destroy.

        A compute asks before it registers. The value tells whether it removes
        the disks too; without it another host may still fail to start the
        server, which then needs them.
        """

    @contract.call(Caller.COMPUTE, once=True)
    def register_host(
        self, context: Context, *, report: HostReport
    ) -> list[DueStep]:
        """Record the start of a compute; return the due steps of its host."""

    @contract.call(Caller.COMPUTE)
    def heartbeat(
        self,
        context: Context,
        *,
        host: str,
        incarnation: str,
        hypervisor_error: str | None,
    ) -> list[DueStep]:
        """Record a heartbeat; return the due steps of the host.

        ``hypervisor_error`` says why the hypervisor cannot be used, if so.
        Stale when a newer incarnation of the compute has registered.
        """

    @contract.call(Caller.COMPUTE)
    def instances_on_host(
        self, context: Context, *, host: str
    ) -> list[InstanceState]:
        """Return the states of all instances of a host."""

    @contract.call(Caller.COMPUTE, once=True)
    def report_power_states(
        self, context: Context, *, host: str, guests: list[GuestReport]
    ) -> None:
        """Reconcile the power states of guests with the database."""


#: Without the methods of steps.
INTERFACE = contract.Interface(Conductor, TOPIC, '1.6', late_ack=True)


def client(
    bus: buses.Bus, signer: Signer | None, server: str | None = None
) -> Conductor:
    """Return a client of any conductor, or of those on one host.

    ``signer`` is None for the console proxy.
    """
    pin = CONF.upgrade_levels.conductor
    return cast(
        Conductor,
        contract.Client(INTERFACE, bus, server=server, pin=pin, signer=signer),
    )
