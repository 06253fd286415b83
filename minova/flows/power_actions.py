# SPDX-License-Identifier: Apache-2.0
"""Power actions on a guest, which several flows share."""

from typing import TYPE_CHECKING

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.flows.base import StepContext
from minova.objects.step_results import GuestState
from minova.states import PowerState

if TYPE_CHECKING:
    from minova.virt.driver import GuestSpec

LOG = logging.getLogger(__name__)

_OFF = (PowerState.SHUTDOWN, PowerState.CRASHED, PowerState.NOSTATE)
#: Seconds between two polls of a guest that shuts down.
_POLL_INTERVAL = 0.2


def read_power_state(ctx: StepContext) -> GuestState:
    """Return the guest's power state as the result of a step."""
    guest = ctx.driver.guest(ctx.instance.uuid)
    power = guest.power if guest else PowerState.NOSTATE
    return GuestState(power_state=int(power))


def is_on(ctx: StepContext) -> bool:
    """Tell whether the guest is on, paused or not, on this host."""
    guest = ctx.driver.guest(ctx.instance.uuid)
    return guest is not None and guest.is_on


def unchanged_power_state(ctx: StepContext) -> GuestState:
    """Return the power state that the database has of an untouched guest."""
    return GuestState(power_state=ctx.instance.power_state)


def power_state_or(ctx: StepContext, expected: PowerState) -> GuestState:
    """Return the guest's power state, or ``expected`` without an answer.

    The hypervisor has already confirmed the action that led to it.
    """
    try:
        return read_power_state(ctx)
    except exception.GuestFailed as error:
        LOG.warning(
            'Guest %s: power state unknown, assuming %s: %s',
            ctx.instance.uuid,
            expected.name,
            error,
        )
        return GuestState(power_state=int(expected))


def power_off(ctx: StepContext) -> None:
    """Shut the guest down; power it off after ``shutdown_timeout``."""
    uuid = ctx.instance.uuid
    guest = ctx.driver.guest(uuid)
    if guest is None or guest.power in _OFF:
        return
    if guest.power is PowerState.RUNNING:
        ctx.driver.shutdown(uuid)
        if _wait_until_off(ctx, CONF.compute.shutdown_timeout):
            return
        LOG.warning(
            'Guest %s did not shut down within %s s; powering it off',
            uuid,
            CONF.compute.shutdown_timeout,
        )
    ctx.driver.power_off(uuid)


def _wait_until_off(ctx: StepContext, seconds: float) -> bool:
    waited = 0.0
    while True:
        guest = ctx.driver.guest(ctx.instance.uuid)
        if guest is None or guest.power in _OFF:
            return True
        if waited >= seconds:
            return False
        ctx.wait(_POLL_INTERVAL)
        waited += _POLL_INTERVAL


def power_on(ctx: StepContext) -> None:
    """Define the guest from the database and start it.

    Replaces the definition that the hypervisor has, and creates missing disks
    before. Raises GuestFailed; leaves no partial guest.
    """
    spec = ctx.spec()
    if not ctx.driver.has_disks(spec.uuid) and ctx.driver.has_retained_disks(
        spec.uuid
    ):
        # A failed resize has left them.
        LOG.warning('Guest %s: restoring its retained disks', spec.uuid)
        ctx.driver.restore_disks(spec.uuid)
    if not ctx.driver.has_disks(spec.uuid):
        LOG.warning('Guest %s: disks missing; creating them', spec.uuid)
        ctx.driver.create_disks(ctx.spec(fetch_kernel=True), ctx.fetch_image())
    elif spec.config_drive is not None:
        # Interfaces and metadata may have changed since it was made.
        ctx.driver.refresh_config_drive(spec)
    define_and_start(ctx, spec)


def define_and_start(ctx: StepContext, spec: 'GuestSpec') -> None:
    """Define a guest that is off, and start it."""
    ctx.driver.define(spec)
    ctx.driver.start(spec.uuid)
    _require_running(ctx)


def _require_running(ctx: StepContext) -> None:
    guest = ctx.driver.guest(ctx.instance.uuid)
    if guest is None or guest.power is not PowerState.RUNNING:
        was = guest.power.name if guest else 'unknown to the hypervisor'
        raise exception.GuestFailed(
            instance_id=ctx.instance.uuid,
            reason=f'its power state is {was} after its start',
        )


def is_already_started(ctx: StepContext) -> bool:
    """Tell whether an earlier attempt of the step has started the guest.

    A guest is defined only while it is off. Hence a running guest that this
    operation has defined runs with the definition that the operation wants.
    """
    guest = ctx.driver.guest(ctx.instance.uuid)
    return (
        ctx.is_resumed
        and guest is not None
        and guest.power is PowerState.RUNNING
        and ctx.is_current_generation(guest.generation)
    )


def reboot_hard(ctx: StepContext) -> None:
    """Power the guest off and start it from the database.

    Drops the saved memory of a suspended guest.
    """
    if is_already_started(ctx):
        return
    ctx.driver.power_off(ctx.instance.uuid)
    power_on(ctx)


def reboot_soft(ctx: StepContext, boot: int | None) -> bool:
    """Let the guest restart by itself; False when it did not.

    ``boot`` is the number of the boot that is to end. An error of the
    hypervisor is logged, not raised: the caller then reboots hard.
    """
    uuid = ctx.instance.uuid
    try:
        guest = ctx.driver.guest(uuid)
        if guest is None or guest.power is not PowerState.RUNNING:
            # It shut down while this service was restarting.
            return ctx.is_resumed and _restart(ctx)
        if guest.boot != boot:
            return True
        ctx.driver.shutdown(uuid)
        return _wait_for_restart(ctx, boot)
    except exception.GuestFailed as error:
        trouble = error
    LOG.warning(
        'Guest %s: soft reboot failed, rebooting hard: %s', uuid, trouble
    )
    return False


def _wait_for_restart(ctx: StepContext, boot: int | None) -> bool:
    waited = 0.0
    while waited < CONF.compute.wait_soft_reboot_seconds:
        guest = ctx.driver.guest(ctx.instance.uuid)
        if guest is None:
            return False
        if guest.power in _OFF:
            return _restart(ctx)
        if guest.power is PowerState.RUNNING and guest.boot != boot:
            return True
        ctx.wait(_POLL_INTERVAL)
        waited += _POLL_INTERVAL
    LOG.warning(
        'Guest %s did not restart by itself within %s s; rebooting hard',
        ctx.instance.uuid,
        CONF.compute.wait_soft_reboot_seconds,
    )
    return False


def _restart(ctx: StepContext) -> bool:
    if ctx.driver.guest(ctx.instance.uuid) is None:
        return False
    ctx.driver.start(ctx.instance.uuid)
    _require_running(ctx)
    return True
