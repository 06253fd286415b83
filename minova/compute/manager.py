# SPDX-License-Identifier: Apache-2.0
"""The server of the compute interface: steps, and ``rpc.compute.Compute``."""

from oslo_log import log as logging

from minova import exception
from minova.compute import console_listener
from minova.compute import consoles
from minova.compute.console_listener import ConsoleListener
from minova.compute.step_runner import StepRunner
from minova.context import Context
from minova.objects.diagnostics import Diagnostics
from minova.objects.host import HostArtifact
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.step_results import StepResult
from minova.rpc import contract
from minova.rpc.compute import Compute
from minova.rpc.compute import ComputeClients
from minova.virt import spec as specs
from minova.virt.driver import Driver
from minova.virt.driver import SPICE_DIRECT

LOG = logging.getLogger(__name__)


class ComputeManager(Compute):
    """Answers for one host."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        runner: StepRunner,
        computes: ComputeClients,
        incarnation: str,
        listener: ConsoleListener,
    ) -> None:
        self._host = host
        self._driver = driver
        self._runner = runner
        self._computes = computes
        self._incarnation = incarnation
        self._listener = listener

    def handle_step(
        self, context: Context, method: contract.Method, step: str
    ) -> StepResult | None:
        """Run a nested step and return its result, or start a step."""
        if method.reply:
            return self._runner.run_nested(context, step)
        self._runner.wake(context, step, method.name)
        return None

    def ping(self, context: Context) -> str:
        """Return the own incarnation."""
        return self._incarnation

    # -- live migration ------------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        source: LiveMigrateSource,
    ) -> LiveMigrateData:
        """Check this host, then the source host; return its plan."""
        spec = specs.from_instance(instance, '', instance.generation)
        dest_check_data = self._driver.check_can_live_migrate_destination(
            spec, source, block_migration, bool(disk_over_commit)
        )
        return self._computes.for_host(
            source.host
        ).check_can_live_migrate_source(
            context,
            instance=instance,
            block_migration=block_migration,
            dest_check_data=dest_check_data,
        )

    def check_can_live_migrate_source(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        dest_check_data: DestCheckData,
    ) -> LiveMigrateData:
        """Check the guest on this host; return the plan."""
        return self._driver.check_can_live_migrate_source(
            instance.uuid, dest_check_data, block_migration
        )

    def guest_power_state(
        self, context: Context, *, instance_uuid: str
    ) -> int | None:
        """Read the power state from the hypervisor."""
        guest = self._driver.guest(instance_uuid)
        if guest is None or guest.is_incoming:
            return None
        return int(guest.power)

    # -- consoles ------------------------------------------------------------

    def get_console_output(
        self, context: Context, *, instance_uuid: str, lines: int | None
    ) -> str:
        """Read the console log and decode it."""
        output = self._driver.console_output(
            instance_uuid, consoles.MAX_OUTPUT_BYTES
        )
        return consoles.decode_output(output, lines)

    def get_remote_console(
        self, context: Context, *, instance_uuid: str, console_type: str
    ) -> dict[str, str | int | None]:
        """Return the endpoint and the machine that can connect to it."""
        if console_type == console_listener.SERIAL:
            return self._listener.offer(instance_uuid)
        endpoint = self._driver.graphics(instance_uuid, console_type)
        if console_type != SPICE_DIRECT:
            consoles.require_plain(endpoint, console_type)
        return consoles.get_connect_info(endpoint)

    # -- secrets -------------------------------------------------------------

    def deliver_password(
        self, context: Context, *, step: str, password: str
    ) -> None:
        """Run the step with the password, in this thread."""
        self._runner.run_with_secret(context, step, password)

    # -- diagnostics ---------------------------------------------------------

    def get_diagnostics(
        self, context: Context, *, instance_uuid: str
    ) -> Diagnostics:
        """Read the diagnostics from the hypervisor."""
        return self._driver.diagnostics(instance_uuid)

    # -- audit --------------------------------------------------------------

    def list_host_contents(self, context: Context) -> list[HostArtifact]:
        """Read the guests and disks from the hypervisor."""
        return self._driver.list_host_contents()

    def destroy_unknown_guest(
        self, context: Context, *, instance_uuid: str, generation: int | None
    ) -> None:
        """Remove the guest and its disks while no step of it runs."""
        with self._runner.hold_idle_guest(instance_uuid):
            guest = self._driver.guest(instance_uuid)
            if (guest and guest.generation) != generation:
                raise exception.Stale(
                    what=f'Guest {instance_uuid} on {self._host}',
                    holder='another generation',
                )
            LOG.warning(
                'Guest %s on %s: removed at the request of an operator; the '
                'database has no such instance',
                instance_uuid,
                self._host,
            )
            self._driver.destroy(instance_uuid)
            self._driver.remove_disks(instance_uuid)
            self._driver.discard_disks(instance_uuid)
