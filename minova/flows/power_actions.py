# SPDX-License-Identifier: Apache-2.0
"""Switching a guest on and off, as several stories need it."""

from typing import TYPE_CHECKING

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.flows.base import JsonDict
from minova.flows.base import StepContext
from minova.states import PowerState

if TYPE_CHECKING:
    from minova.virt.driver import GuestSpec

LOG = logging.getLogger(__name__)

_OFF = (PowerState.SHUTDOWN, PowerState.CRASHED, PowerState.NOSTATE)
#: Seconds between two looks at a guest that was asked for something.
_POLL_INTERVAL = 0.2


def read_power_state(ctx: StepContext) -> JsonDict:
    """Return the guest's power state as a step's result has it."""
    guest = ctx.driver.guest(ctx.instance.uuid)
    power = guest.power if guest else PowerState.NOSTATE
    return {'power_state': int(power)}


def power_state_or(ctx: StepContext, expected: PowerState) -> JsonDict:
    """Return what ``state`` does of a guest that was brought to ``made``.

    A hypervisor that has done it and then does not answer has still done it.
    """
    try:
        return read_power_state(ctx)
    except exception.GuestFailed as error:
        LOG.warning(
            'Guest %s is taken to be %s, as it was told: %s',
            ctx.instance.uuid,
            expected.name,
            error,
        )
        return {'power_state': int(expected)}


def power_off(ctx: StepContext) -> None:
    """Switch the guest off: ask it first, then insist."""
    uuid = ctx.instance.uuid
    guest = ctx.driver.guest(uuid)
    if guest is None or guest.power in _OFF:
        return
    if guest.power is PowerState.RUNNING:
        ctx.driver.shutdown(uuid)
        if _wait_until_off(ctx, CONF.compute.shutdown_timeout):
            return
        LOG.info(
            'Guest %s did not switch itself off within %s s; power is cut.',
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
    """Define the guest from what the database says and start it.

    What the hypervisor remembers of the guest is replaced. Missing disks are
    made again before. Raises GuestFailed; no half-made guest is left.
    """
    spec = ctx.spec()
    if not ctx.driver.has_disks(spec.uuid) and ctx.driver.has_retained_disks(
        spec.uuid
    ):
        # What a move that ended badly has left here.
        LOG.warning('The disks of guest %s were set aside.', spec.uuid)
        ctx.driver.restore_disks(spec.uuid)
    if not ctx.driver.has_disks(spec.uuid):
        LOG.warning('The disks of guest %s are missing; made anew.', spec.uuid)
        ctx.driver.create_disks(ctx.spec(fetch_kernel=True), ctx.fetch_image())
    elif spec.config_drive is not None:
        # The root disk is there, so no image is needed for what is not.
        ctx.driver.create_disks(spec, None)
    define_and_start(ctx, spec)


def define_and_start(ctx: StepContext, spec: 'GuestSpec') -> None:
    """Define a guest that is off as ``spec`` says, and start it."""
    ctx.driver.define(spec)
    ctx.driver.start(spec.uuid)
    _require_running(ctx)


def _require_running(ctx: StepContext) -> None:
    guest = ctx.driver.guest(ctx.instance.uuid)
    if guest is None or guest.power is not PowerState.RUNNING:
        was = guest.power.name if guest else 'unknown to the hypervisor'
        raise exception.GuestFailed(
            instance_id=ctx.instance.uuid,
            reason=f'it was started and is {was}',
        )


def is_already_started(ctx: StepContext) -> bool:
    """Tell whether the guest runs as an earlier start of the step left it.

    It is defined only while it is off: one that runs and was defined by this
    operation runs as this operation wants it.
    """
    guest = ctx.driver.guest(ctx.instance.uuid)
    return (
        ctx.is_resumed
        and guest is not None
        and guest.power is PowerState.RUNNING
        and ctx.is_current_generation(guest.generation)
    )


def reboot_hard(ctx: StepContext) -> None:
    """Cut the power and start the guest as the database describes it.

    What was saved of its memory, of one that is suspended, is dropped.
    """
    if is_already_started(ctx):
        return
    ctx.driver.power_off(ctx.instance.uuid)
    power_on(ctx)


def reboot_soft(ctx: StepContext, boot: int | None) -> bool:
    """Let the guest restart by itself; False when it did not.

    ``boot`` is the number of the boot that is to end. Whatever goes wrong is
    no error: the caller cuts the power then.
    """
    uuid = ctx.instance.uuid
    try:
        guest = ctx.driver.guest(uuid)
        if guest is None or guest.power is not PowerState.RUNNING:
            # Only a restart of ours may find it off: it obeyed meanwhile.
            return ctx.is_resumed and _restart(ctx)
        if guest.boot != boot:
            return True
        ctx.driver.shutdown(uuid)
        return _wait_for_restart(ctx, boot)
    except exception.GuestFailed as error:
        trouble = error
    LOG.warning('Soft reboot of %s failed, going on hard: %s', uuid, trouble)
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
    LOG.info('Guest %s did not restart by itself.', ctx.instance.uuid)
    return False


def _restart(ctx: StepContext) -> bool:
    if ctx.driver.guest(ctx.instance.uuid) is None:
        return False
    ctx.driver.start(ctx.instance.uuid)
    _require_running(ctx)
    return True
