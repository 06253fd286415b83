# SPDX-License-Identifier: Apache-2.0
"""The RPC interface of a compute: what it answers besides steps.

======= ===========
version what it adds
======= ===========
1.0     all methods
======= ===========

The step classes of ``minova.flows`` declare the methods of steps, and
``minova.flows.interfaces`` joins the two. Another compute sends by a routing
key of its own (``routes``).
"""

from typing import cast
from typing import Protocol

from minova.conf import CONF
from minova.context import Context
from minova.objects.diagnostics import Diagnostics
from minova.objects.host import HostArtifact
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.rpc import bus as buses
from minova.rpc import contract
from minova.rpc.proof import Caller
from minova.rpc.proof import Signer

TOPIC = 'compute'


class Compute(Protocol):
    """Answers for one host."""

    # -- the RPC self-check --

    @contract.call(Caller.SAME_HOST, timeout=5)
    def ping(self, context: Context) -> str:
        """Return the incarnation; each compute calls its own method."""

    # -- live migration --

    @contract.call(Caller.CONTROL_PLANE, timeout=30)
    def check_can_live_migrate_destination(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        source: LiveMigrateSource,
    ) -> LiveMigrateData:
        """At a candidate: check that it can receive the guest.

        Calls ``check_can_live_migrate_source`` of the source host and returns
        its plan. Raises MigrationPreCheckError with the reason.
        """

    @contract.call(Caller.COMPUTE, timeout=20)
    def check_can_live_migrate_source(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        dest_check_data: DestCheckData,
    ) -> LiveMigrateData:
        """At the source: check the guest; return the migration plan."""

    @contract.call(Caller.COMPUTE, timeout=20)
    def guest_power_state(
        self, context: Context, *, instance_uuid: str
    ) -> int | None:
        """Return the power state of a guest from the hypervisor.

        None when the hypervisor does not have the guest, or is still
        receiving it.
        """

    # -- consoles --

    @contract.call(Caller.CONTROL_PLANE, timeout=20)
    def get_console_output(
        self, context: Context, *, instance_uuid: str, lines: int | None
    ) -> str:
        """Return the last ``lines`` of a guest's serial console, None: all.

        The console log keeps a limited size, which fits one message.
        """

    @contract.call(Caller.CONTROL_PLANE, timeout=20)
    def get_remote_console(
        self, context: Context, *, instance_uuid: str, console_type: str
    ) -> dict[str, str | int | None]:
        """Return the current address of a guest's console of a type.

        Keys: ``host`` and ``port``, or ``socket``; ``machine`` is the id of
        the only machine that can connect, None: any machine. A console behind
        the listener of the host has ``access_path`` and the ``fingerprint`` of
        its certificate. Raises InstanceNotReady or ConsoleTypeUnavailable.
        """

    # -- secrets --

    @contract.call(Caller.CONTROL_PLANE, timeout=30)
    def deliver_password(
        self, context: Context, *, step: str, password: str
    ) -> None:
        """Run the step ``set_admin_password`` with the new password.

        No row and no log has the password. Raises the error of the step.
        """

    # -- diagnostics --

    @contract.call(Caller.CONTROL_PLANE, timeout=20)
    def get_diagnostics(
        self, context: Context, *, instance_uuid: str
    ) -> Diagnostics:
        """Return what the hypervisor counts of a guest that is on.

        Raises InstanceNotReady for another guest.
        """

    # -- audit --

    @contract.call(Caller.CONTROL_PLANE, timeout=30)
    def list_host_contents(self, context: Context) -> list[HostArtifact]:
        """Return all guests and disks of the host, also unknown ones."""

    @contract.call(Caller.CONTROL_PLANE, timeout=60)
    def destroy_unknown_guest(
        self, context: Context, *, instance_uuid: str, generation: int | None
    ) -> None:
        """Remove guest and disks of a uuid that the database does not have.

        An operation needs an instance row, so this method removes them
        directly. Raises Stale and removes nothing when the metadata of the
        guest has another ``generation`` (None: no guest), or when a step of
        the instance runs on the host.
        """


#: Without the methods of steps.
INTERFACE = contract.Interface(Compute, TOPIC, '1.0')


def self_client(bus: buses.Bus, signer: Signer, host: str) -> Compute:
    """Return the client of a compute for its own methods, without a pin.

    A service has the same release as itself.
    """
    return cast(Compute, contract.Client(INTERFACE, bus, host, signer=signer))


class ComputeClients:
    """The clients of all computes, by host."""

    def __init__(self, bus: buses.Bus, signer: Signer) -> None:
        self._bus = bus
        self._signer = signer
        self._clients: dict[str, Compute] = {}

    def for_host(self, host: str) -> Compute:
        """Return the client of the compute on ``host``."""
        if host not in self._clients:
            client = contract.Client(
                INTERFACE,
                self._bus,
                host,
                pin=CONF.upgrade_levels.compute,
                signer=self._signer,
            )
            self._clients[host] = cast(Compute, client)
        return self._clients[host]
