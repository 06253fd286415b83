# SPDX-License-Identifier: Apache-2.0
"""Delete and force-delete: an instance goes, whatever else is going on.

= ==================== ========= =============================================
# step                 where     what
= ==================== ========= =============================================
1 terminate_instance   the host  removes guest and disks; with the host down
                                 the database goes first and 2 is owed
2 put_away             any host  removes what is there of an instance that is
                                 not this host's: preempted moves, old sources
= ==================== ========= =============================================

Force-delete changes the database alone, at once, and owes 2 to every host.
Nobody waits for 2: the host does it when it can.

What was preempted may still be at work on the owner's host for a moment and
reach out to another one (a disk handed over, a guest that moves). So the
others put away what they have at once, and again when the owner's host has
removed the guest, which it does only after that work has ended.
"""

from minova import states
from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.flows.chain import Job
from minova.flows.chain import Story


class PutAway(HostStep):
    """Remove what a host has of an instance that is not its own."""

    method = 'put_away'
    insists = True
    can_wait = True

    def work(self, job: Job) -> Facts:
        """Remove guest and disks, unless the instance has come here.

        Then only, with the argument ``aside``, the disks of a way back that
        is closed.
        """
        instance = job.instance
        gone = instance.vm_state == states.DELETED
        if gone or instance.host != job.host:
            _remove(job)
        elif job.args.get('aside') and instance.vm_state != states.RESIZED:
            job.driver.drop_aside(instance.uuid)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """Give back the room that what was removed took."""
        instance, host = book.instance, str(book.step.host)
        if instance.vm_state == states.DELETED or instance.host != host:
            book.release(host)
        _then(book)


class TerminateInstance(HostStep):
    """Remove the guest and its disks."""

    method = 'terminate_instance'
    insists = True

    def begins(self, book: Book) -> None:
        """Tell that it goes."""
        book.open('delete')
        book.open('shutdown')

    def work(self, job: Job) -> Facts:
        """Remove everything."""
        _remove(job)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """It is gone."""
        book.release(str(book.step.host))
        _gone(book)
        _then(book)

    def host_is_down(self, book: Book) -> bool:
        """Delete it in the database; the host removes the guest later."""
        if book.step.started_at is None:
            self.begins(book)
        _leave_to(book, str(book.step.host), then=_again(book))
        _gone(book)
        return True


def _remove(job: Job) -> None:
    uuid = job.instance.uuid
    job.driver.remove(uuid)
    job.driver.remove_disks(uuid)
    job.driver.drop_aside(uuid)


def _gone(book: Book) -> None:
    book.close('shutdown')
    book.release_ports()
    book.change(
        terminated_at=book.now,
        deleted_at=book.now,
        power_state=int(states.Power.NOSTATE),
        progress=None,
    )
    book.end_consoles()
    book.finish()
    book.close('delete')


def _leave_to(
    book: Book, host: str, then: list[str] | None = None, aside: bool = False
) -> None:
    book.owe(PutAway, host=host, detached=True, then=then or [], aside=aside)


def _then(book: Book) -> None:
    """Have the hosts look again that the ended step names."""
    for host in book.step.args['then']:
        _leave_to(book, host)


def _in_database(book: Book) -> None:
    """Delete the instance without asking its host."""
    book.open('delete')
    book.open('shutdown')
    if book.instance.host is not None:
        _leave_to(book, book.instance.host, then=_again(book))
    _gone(book)


def _others(book: Book) -> list[str]:
    """Return the other hosts that have something of the instance."""
    others = book.operation.params['others']
    return [host for host in others if host != book.instance.host]


def _again(book: Book) -> list[str]:
    """Return the other hosts that preempted work may still reach."""
    return _others(book) if book.operation.params['preempted'] else []


class Delete(Story):
    """Remove the guest, then the instance."""

    steps = (TerminateInstance, PutAway)

    def starts(self, book: Book) -> None:
        """Let the host do it, or, with the host down, do without."""
        for host in _others(book):
            _leave_to(book, host)
        if book.instance.host is None or book.operation.params['host_down']:
            _in_database(book)
        else:
            book.owe(
                TerminateInstance, host=book.instance.host, then=_again(book)
            )


class ForceDelete(Story):
    """Remove the instance; the guest goes when its host can."""

    steps = (PutAway,)

    def starts(self, book: Book) -> None:
        """It is gone for the user at once."""
        for host in _others(book):
            _leave_to(book, host)
        _in_database(book)


class Clear(Story):
    """Remove a guest that a host has and should not have."""

    steps = (PutAway,)

    def starts(self, book: Book) -> None:
        """Let the host remove it; of its own, with ``aside``, only that."""
        params = book.operation.params
        aside = bool(params.get('aside'))
        _leave_to(book, params['host'], aside=aside)
