# SPDX-License-Identifier: Apache-2.0
"""Switching a guest on and off, as several stories need it."""

from typing import TYPE_CHECKING

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.flows.chain import Facts
from minova.flows.chain import Job
from minova.states import Power

if TYPE_CHECKING:
    from minova.virt.driver import Spec

LOG = logging.getLogger(__name__)

_OFF = (Power.SHUTDOWN, Power.CRASHED, Power.NOSTATE)
#: Seconds between two looks at a guest that was asked for something.
_LOOK = 0.2


def state(job: Job) -> Facts:
    """Return the guest's power state as a step's result has it."""
    guest = job.driver.guest(job.instance.uuid)
    power = guest.power if guest else Power.NOSTATE
    return {'power_state': int(power)}


def state_made(job: Job, made: Power) -> Facts:
    """Return what ``state`` does of a guest that was brought to ``made``.

    A hypervisor that has done it and then does not answer has still done it.
    """
    try:
        return state(job)
    except exception.GuestFailed as error:
        LOG.warning(
            'Guest %s is taken to be %s, as it was told: %s',
            job.instance.uuid,
            made.name,
            error,
        )
        return {'power_state': int(made)}


def switch_off(job: Job) -> None:
    """Switch the guest off: ask it first, then insist."""
    uuid = job.instance.uuid
    guest = job.driver.guest(uuid)
    if guest is None or guest.power in _OFF:
        return
    if guest.power is Power.RUNNING:
        job.driver.shutdown(uuid)
        if _wait_until_off(job, CONF.compute.shutdown_timeout):
            return
        LOG.info(
            'Guest %s did not switch itself off within %s s; power is cut.',
            uuid,
            CONF.compute.shutdown_timeout,
        )
    job.driver.power_off(uuid)


def _wait_until_off(job: Job, seconds: float) -> bool:
    waited = 0.0
    while True:
        guest = job.driver.guest(job.instance.uuid)
        if guest is None or guest.power in _OFF:
            return True
        if waited >= seconds:
            return False
        job.wait(_LOOK)
        waited += _LOOK


def switch_on(job: Job) -> None:
    """Define the guest from what the database says and start it.

    What the hypervisor remembers of the guest is replaced. Missing disks are
    made again before. Raises GuestFailed; no half-made guest is left.
    """
    spec = job.spec()
    if not job.driver.has_disks(spec.uuid) and job.driver.has_aside(spec.uuid):
        # What a move that ended badly has left here.
        LOG.warning('The disks of guest %s were set aside.', spec.uuid)
        job.driver.take_back(spec.uuid)
    if not job.driver.has_disks(spec.uuid):
        LOG.warning('The disks of guest %s are missing; made anew.', spec.uuid)
        job.driver.create_disks(job.spec(fetched=True), job.image())
    elif spec.config_drive is not None:
        # The root disk is there, so no image is needed for what is not.
        job.driver.create_disks(spec, None)
    start_as(job, spec)


def start_as(job: Job, spec: 'Spec') -> None:
    """Define a guest that is off as ``spec`` says, and start it."""
    job.driver.define(spec)
    job.driver.start(spec.uuid)
    _require_running(job)


def _require_running(job: Job) -> None:
    guest = job.driver.guest(job.instance.uuid)
    if guest is None or guest.power is not Power.RUNNING:
        was = guest.power.name if guest else 'unknown to the hypervisor'
        raise exception.GuestFailed(
            instance_id=job.instance.uuid,
            reason=f'it was started and is {was}',
        )


def was_started(job: Job) -> bool:
    """Tell whether the guest runs as an earlier start of the step left it.

    It is defined only while it is off: one that runs and was defined by this
    operation runs as this operation wants it.
    """
    guest = job.driver.guest(job.instance.uuid)
    return (
        job.resumed
        and guest is not None
        and guest.power is Power.RUNNING
        and job.is_mine(guest.generation)
    )


def reboot_hard(job: Job) -> None:
    """Cut the power and start the guest as the database describes it.

    What was saved of its memory, of one that is suspended, is dropped.
    """
    if was_started(job):
        return
    job.driver.power_off(job.instance.uuid)
    switch_on(job)


def reboot_soft(job: Job, boot: int | None) -> bool:
    """Let the guest restart by itself; False when it did not.

    ``boot`` is the number of the boot that is to end. Whatever goes wrong is
    no error: the caller cuts the power then.
    """
    uuid = job.instance.uuid
    try:
        guest = job.driver.guest(uuid)
        if guest is None or guest.power is not Power.RUNNING:
            # Only a restart of ours may find it off: it obeyed meanwhile.
            return job.resumed and _start_again(job)
        if guest.boot != boot:
            return True
        job.driver.shutdown(uuid)
        return _watch_restart(job, boot)
    except exception.GuestFailed as error:
        trouble = error
    LOG.warning('Soft reboot of %s failed, going on hard: %s', uuid, trouble)
    return False


def _watch_restart(job: Job, boot: int | None) -> bool:
    waited = 0.0
    while waited < CONF.compute.wait_soft_reboot_seconds:
        guest = job.driver.guest(job.instance.uuid)
        if guest is None:
            return False
        if guest.power in _OFF:
            return _start_again(job)
        if guest.power is Power.RUNNING and guest.boot != boot:
            return True
        job.wait(_LOOK)
        waited += _LOOK
    LOG.info('Guest %s did not restart by itself.', job.instance.uuid)
    return False


def _start_again(job: Job) -> bool:
    if job.driver.guest(job.instance.uuid) is None:
        return False
    job.driver.start(job.instance.uuid)
    _require_running(job)
    return True
