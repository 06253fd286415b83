# SPDX-License-Identifier: Apache-2.0
"""Create: an instance comes into being.

= ======================== ========= ===================== ==================
# step                     where     task states           taken back by
= ======================== ========= ===================== ==================
1 build_instances          conductor scheduling            releasing the room
2 build_and_run_instance   the host  networking,           unbuild_instance
                                     block_device_mapping,
                                     spawning
= ======================== ========= ===================== ==================

A host that fails is cleaned and another is tried, ``[scheduler]
max_attempts`` in all; then the instance is in error.
"""

from minova import exception
from minova.conf import CONF
from minova.exception import serialization
from minova.flows import power_actions
from minova.flows.base import ComputeStep
from minova.flows.base import ConductorStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import JsonDict
from minova.flows.base import Scheduler
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.notifications import payload
from minova.objects import operation as records
from minova.objects.operation_params import CreateParams

# -- in a conductor ----------------------------------------------------------


class BuildInstances(ConductorStep):
    """Choose a host and claim room there."""

    method = 'build_instances'

    def run(
        self, uow: UnitOfWork, scheduler: Scheduler, prechecked: JsonDict
    ) -> JsonDict:
        """Make the chosen host the owner."""
        params = CreateParams.narrow(uow.operation.params)
        selected = scheduler.select_host(
            uow,
            uow.instance.flavor,
            consumer=uow.instance.uuid,
            requested_host=params.host,
            availability_zone=params.availability_zone,
            excluded_hosts=tuple(uow.step.args.get('excluded', ())),
        )
        uow.update_instance(
            host=selected.host,
            node=selected.hypervisor_hostname,
            availability_zone=selected.availability_zone,
        )
        uow.enqueue(BuildAndRunInstance, host=selected.host)
        return {'host': selected.host}

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Let the host go."""
        if step.result:
            uow.release(step.result['host'])
            uow.update_instance(host=None, node=None)


# -- on the host -------------------------------------------------------------


class UnbuildInstance(ComputeStep):
    """Remove whatever a failed build has left."""

    method = 'unbuild_instance'
    retry_until_done = True

    def run(self, ctx: StepContext) -> JsonDict:
        """Remove guest and disks."""
        ctx.driver.destroy(ctx.instance.uuid)
        ctx.driver.remove_disks(ctx.instance.uuid)
        return {}


class BuildAndRunInstance(ComputeStep):
    """Make the disks and the guest, and start it."""

    method = 'build_and_run_instance'
    undo = UnbuildInstance
    fail_at_deadline = True

    def on_start(self, uow: UnitOfWork) -> None:
        """Tell; networks are the database's, and there are no volumes.

        What takes time is all ``spawning``: the image, disks and guest.
        """
        params = CreateParams.narrow(uow.operation.params)
        uow.emit_start('create', image_name=params.image_name)
        uow.set_task_state('networking')
        uow.set_task_state('block_device_mapping')
        uow.set_task_state('spawning')

    def run(self, ctx: StepContext) -> JsonDict:
        """Make what is missing.

        A host that gives each guest a config drive says so in the result:
        the guest has one from then on, wherever it is moved.
        """
        if CONF.compute.force_config_drive:
            ctx.instance.config_drive = True
        ctx.driver.create_disks(ctx.spec(fetch_kernel=True), ctx.fetch_image())
        power_actions.power_on(ctx)
        drive = {'config_drive': ctx.instance.config_drive}
        return power_actions.read_power_state(ctx) | drive

    def on_success(self, uow: UnitOfWork, result: JsonDict) -> None:
        """The instance is the user's now."""
        uow.update_instance(launched_at=uow.now, **result)
        uow.finish()
        uow.emit_end(
            'create',
            message='Success',
            fixed_ips=payload.fixed_ips(uow.instance),
        )

    def on_failure(self, uow: UnitOfWork, error: Error) -> None:
        """Tell of this host's failure; there may be another host."""
        uow.emit_error('create', error)


# -- the story ---------------------------------------------------------------


class Create(Flow):
    """Find a host and make the guest there."""

    params_class = CreateParams
    steps = (BuildInstances, BuildAndRunInstance, UnbuildInstance)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Let a conductor choose."""
        uow.enqueue(BuildInstances)

    def on_unwound(self, uow: UnitOfWork, error: Error) -> None:
        """Try another host, unless that cannot help."""
        tries = [
            step
            for step in uow.steps()
            if step.method == BuildAndRunInstance.method
        ]
        tried = [step.host for step in tries]
        hopeless = isinstance(error, exception.Refused)
        if hopeless or len(tried) >= CONF.scheduler.max_attempts:
            uow.fail(_explain_failure(error, tries))
        else:
            uow.restart()
            uow.enqueue(BuildInstances, excluded=tried)


def _explain_failure(error: Error, tries: list[records.Step]) -> Error:
    """Say of hosts that were tried why they failed, not that none is left."""
    if not tries or not isinstance(error, exception.NoValidHost):
        return error
    reasons = '; '.join(
        f'{step.host}: it was tried: {_reason(step)}' for step in tries
    )
    return exception.NoValidHost(
        reason=f'There are not enough hosts available: {reasons}'
    )


def _reason(step: records.Step) -> str:
    error = serialization.decode(step.error or {})
    # Of which server is known; a text that was given whole says it all.
    return str(error.message or error.kwargs.get('reason') or error)
