# SPDX-License-Identifier: Apache-2.0
"""Rescue: a guest starts from another system, to repair its own.

=========== ====================== ========== ==========================
operation   step                   where      taken back by
=========== ====================== ========== ==========================
rescue      rescue_instance        the host   undo_rescue_instance
unrescue    unrescue_instance      the host   undo_unrescue_instance
=========== ====================== ========== ==========================

The rescue disk is made of an image while the guest still is what it was; only
then the guest goes off and starts from it, its own disks beside. On the way
back the rescue disk is removed once the guest runs from its own again: until
then there is a way back to the rescue.
"""

from typing import TYPE_CHECKING

from minova import exception
from minova.flows import power
from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story
from minova.notifications import payload
from minova.objects.instance import Instance
from minova.states import ON
from minova.states import Power

if TYPE_CHECKING:
    from minova.virt.driver import Spec


def _image(params: Facts, instance: Instance) -> Facts:
    """Return what is known of the rescue image; by default its own."""
    found: Facts | None = params.get('rescue')
    return found or {
        'image_id': instance.image_ref,
        'name': instance.image_ref,
        'disk_format': instance.image_meta.get('disk_format'),
    }


def _rescue_spec(job: Job) -> 'Spec':
    return job.spec(rescue=_image(job.params, job.instance))


def _let_be(job: Job, spec: 'Spec', asked: bool = False) -> None:
    """Let a guest be again as ``spec`` says, on if it was on.

    One that runs and was not defined by this operation was not touched yet,
    unless it was ``asked`` to go off: then it would, a little later.
    """
    guest = job.driver.guest(spec.uuid)
    was_on = job.args['was_on']
    if guest is None and not was_on:
        return
    if (
        guest is not None
        and guest.power in ON
        and not asked
        and not job.is_mine(guest.generation)
    ):
        return
    job.driver.power_off(spec.uuid)
    if was_on:
        power.start_as(job, spec)
    else:
        job.driver.define(spec)


class UndoRescueInstance(HostStep):
    """Let a guest that could not be rescued be as it was."""

    method = 'undo_rescue_instance'
    insists = True

    def work(self, job: Job) -> Facts:
        """Define and start it as its own; remove the rescue disk."""
        _let_be(job, job.spec())
        job.driver.remove_rescue_disk(job.instance.uuid)
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """Note that it runs, or is off as it was."""
        book.change(**result)


class RescueInstance(HostStep):
    """Start the guest from a disk that is made of the rescue image."""

    method = 'rescue_instance'
    undo = UndoRescueInstance

    def begins(self, book: Book) -> None:
        """Tell what exists until now, and that it will change."""
        book.tell('exists')
        book.open('rescue', **self._extras(book))

    def work(self, job: Job) -> Facts:
        """Make the disk; switch the guest off, and on from it."""
        if not power.was_started(job):
            spec = _rescue_spec(job)
            assert spec.rescue is not None
            if not job.driver.has_disks(spec.uuid):
                raise exception.DiskFailed(
                    instance_id=spec.uuid,
                    reason=f'its disks are not on {job.host}, so there is '
                    'nothing to rescue',
                )
            image = job.image(spec.rescue['image_id'])
            job.driver.create_rescue_disk(spec, image)
            power.switch_off(job)
            power.start_as(job, spec)
        return power.state_made(job, Power.RUNNING)

    def ends(self, book: Book, result: Facts) -> None:
        """It is rescued; consumers count from now."""
        book.change(launched_at=book.now, **result)
        book.finish()
        book.close('rescue', **self._extras(book))

    def _extras(self, book: Book) -> Facts:
        image = _image(book.operation.params, book.instance)
        return {
            'rescue_image_name': image['name'],
            'fixed_ips': payload.fixed_ips(book.instance),
        }


class UndoUnrescueInstance(HostStep):
    """Let a guest that did not start from its own disk be rescued again."""

    method = 'undo_unrescue_instance'
    insists = True

    def work(self, job: Job) -> Facts:
        """Define and start it from the rescue disk, which is still there.

        Anew, since the first thing that was done was to ask it to go off.
        """
        _let_be(job, _rescue_spec(job), asked=True)
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """Note that it runs, or is off as it was."""
        book.change(**result)


class UnrescueInstance(HostStep):
    """Start the guest from its own disk, and remove the rescue disk."""

    method = 'unrescue_instance'
    undo = UndoUnrescueInstance
    no_return = 'started'

    def begins(self, book: Book) -> None:
        """Tell that it starts."""
        book.open('unrescue', fixed_ips=payload.fixed_ips(book.instance))

    def work(self, job: Job) -> Facts:
        """Switch it off, and on from its own disk."""
        if 'started' not in job.passed:
            if not power.was_started(job):
                power.switch_off(job)
                power.start_as(job, job.spec())
            job.save('started')
        job.driver.remove_rescue_disk(job.instance.uuid)
        return power.state_made(job, Power.RUNNING)

    def ends(self, book: Book, result: Facts) -> None:
        """It is its own again."""
        book.change(**result)
        book.finish()
        book.close('unrescue', fixed_ips=payload.fixed_ips(book.instance))


class Rescue(Story):
    """Let the guest start from another system."""

    steps = (RescueInstance, UndoRescueInstance)

    def starts(self, book: Book) -> None:
        """Let the instance's host do it."""
        _owe(book, RescueInstance)


class Unrescue(Story):
    """Let the guest start from its own system again."""

    steps = (UnrescueInstance, UndoUnrescueInstance)

    def starts(self, book: Book) -> None:
        """Let the instance's host do it."""
        _owe(book, UnrescueInstance)


def _owe(book: Book, step: type[HostStep]) -> None:
    """Let the host do a step, which knows whether the guest is on."""
    was_on = book.instance.power_state in ON
    book.owe(step, host=book.instance.host, was_on=was_on)
