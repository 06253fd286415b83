# SPDX-License-Identifier: Apache-2.0
"""Create: the scheduler selects a host, which builds and starts the guest.

= ======================== ========= ===================== ==================
# step                     where     task states           undone by
= ======================== ========= ===================== ==================
1 build_instances          conductor scheduling            release of the claim
2 build_and_run_instance   the host  networking,           unbuild_instance
                                     block_device_mapping,
                                     spawning
= ======================== ========= ===================== ==================

When a host fails, its leftovers are removed and the scheduler selects another
one, up to ``[scheduler] max_attempts`` hosts; then the instance goes to error.
The removal of disks whose guest was never defined blocks no other host.
"""

from minova import exception
from minova.conf import CONF
from minova.flows import power_actions
from minova.flows import retries
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import Prechecked
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import checkpoints
from minova.objects import operation as records
from minova.objects.checkpoints import GuestUntouched
from minova.objects.operation_params import CreateParams
from minova.objects.step_args import NoArgs
from minova.objects.step_args import SelectHostArgs
from minova.objects.step_results import GuestBuilt
from minova.objects.step_results import HostSelected
from minova.objects.step_results import NoResult

# -- on a conductor ----------------------------------------------------------


class BuildInstances(ConductorStep[SelectHostArgs, HostSelected]):
    """Select a host and claim its resources."""

    method = 'build_instances'
    event_method = 'schedule_and_build_instances'

    def run(
        self,
        uow: UnitOfWork,
        scheduler: Scheduler,
        args: SelectHostArgs,
        prechecked: Prechecked,
    ) -> HostSelected:
        """Make the selected host the owner of the instance."""
        params = CreateParams.narrow(uow.operation.params)
        selected = scheduler.select_host(
            uow,
            uow.instance.flavor,
            consumer=uow.instance.uuid,
            requested_host=params.host,
            excluded_hosts=args.excluded_hosts,
        )
        uow.set_host(selected.host, selected.hypervisor_hostname)
        uow.enqueue(BuildAndRunInstance, NoArgs(), host=selected.host)
        return HostSelected(host=selected.host)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Release the claim on the host."""
        if step.result is not None:
            uow.release(HostSelected.narrow(step.result).host)
            uow.set_host(None, None)


# -- on the host -------------------------------------------------------------


class UnbuildInstance(ComputeStep[NoArgs, NoResult]):
    """Remove everything that a failed build has left."""

    method = 'unbuild_instance'
    retry_until_done = True

    def run(self, ctx: StepContext, args: NoArgs) -> NoResult:
        """Remove guest and disks; only disks of a guest that never was."""
        if ctx.find_checkpoint(GuestUntouched) is None:
            ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return NoResult()

    def is_deferrable(self, step: records.Step) -> bool:
        """Let another host build the guest if none can run on this one."""
        return checkpoints.find(step.checkpoints, GuestUntouched) is not None


class BuildAndRunInstance(ComputeStep[NoArgs, GuestBuilt]):
    """Create the disks and the guest, and start it."""

    method = 'build_and_run_instance'
    event_method = '_do_build_and_run_instance'
    undo = UnbuildInstance
    fail_at_deadline = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start, and pass through the task states of a build.

        The API has allocated the networks, and there are no volumes, so all
        the work on the host happens in ``spawning``.
        """
        params = CreateParams.narrow(uow.operation.params)
        uow.emit_start('create', image_name=params.image_name)
        uow.set_task_state('networking')
        uow.set_task_state('block_device_mapping')
        uow.set_task_state('spawning')

    def run(self, ctx: StepContext, args: NoArgs) -> GuestBuilt:
        """Create what is missing and start the guest.

        With ``[compute] force_config_drive`` of this host the guest gets a
        config drive, which it keeps on every host it migrates to.
        """
        # Fail before the download when the hypervisor does not answer.
        ctx.driver.guest(ctx.instance.uuid)
        if CONF.compute.force_config_drive:
            ctx.instance.config_drive = True
        ctx.driver.create_disks(ctx.spec(fetch_kernel=True), ctx.fetch_image())
        power_actions.power_on(ctx)
        return GuestBuilt(
            power_state=power_actions.read_power_state(ctx).power_state,
            config_drive=ctx.instance.config_drive,
        )

    def on_success(self, uow: UnitOfWork, result: GuestBuilt) -> None:
        """Release the instance to its user as active."""
        uow.update_instance(
            launched_at=uow.now,
            power_state=result.power_state,
            config_drive=result.config_drive,
        )
        uow.finish()
        uow.emit_end(
            'create',
            message='Success',
            fixed_ips=payload.fixed_ips(uow.instance),
        )

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Emit the failure of this host; another host may follow."""
        uow.emit_error('create', error)


# -- the flow ----------------------------------------------------------------


class Create(Flow):
    """Build an instance on a host that the scheduler selects."""

    params_class = CreateParams
    steps = (BuildInstances, BuildAndRunInstance, UnbuildInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the selection of a host."""
        uow.enqueue(BuildInstances, SelectHostArgs(excluded_hosts={}))

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another host, unless another host cannot help."""
        attempts = retries.list_attempts(uow, BuildAndRunInstance)
        refused = isinstance(error, exception.Refused)
        if refused or len(attempts) >= CONF.scheduler.max_attempts:
            uow.fail(error)
            return
        uow.restart()
        uow.enqueue(
            BuildInstances, retries.select_after(uow, attempts[-1], error)
        )
