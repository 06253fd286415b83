# SPDX-License-Identifier: Apache-2.0
"""The stories of one step: on one host, nobody else involved.

==================== ================== =========== =====================
operation            step               told        when it fails
==================== ================== =========== =====================
start                start_instance     power_on    as before
stop, stop_again     stop_instance      power_off   as before
pause, pause_again   pause_instance     pause       as before
unpause              unpause_instance   unpause     as before
suspend              suspend_instance   suspend     as before
resume               resume_instance    resume      as before
reboot_soft, _hard   reboot_instance    reboot      in error
==================== ================== =========== =====================

Told: update to the first task state by whoever began it; then at the host
``X.start``, the task states on the way, update to the new vm_state, ``X.end``.
"""

from oslo_log import log as logging

from minova import exception
from minova.flows import power
from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story
from minova.states import ON
from minova.states import Power

LOG = logging.getLogger(__name__)


class Simple(HostStep):
    """A step that is told as one span around its work."""

    span = ''

    def begins(self, book: Book) -> None:
        """Tell that it starts."""
        book.open(self.span)

    def ends(self, book: Book, result: Facts) -> None:
        """Note the power state, let go of the instance, tell."""
        book.change(**result)
        book.finish()
        book.close(self.span)


class StartInstance(Simple):
    """Switch the guest on."""

    method = 'start_instance'
    span = 'power_on'

    def work(self, job: Job) -> Facts:
        """Define and start it; nothing when an earlier try did."""
        power.switch_on(job)
        return power.state_made(job, Power.RUNNING)


class StopInstance(Simple):
    """Switch the guest off."""

    method = 'stop_instance'
    span = 'power_off'

    def work(self, job: Job) -> Facts:
        """Ask the guest, then cut the power."""
        power.switch_off(job)
        return power.state_made(job, Power.SHUTDOWN)


class PauseInstance(Simple):
    """Stop the guest's processors."""

    method = 'pause_instance'
    span = 'pause'

    def work(self, job: Job) -> Facts:
        """Pause it."""
        job.driver.pause(job.instance.uuid)
        return power.state_made(job, Power.PAUSED)


class UnpauseInstance(Simple):
    """Let the guest's processors go on."""

    method = 'unpause_instance'
    span = 'unpause'

    def work(self, job: Job) -> Facts:
        """Unpause it."""
        job.driver.unpause(job.instance.uuid)
        return power.state_made(job, Power.RUNNING)


class SuspendInstance(Simple):
    """Save the guest's memory to disk and switch it off."""

    method = 'suspend_instance'
    span = 'suspend'

    def work(self, job: Job) -> Facts:
        """Suspend it; nothing when an earlier try did.

        An error may hide that it is being saved, which goes on without us:
        the guest is paused for it.
        """
        try:
            job.driver.suspend(job.instance.uuid)
        except exception.GuestFailed as error:
            seen, saved = _look(job, error)
            if seen is Power.PAUSED:
                raise _unsettled(job, error) from error
            if not saved:
                raise
        return power.state_made(job, Power.SHUTDOWN)


class ResumeInstance(Simple):
    """Let the guest go on where it was suspended."""

    method = 'resume_instance'
    span = 'resume'

    def work(self, job: Job) -> Facts:
        """Resume it; without anything to go on from, start it anew.

        What is saved and cannot be used is not dropped: that the host lacks
        memory just now is no reason to lose the guest's.
        """
        uuid = job.instance.uuid
        guest = job.driver.guest(uuid)
        on = guest is not None and guest.power in ON
        if on or job.driver.has_saved(uuid):
            _go_on(job)
        else:
            _start_anew(job)
        return power.state_made(job, Power.RUNNING)


def _go_on(job: Job) -> None:
    try:
        job.driver.resume(job.instance.uuid)
    except exception.GuestFailed as error:
        seen, saved = _look(job, error)
        if seen in ON:
            raise _unsettled(job, error) from error
        kept = (
            ', which is kept: resume it again, or reboot it hard, which drops '
            'that memory and starts it anew'
        )
        raise exception.GuestFailed(
            instance_id=job.instance.uuid,
            reason='it cannot go on from its saved memory'
            f'{kept if saved else ""} ({error})',
        ) from error


def _start_anew(job: Job) -> None:
    LOG.warning(
        'Nothing is left on %s of what was saved of the memory of guest %s; '
        'it is started anew.',
        job.host,
        job.instance.uuid,
    )
    try:
        power.switch_on(job)
    except exception.GuestFailed as error:
        seen, _ = _look(job, error)
        if seen in ON:
            raise _unsettled(job, error) from error
        raise


def _look(
    job: Job, trouble: exception.GuestFailed
) -> tuple[Power | None, bool]:
    """Return what has become of a guest, and whether memory is saved.

    Raises Unsettled when the hypervisor does not answer.
    """
    try:
        guest = job.driver.guest(job.instance.uuid)
        saved = job.driver.has_saved(job.instance.uuid)
    except exception.GuestFailed as error:
        raise _unsettled(job, trouble) from error
    return (guest.power if guest else None), saved


def _unsettled(job: Job, trouble: Exception) -> exception.Unsettled:
    """Return the error after which the step is tried again."""
    return exception.Unsettled(
        instance_id=job.instance.uuid,
        operation=job.kind,
        reason=str(trouble),
    )


class RebootInstance(Simple):
    """Restart the guest: softly if asked and possible, else hard."""

    method = 'reboot_instance'
    span = 'reboot'

    def begins(self, book: Book) -> None:
        """Tell that it starts."""
        super().begins(book)
        book.task(_task(book, 'reboot_pending'))

    def work(self, job: Job) -> Facts:
        """Restart; the number of the boot that ends is saved before."""
        if 'started' in job.passed:
            boot = job.passed['started']['boot']
        else:
            guest = job.driver.guest(job.instance.uuid)
            boot = guest.boot if guest else None
            job.save('started', boot=boot)
        if job.kind != 'reboot_soft' or not power.reboot_soft(job, boot):
            power.reboot_hard(job)
        return power.state(job)

    def saved(self, book: Book, milestone: str, facts: Facts) -> None:
        """Tell that the guest is asked now."""
        book.task(_task(book, 'reboot_started'))


def _task(book: Book, task_state: str) -> str:
    hard = book.operation.kind == 'reboot_hard'
    return f'{task_state}_hard' if hard else task_state


class OnHost(Story):
    """A story whose only step runs where the instance is."""

    def starts(self, book: Book) -> None:
        """Let the instance's host do it."""
        (step,) = self.steps
        book.owe(step, host=book.instance.host)


class Start(OnHost):
    """Switch on."""

    steps = (StartInstance,)


class Stop(OnHost):
    """Switch off."""

    steps = (StopInstance,)


class Pause(OnHost):
    """Pause."""

    steps = (PauseInstance,)


class Unpause(OnHost):
    """Go on."""

    steps = (UnpauseInstance,)


class Suspend(OnHost):
    """Save to disk."""

    steps = (SuspendInstance,)


class Resume(OnHost):
    """Go on from there."""

    steps = (ResumeInstance,)


class Reboot(OnHost):
    """Restart."""

    steps = (RebootInstance,)


class PowerSync(Story):
    """Take over what was done to a guest behind our back."""

    def starts(self, book: Book) -> None:
        """Correct the row; there is nothing to do on the host."""
        book.change(power_state=book.operation.params['power_state'])
        book.correct(book.operation.params['vm_state'])
