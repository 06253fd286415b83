# SPDX-License-Identifier: Apache-2.0
"""What a compute answers: the contract of ``rpc.compute``, one by one.

What a step does is told in ``flows/``; here it is only passed on.
"""

from typing import Any

from oslo_log import log as logging

from minova import exception
from minova.compute import consoles
from minova.compute.step_runner import StepRunner
from minova.context import Context
from minova.objects.host import HostArtifact
from minova.objects.instance import Instance
from minova.rpc.compute import Compute
from minova.rpc.compute import ComputeClients
from minova.virt import spec as specs
from minova.virt.driver import Driver

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
    ) -> None:
        self._host = host
        self._driver = driver
        self._runner = runner
        self._computes = computes
        self._incarnation = incarnation

    # -- asked by itself -----------------------------------------------------

    def ping(self, context: Context) -> str:
        """Answer with the own incarnation."""
        return self._incarnation

    # -- create, delete ------------------------------------------------------

    def build_and_run_instance(self, context: Context, *, step: str) -> None:
        """Make a guest and start it."""
        self._runner.wake(context, step)

    def unbuild_instance(self, context: Context, *, step: str) -> None:
        """Remove what a failed build has left."""
        self._runner.wake(context, step)

    def terminate_instance(self, context: Context, *, step: str) -> None:
        """Remove a guest and its disks."""
        self._runner.wake(context, step)

    def cleanup_stale_guest(self, context: Context, *, step: str) -> None:
        """Remove what is here of an instance that is not this host's."""
        self._runner.wake(context, step)

    # -- on, off -------------------------------------------------------------

    def start_instance(self, context: Context, *, step: str) -> None:
        """Switch a guest on."""
        self._runner.wake(context, step)

    def stop_instance(self, context: Context, *, step: str) -> None:
        """Switch a guest off."""
        self._runner.wake(context, step)

    def pause_instance(self, context: Context, *, step: str) -> None:
        """Stop a guest's processors."""
        self._runner.wake(context, step)

    def unpause_instance(self, context: Context, *, step: str) -> None:
        """Let a guest's processors go on."""
        self._runner.wake(context, step)

    def reboot_instance(self, context: Context, *, step: str) -> None:
        """Restart a guest."""
        self._runner.wake(context, step)

    # -- saved to disk, and back ---------------------------------------------

    def suspend_instance(self, context: Context, *, step: str) -> None:
        """Save a guest's memory to disk and switch it off."""
        self._runner.wake(context, step)

    def resume_instance(self, context: Context, *, step: str) -> None:
        """Let a guest go on from what was saved."""
        self._runner.wake(context, step)

    # -- rescue, and back ----------------------------------------------------

    def rescue_instance(self, context: Context, *, step: str) -> None:
        """Start a guest from a rescue disk."""
        self._runner.wake(context, step)

    def undo_rescue_instance(self, context: Context, *, step: str) -> None:
        """Let a guest be as it was."""
        self._runner.wake(context, step)

    def unrescue_instance(self, context: Context, *, step: str) -> None:
        """Start a guest from its own disk again."""
        self._runner.wake(context, step)

    def undo_unrescue_instance(self, context: Context, *, step: str) -> None:
        """Let a guest be rescued again."""
        self._runner.wake(context, step)

    # -- resize, cold migration ----------------------------------------------

    def prep_resize(self, context: Context, *, step: str) -> None:
        """Check what only the destination knows."""
        self._runner.wake(context, step)

    def undo_prep_resize(self, context: Context, *, step: str) -> None:
        """Take it back."""
        self._runner.wake(context, step)

    def resize_instance(self, context: Context, *, step: str) -> None:
        """Switch the guest off, hand its disks over."""
        self._runner.wake(context, step)

    def undo_resize_instance(self, context: Context, *, step: str) -> None:
        """Make the old guest the one guest again."""
        self._runner.wake(context, step)

    def finish_resize(self, context: Context, *, step: str) -> None:
        """Define and start the guest at the destination."""
        self._runner.wake(context, step)

    def undo_finish_resize(self, context: Context, *, step: str) -> None:
        """Remove the guest at the destination again."""
        self._runner.wake(context, step)

    def confirm_resize(self, context: Context, *, step: str) -> None:
        """Remove what was kept for a way back."""
        self._runner.wake(context, step)

    def revert_resize(self, context: Context, *, step: str) -> None:
        """Remove the new guest."""
        self._runner.wake(context, step)

    def finish_revert_resize(self, context: Context, *, step: str) -> None:
        """Start the old guest again."""
        self._runner.wake(context, step)

    # -- live migration ------------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        disk_over_commit: bool | None,
        source: dict[str, Any],
    ) -> dict[str, Any]:
        """Tell whether the guest can be received, and how."""
        spec = specs.from_instance(instance, '', instance.generation)
        source_info = source | {'disk_over_commit': disk_over_commit}
        answer = self._driver.check_can_live_migrate_destination(
            spec, source_info, block_migration
        )
        return self._computes.for_host(
            source['host']
        ).check_can_live_migrate_source(
            context,
            instance=instance,
            block_migration=block_migration,
            dest_check_data=answer,
        )

    def check_can_live_migrate_source(
        self,
        context: Context,
        *,
        instance: Instance,
        block_migration: bool | None,
        dest_check_data: dict[str, Any],
    ) -> dict[str, Any]:
        """Check what only the source knows; return the plan."""
        return self._driver.check_can_live_migrate_source(
            instance.uuid, dest_check_data, block_migration
        )

    def live_migration(self, context: Context, *, step: str) -> None:
        """Move the guest."""
        self._runner.wake(context, step)

    def pre_live_migration(
        self, context: Context, *, step: str
    ) -> dict[str, Any]:
        """Make ready; return when it is."""
        return self._runner.run_nested(context, step)

    def post_live_migration_at_destination(
        self, context: Context, *, step: str
    ) -> dict[str, Any]:
        """Take over; return when it has."""
        return self._runner.run_nested(context, step)

    def rollback_live_migration_at_destination(
        self, context: Context, *, step: str
    ) -> None:
        """Remove what was made ready."""
        self._runner.wake(context, step)

    def live_migration_abort(self, context: Context, *, step: str) -> None:
        """Stop the move."""
        self._runner.wake(context, step)

    def live_migration_force_complete(
        self, context: Context, *, step: str
    ) -> None:
        """Let the move end soon."""
        self._runner.wake(context, step)

    def guest_power_state(
        self, context: Context, *, instance_uuid: str
    ) -> int | None:
        """Ask the hypervisor."""
        guest = self._driver.guest(instance_uuid)
        if guest is None or guest.is_incoming:
            return None
        return int(guest.power)

    # -- consoles ------------------------------------------------------------

    def get_console_output(
        self, context: Context, *, instance_uuid: str, lines: int | None
    ) -> str:
        """Return what the guest said."""
        output = self._driver.console_output(
            instance_uuid, consoles.MAX_OUTPUT_BYTES
        )
        return consoles.decode_output(output, lines)

    def get_vnc_console(
        self, context: Context, *, instance_uuid: str
    ) -> dict[str, Any]:
        """Ask the hypervisor, and say who can go there."""
        return consoles.get_connect_info(self._driver.vnc(instance_uuid))

    # -- asked by an audit ---------------------------------------------------

    def list_host_contents(self, context: Context) -> list[HostArtifact]:
        """Ask the hypervisor and its disks."""
        return self._driver.list_host_contents()

    def destroy_unknown_guest(
        self, context: Context, *, instance_uuid: str, generation: int | None
    ) -> None:
        """Remove a guest and disks that no row stands for."""
        with self._runner.hold_idle_guest(instance_uuid):
            guest = self._driver.guest(instance_uuid)
            if (guest and guest.generation) != generation:
                raise exception.Stale(
                    what=f'Guest {instance_uuid} on {self._host}',
                    holder='what was seen of it',
                )
            LOG.warning(
                '%s is removed from %s: the database does not know it, and '
                'an operator asked for it.',
                instance_uuid,
                self._host,
            )
            self._driver.destroy(instance_uuid)
            self._driver.remove_disks(instance_uuid)
            self._driver.discard_disks(instance_uuid)
