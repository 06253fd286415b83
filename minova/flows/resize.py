# SPDX-License-Identifier: Apache-2.0
"""Resize and cold migration: a guest is off while it changes host or size.

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 migrate_server         conductor resize_prep       releasing the room
2 prep_resize            dest                        undo_prep_resize
3 resize_instance        source    resize_migrating, undo_resize_instance
                                   resize_migrated
4 finish_resize          dest      resize_finish     undo_finish_resize
= ====================== ========= ================= ======================

The source keeps the old guest's definition and, set aside, its disks, until
the user confirms or reverts:

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 confirm_resize         source                      no way back
= ====================== ========= ================= ======================

= ====================== ========= ================= ======================
# step                   where     task states       taken back by
= ====================== ========= ================= ======================
1 revert_resize          dest      resize_reverting  no way back
2 finish_revert_resize   source                      no way back
= ====================== ========= ================= ======================

A host that fails in ``prep_resize`` is left out and another is tried. From
the moment the guest is off it is either finished or taken back to the source,
the guest at the destination always removed before the old one is started.
"""

from typing import TYPE_CHECKING

from minova import clock
from minova import exception
from minova import states
from minova.conf import CONF
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
from minova.objects.flavor import Flavor

if TYPE_CHECKING:
    from minova.virt.driver import Progress

#: Seconds between two reports of how far the disks are.
_REPORT = 1.0


def _same_host(job: Job) -> bool:
    return job.migration.source_host == job.migration.dest_host


# -- in a conductor ----------------------------------------------------------


class MigrateServer(Decision):
    """Choose the destination and claim the new flavor's room there."""

    method = 'migrate_server'

    def decides(self, book: Book, desk: Desk, advice: Facts) -> Facts:
        """Begin, or begin anew, the record of the move."""
        instance, params = book.instance, book.operation.params
        resize = book.operation.kind == 'resize'
        flavor = Flavor.of(params['flavor']) if resize else instance.flavor
        source = str(instance.host)
        excluded = tuple(book.step.args.get('excluded', ()))
        if not (resize and CONF.scheduler.allow_resize_to_same_host):
            excluded += (source,)
        choice = desk.place(
            book,
            flavor,
            holder=book.operation.id,
            wanted=params.get('host'),
            excluded=excluded,
        )
        book.record_move(
            kind='resize' if resize else 'migration',
            status='pre-migrating',
            origin=instance.vm_state,
            source_host=source,
            source_node=str(instance.node),
            dest_host=choice.host,
            dest_node=choice.hypervisor_hostname,
            dest_ip=choice.address,
            old_flavor=instance.flavor,
            new_flavor=flavor,
        )
        book.owe(PrepResize, host=choice.host)
        return {'host': choice.host}

    def undone(self, book: Book, step: records.Step) -> None:
        """Give the room back."""
        if step.result:
            book.release(step.result['host'], holder=book.operation.id)


# -- on the destination ------------------------------------------------------


class UndoPrepResize(HostStep):
    """Remove what reached the destination of the disks."""

    method = 'undo_prep_resize'
    insists = True
    can_wait = True

    def work(self, job: Job) -> Facts:
        """Remove it; the guest was never defined here."""
        if not _same_host(job):
            job.driver.remove_disks(job.instance.uuid)
        return {}


class PrepResize(HostStep):
    """Check what only the destination knows."""

    method = 'prep_resize'
    undo = UndoPrepResize

    def begins(self, book: Book) -> None:
        """Tell what exists until now, and that it will change."""
        book.tell('exists')
        book.open('resize.prep')

    def work(self, job: Job) -> Facts:
        """Refuse what would overwrite something, invite the disks."""
        uuid = job.instance.uuid
        if _same_host(job):
            return {}
        if job.driver.guest(uuid) or job.driver.has_aside(uuid):
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'host {job.host} still has a guest or a disk of it; '
                'it is removed when its power states are reconciled',
            )
        return {'invitation': job.driver.prepare_disks(job.spec())}

    def ends(self, book: Book, result: Facts) -> None:
        """Let the source hand the guest over."""
        book.owe(
            ResizeInstance,
            host=book.migration.source_host,
            invitation=result.get('invitation'),
        )
        self._close(book)

    def fails(self, book: Book, error: Error) -> None:
        """Tell that this host failed; there may be another one."""
        book.broke('resize', error)
        self._close(book)

    def _close(self, book: Book) -> None:
        flavor = book.migration.new_flavor
        book.close(
            'resize.prep',
            new_instance_type=flavor.name,
            new_instance_type_id=flavor.id,
        )


# -- on the source -----------------------------------------------------------


class UndoResizeInstance(HostStep):
    """Make the old guest the one guest again."""

    method = 'undo_resize_instance'
    insists = True

    def work(self, job: Job) -> Facts:
        """Take the disks back; start the guest if it ran."""
        job.driver.take_back(job.instance.uuid)
        if job.origin == states.ACTIVE:
            power.switch_on(job)
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """Note that it runs, or is off as it was."""
        book.change(**result)


class ResizeInstance(HostStep):
    """Switch the guest off and hand its disks to the destination."""

    method = 'resize_instance'
    undo = UndoResizeInstance

    def begins(self, book: Book) -> None:
        """Tell that the guest is going down."""
        book.task('resize_migrating')
        book.open('resize', fixed_ips=payload.fixed_ips(book.instance))
        book.record_move(status='migrating')

    def work(self, job: Job) -> Facts:
        """Hand over, then keep the own disks for the way back."""
        uuid = job.instance.uuid
        if _same_host(job):
            power.switch_off(job)
            job.driver.set_aside(uuid, copy=True)
            return power.state(job)
        # A guest runs on as long as the destination is not reached.
        job.driver.check_hand_over(uuid, job.peer(), _invitation(job))
        power.switch_off(job)
        figures = _hand_over(job)
        # Also when it was cut short after the first half of it.
        job.driver.set_aside(uuid)
        return power.state(job) | {'figures': figures}

    def ends(self, book: Book, result: Facts) -> None:
        """From here on the destination owns the instance."""
        move, facts = book.migration, dict(result)
        figures = facts.pop('figures', {})
        book.change(host=move.dest_host, node=move.dest_node, **facts)
        book.task('resize_migrated')
        book.record_move(status='post-migrating', **figures)
        book.owe(FinishResize, host=move.dest_host)
        book.close('resize', fixed_ips=payload.fixed_ips(book.instance))

    def tries_again(self, error: Error) -> bool:
        """What has arrived before a destination went away stays there."""
        return isinstance(error, exception.HandOverInterrupted)

    def undone(self, book: Book, step: records.Step) -> None:
        """The source owns it again."""
        move = book.migration
        book.change(host=move.source_host, node=move.source_node)


def _invitation(job: Job) -> Facts:
    # A destination of the release before has sent none.
    return job.args.get('invitation') or {}


def _hand_over(job: Job) -> Facts:
    """Hand the disks over, telling how far it is, as long as it is wanted.

    Returns the last figures; none when it was done before.
    """
    reported, going = clock.monotonic(), None
    for going in job.driver.hand_over(
        job.instance.uuid, job.peer(), _invitation(job)
    ):
        job.check()
        job.wait(0)
        if job.seconds_left() <= 0:
            raise exception.DeadlineExceeded(
                operation=job.kind,
                reason=f'{going.done} of {going.total} bytes of the disks '
                'were handed over',
            )
        if clock.monotonic() - reported >= _REPORT:
            reported = clock.monotonic()
            job.report(**_figures(going))
    return _figures(going) if going is not None else {}


def _figures(going: 'Progress') -> dict[str, int]:
    return {
        'disk_total': going.total,
        'disk_processed': going.done,
        'disk_remaining': going.total - going.done,
    }


# -- on the destination ------------------------------------------------------


class UndoFinishResize(HostStep):
    """Remove the new guest, so that the old one may be started."""

    method = 'undo_finish_resize'
    insists = True

    def work(self, job: Job) -> Facts:
        """Remove guest and disks."""
        job.driver.remove(job.instance.uuid)
        job.driver.remove_disks(job.instance.uuid)
        return {}


class FinishResize(HostStep):
    """Define the guest in its new size and start it if it ran."""

    method = 'finish_resize'
    undo = UndoFinishResize

    def begins(self, book: Book) -> None:
        """Tell; from here on the instance has the new flavor."""
        book.change(flavor=book.migration.new_flavor)
        book.task('resize_finish')
        book.open('finish_resize', fixed_ips=payload.fixed_ips(book.instance))

    def work(self, job: Job) -> Facts:
        """Accept the disks, grow them, define, start."""
        spec = job.spec()
        job.driver.accept_disks(spec.uuid)
        job.driver.grow_disks(spec)
        if job.origin == states.ACTIVE:
            power.switch_on(job)
        else:
            job.driver.define(spec)
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """The user may look at it, and confirm or revert."""
        move, instance = book.migration, book.instance
        book.change(launched_at=book.now, **result)
        book.finish()
        book.record_move(status='finished')
        book.pass_on(move.source_host, instance.uuid, to=move.uuid)
        book.pass_on(str(move.dest_host), book.operation.id, to=instance.uuid)
        book.close('finish_resize', fixed_ips=payload.fixed_ips(instance))

    def undone(self, book: Book, step: records.Step) -> None:
        """The old flavor is the instance's again."""
        book.change(flavor=book.migration.old_flavor)


class Move(Story):
    """Resize, or migrate with the same flavor."""

    moves = True
    steps = (
        MigrateServer,
        PrepResize,
        ResizeInstance,
        FinishResize,
        UndoFinishResize,
        UndoResizeInstance,
        UndoPrepResize,
    )

    def starts(self, book: Book) -> None:
        """Let a conductor choose the destination."""
        book.owe(MigrateServer)

    def unwound(self, book: Book, error: Error) -> None:
        """Try another destination if only this one was at fault."""
        steps = book.steps()
        went_off = any(s.method == ResizeInstance.method for s in steps)
        tried = [s.host for s in steps if s.method == PrepResize.method]
        again = len(tried) < CONF.scheduler.max_attempts
        # When no host was left to be tried, there is none now either.
        hopeless = went_off or isinstance(error, exception.NoValidHost)
        if tried and again and not hopeless and not _named(book):
            book.try_again()
            book.owe(MigrateServer, excluded=tried)
            return
        if tried:
            book.record_move(status='error')
        book.fail(error)


def _named(book: Book) -> bool:
    return book.operation.params.get('host') is not None


# -- confirm -----------------------------------------------------------------


class ConfirmResize(HostStep):
    """Remove what the source has kept for a way back."""

    method = 'confirm_resize'
    insists = True
    can_wait = True

    def begins(self, book: Book) -> None:
        """Tell that the way back is being closed."""
        book.open('resize.confirm')

    def work(self, job: Job) -> Facts:
        """Remove the old guest and its disks."""
        uuid = job.instance.uuid
        if not _same_host(job):
            job.driver.remove(uuid)
        job.driver.drop_aside(uuid)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """The old host's room is free."""
        move = book.migration
        book.release(move.source_host, holder=move.uuid)
        book.record_move(status='confirmed')
        book.close(
            'resize.confirm', fixed_ips=payload.fixed_ips(book.instance)
        )


class Confirm(Story):
    """The user is free at once; the source cleans up when it can."""

    moves = True
    steps = (ConfirmResize,)

    def starts(self, book: Book) -> None:
        """Let go of the instance, owe the cleaning."""
        book.finish(origin=book.migration.origin)
        book.record_move(status='confirming')
        book.owe(ConfirmResize, host=book.migration.source_host)


# -- revert ------------------------------------------------------------------


class RevertResize(HostStep):
    """Remove the new guest at the destination."""

    method = 'revert_resize'
    insists = True

    def begins(self, book: Book) -> None:
        """Tell what exists until now."""
        book.tell('exists')

    def work(self, job: Job) -> Facts:
        """Remove guest and disks; nothing of the old ones is here."""
        job.driver.remove(job.instance.uuid)
        job.driver.remove_disks(job.instance.uuid)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """The source owns it again, in the old size."""
        move, instance = book.migration, book.instance
        book.change(
            host=move.source_host,
            node=move.source_node,
            flavor=move.old_flavor,
            power_state=int(states.Power.NOSTATE),
        )
        book.release(str(move.dest_host), holder=instance.uuid)
        book.pass_on(move.source_host, move.uuid, to=instance.uuid)
        book.owe(FinishRevertResize, host=move.source_host)


class FinishRevertResize(HostStep):
    """Take the old disks back and start the old guest if it ran."""

    method = 'finish_revert_resize'
    insists = True

    def begins(self, book: Book) -> None:
        """Tell that the old guest is coming back."""
        book.open('resize.revert')

    def work(self, job: Job) -> Facts:
        """Take back, define, start."""
        uuid = job.instance.uuid
        job.driver.take_back(uuid)
        if job.migration.origin == states.ACTIVE:
            power.switch_on(job)
        else:
            job.driver.define(job.spec())
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """As it was before the resize."""
        book.change(launched_at=book.now, **result)
        book.finish(origin=book.migration.origin)
        book.record_move(status='reverted')
        book.close('resize.revert')

    def gives_up(self, error: Error) -> bool:
        """Without the old disk there is nothing to go back to."""
        return isinstance(error, exception.DiskMissing)


class Revert(Story):
    """Back to the source, to the old size and the old disk."""

    moves = True
    steps = (RevertResize, FinishRevertResize)

    def starts(self, book: Book) -> None:
        """Let the destination remove the new guest."""
        book.record_move(status='reverting')
        book.owe(RevertResize, host=book.instance.host)
