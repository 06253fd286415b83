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
from minova.exception import written
from minova.flows import power
from minova.flows.chain import Book
from minova.flows.chain import Decision
from minova.flows.chain import Desk
from minova.flows.chain import Error
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story
from minova.notifications import payload
from minova.objects import operation as records

# -- in a conductor ----------------------------------------------------------


class BuildInstances(Decision):
    """Choose a host and claim room there."""

    method = 'build_instances'

    def decides(self, book: Book, desk: Desk, advice: Facts) -> Facts:
        """Make the chosen host the owner."""
        params = book.operation.params
        choice = desk.place(
            book,
            book.instance.flavor,
            holder=book.instance.uuid,
            wanted=params.get('host'),
            zone=params.get('zone'),
            excluded=tuple(book.step.args.get('excluded', ())),
        )
        book.change(
            host=choice.host,
            node=choice.hypervisor_hostname,
            availability_zone=choice.availability_zone,
        )
        book.owe(BuildAndRunInstance, host=choice.host)
        return {'host': choice.host}

    def undone(self, book: Book, step: records.Step) -> None:
        """Let the host go."""
        if step.result:
            book.release(step.result['host'])
            book.change(host=None, node=None)


# -- on the host -------------------------------------------------------------


class UnbuildInstance(HostStep):
    """Remove whatever a failed build has left."""

    method = 'unbuild_instance'
    insists = True

    def work(self, job: Job) -> Facts:
        """Remove guest and disks."""
        job.driver.remove(job.instance.uuid)
        job.driver.remove_disks(job.instance.uuid)
        return {}


class BuildAndRunInstance(HostStep):
    """Make the disks and the guest, and start it."""

    method = 'build_and_run_instance'
    undo = UnbuildInstance
    abandons = True

    def begins(self, book: Book) -> None:
        """Tell; networks are the database's, and there are no volumes.

        What takes time is all ``spawning``: the image, disks and guest.
        """
        image_name = book.operation.params.get('image_name', '')
        book.open('create', image_name=image_name)
        book.task('networking')
        book.task('block_device_mapping')
        book.task('spawning')

    def work(self, job: Job) -> Facts:
        """Make what is missing.

        A host that gives each guest a config drive says so in the result:
        the guest has one from then on, wherever it is moved.
        """
        if CONF.compute.force_config_drive:
            job.instance.config_drive = True
        job.driver.create_disks(job.spec(fetched=True), job.image())
        power.switch_on(job)
        drive = {'config_drive': job.instance.config_drive}
        return power.state(job) | drive

    def ends(self, book: Book, result: Facts) -> None:
        """The instance is the user's now."""
        book.change(launched_at=book.now, **result)
        book.finish()
        book.close(
            'create',
            message='Success',
            fixed_ips=payload.fixed_ips(book.instance),
        )

    def fails(self, book: Book, error: Error) -> None:
        """Tell of this host's failure; there may be another host."""
        book.broke('create', error)


# -- the story ---------------------------------------------------------------


class Create(Story):
    """Find a host and make the guest there."""

    steps = (BuildInstances, BuildAndRunInstance, UnbuildInstance)

    def starts(self, book: Book) -> None:
        """Let a conductor choose."""
        book.owe(BuildInstances)

    def unwound(self, book: Book, error: Error) -> None:
        """Try another host, unless that cannot help."""
        tries = [
            step
            for step in book.steps()
            if step.method == BuildAndRunInstance.method
        ]
        tried = [step.host for step in tries]
        hopeless = isinstance(error, exception.Refused)
        if hopeless or len(tried) >= CONF.scheduler.max_attempts:
            book.fail(_told_why(error, tries))
        else:
            book.try_again()
            book.owe(BuildInstances, excluded=tried)


def _told_why(error: Error, tries: list[records.Step]) -> Error:
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
    error = written.decode(step.error or {})
    # Of which server is known; a text that was given whole says it all.
    return str(error.message or error.kwargs.get('reason') or error)
