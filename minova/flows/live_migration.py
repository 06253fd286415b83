# SPDX-License-Identifier: Apache-2.0
"""Live migration: a guest changes host while it runs.

= ====================================== ========= ========================
# step                                   where     taken back by
= ====================================== ========= ========================
1 migrate_server                         conductor releasing the room
2 live_migration                         source    nothing to take back
3 pre_live_migration (called by 2)       dest      rollback_live_migration\
                                                   _at_destination
4 post_live_migration_at_destination     dest      no way back
  (called by 2)
= ====================================== ========= ========================

The task state is ``migrating`` until 4 ends. The database names the source as
the owner until the hypervisor reports success and the destination from then
on: the milestone ``migrated`` of step 2. Before it, every failure leaves the
guest running at the source; after it, every failure is worked off until the
destination has it.

To abort is an operation of its own that runs beside: it notes the wish with
the migration and lets the source stop it.

= ====================================== ========= ========================
# step                                   where     taken back by
= ====================================== ========= ========================
1 live_migration_abort                   source    nothing to take back
= ====================================== ========= ========================
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import TypeVar

from oslo_log import log as logging

from minova import exception
from minova import states
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
from minova.objects.instance import Instance
from minova.states import ON
from minova.states import Power

if TYPE_CHECKING:
    from minova.virt.driver import Migration

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two looks at a running migration: short at first, because
#: an idle guest moves at once, then longer.
_LOOKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
#: Seconds for which a destination that does not answer is waited for: longer
#: than it takes to start a compute, a broker or a database again.
_PATIENCE = 300.0
#: Seconds between two reports of how far it is.
_REPORT = 1.0


# -- in a conductor ----------------------------------------------------------


class MigrateServer(Decision):
    """Find a destination that can receive the guest."""

    method = 'migrate_server'
    needs_advice = True

    def consults(
        self, desk: Desk, step: records.Step, params: Facts, on: Instance
    ) -> Facts:
        """Ask hosts, and the source, before anything is claimed."""
        return desk.check_live_migration(on, params, (str(on.host),))

    def decides(self, book: Book, desk: Desk, advice: Facts) -> Facts:
        """Claim room at the destination and let the source begin."""
        instance = book.instance
        dest = advice['host']
        if not book.claim(dest, instance.flavor, book.operation.id):
            raise exception.NoValidHost(
                reason=f'Host {dest} passed the checks, but another instance '
                'took its room meanwhile.'
            )
        book.record_move(
            kind='live-migration',
            status='queued',
            origin=instance.vm_state,
            source_host=str(instance.host),
            source_node=str(instance.node),
            dest_host=dest,
            dest_node=advice['node'],
            dest_ip=advice['address'],
            old_flavor=instance.flavor,
            new_flavor=instance.flavor,
        )
        book.owe(LiveMigration, host=instance.host, plan=advice['plan'])
        return {'host': dest}

    def undone(self, book: Book, step: records.Step) -> None:
        """Give the room back."""
        if step.result:
            book.release(step.result['host'], holder=book.operation.id)


# -- on the destination ------------------------------------------------------


class RollbackLiveMigrationAtDestination(HostStep):
    """Remove what was made ready, and a guest that did not arrive."""

    method = 'rollback_live_migration_at_destination'
    insists = True
    can_wait = True

    def begins(self, book: Book) -> None:
        """Tell that the destination cleans up."""
        book.open('live_migration.rollback.dest', **_ips(book))

    def work(self, job: Job) -> Facts:
        """Clean up."""
        job.driver.cancel_reception(job.instance.uuid, job.args['plan'])
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """Tell that nothing is left."""
        book.close('live_migration.rollback.dest', **_ips(book))


class PreLiveMigration(HostStep):
    """Make ready what the guest will need."""

    method = 'pre_live_migration'
    undo = RollbackLiveMigrationAtDestination

    def begins(self, book: Book) -> None:
        """Tell that the destination prepares."""
        book.open('live_migration.pre', **_ips(book))

    def work(self, job: Job) -> Facts:
        """Prepare."""
        plan = job.args['plan']
        spec = job.spec(fetched=True)
        image = _image(job) if plan.get('block_migration') else None
        return job.driver.prepare_reception(spec, plan, image)

    def ends(self, book: Book, result: Facts) -> None:
        """The guest may come."""
        book.record_move(status='running')
        book.close('live_migration.pre', **_ips(book))

    def fails(self, book: Book, error: Error) -> None:
        """Tell that it cannot come."""
        book.broke('live_migration.pre', error)


class PostLiveMigrationAtDestination(HostStep):
    """Make the guest that arrived this host's own."""

    method = 'post_live_migration_at_destination'
    insists = True

    def begins(self, book: Book) -> None:
        """Tell that the destination takes over."""
        book.open('live_migration.post.dest', **_ips(book))

    def work(self, job: Job) -> Facts:
        """Make its definition last, under this host's own word."""
        job.driver.define(job.spec())
        return power.state(job)

    def ends(self, book: Book, result: Facts) -> None:
        """The instance is let go of; the source still cleans up."""
        book.change(progress=None, **result)
        book.finish()
        book.record_move(status='completed')
        book.close('live_migration.post.dest', **_ips(book))


# -- on the source -----------------------------------------------------------


class LiveMigration(HostStep):
    """Move the guest, watch it go, hand over, clean up."""

    method = 'live_migration'
    no_return = 'migrated'
    calls = (PreLiveMigration, PostLiveMigrationAtDestination)

    def begins(self, book: Book) -> None:
        """Let the destination prepare, when it is called."""
        move = book.migration
        plan = book.step.args['plan']
        book.owe(PreLiveMigration, host=move.dest_host, nested=True, plan=plan)
        book.record_move(status='preparing')

    def work(self, job: Job) -> Facts:
        """Begin or find again the move; after success hand over."""
        dest = str(job.migration.dest_host)
        if 'migrated' not in job.passed:
            _move_or_stay(job, dest)
            job.save('migrated')
        job.call(PostLiveMigrationAtDestination, host=dest)
        job.driver.remove(job.instance.uuid)
        if job.args['plan'].get('block_migration'):
            job.driver.remove_disks(job.instance.uuid)
        return {}

    def saved(self, book: Book, milestone: str, facts: Facts) -> None:
        """The guest has moved, and with it the instance."""
        move, instance = book.migration, book.instance
        book.open('live_migration._post', **_ips(book))
        book.change(host=move.dest_host, node=move.dest_node)
        book.pass_on(move.source_host, instance.uuid, to=book.operation.id)
        book.pass_on(str(move.dest_host), book.operation.id, to=instance.uuid)
        book.owe(
            PostLiveMigrationAtDestination, host=move.dest_host, nested=True
        )

    def ends(self, book: Book, result: Facts) -> None:
        """Nothing of it is left at the source."""
        source = book.migration.source_host
        book.release(source, holder=book.operation.id)
        book.close('live_migration._post', **_ips(book))

    def fails(self, book: Book, error: Error) -> None:
        """The guest goes on here; tell that the rest is taken back."""
        cancelled = isinstance(error, exception.Cancelled)
        book.record_move(status='cancelled' if cancelled else 'error')
        book.change(progress=None)
        book.open('live_migration._rollback', **_ips(book))


def _ips(book: Book) -> Facts:
    return {'fixed_ips': payload.fixed_ips(book.instance)}


def _move_or_stay(job: Job, dest: str) -> None:
    """Move the guest; one that stays runs on, also when it was forced."""
    try:
        _move(job, dest)
    except (exception.Stale, exception.Unsettled):
        raise
    except exception.MinovaException:
        if job.forced and job.instance.vm_state == states.ACTIVE:
            guest = _ask(job, job.driver.guest)
            if guest is not None and guest.power is Power.PAUSED:
                _ask(job, job.driver.unpause)
        raise


def _move(job: Job, dest: str) -> None:
    """Move the guest and return when it runs at ``dest``.

    Raises Cancelled or GuestMigrationFailed; the guest then runs here.
    """
    # Somebody may have asked for its end while nobody watched.
    cancelled = job.params.get('cancelled')
    if not (job.resumed and _is_under_way(job, dest)):
        if cancelled:
            raise exception.Cancelled(operation='live migration')
        made = job.call(PreLiveMigration, host=dest, patience=_PATIENCE)
        job.check()
        _begin(job, dest, job.args['plan'] | made)
    elif cancelled:
        _ask(job, job.driver.abort_migration)
    _watch(job, dest)


def _image(job: Job) -> str | None:
    """Return the guest's image at the destination, None without it.

    Everything is copied then, and not only what differs from the image.
    """
    try:
        return job.image()
    except exception.MinovaException as error:
        LOG.warning(
            'The disk of %s is copied as a whole: its image is not to be '
            'had: %s',
            job.instance.uuid,
            error,
        )
        return None


def _is_under_way(job: Job, dest: str) -> bool:
    """Tell whether the guest moves, or has moved, as it was told before."""
    # In this order: a guest that is still on afterwards did not end a move
    # between the two.
    moves = _ask(job, job.driver.migration).state == 'running'
    if _is_on(job):
        return moves
    _require_arrived(job, dest)
    return True


def _is_on(job: Job) -> bool:
    """Tell whether the guest is here, and not what a move has left of it."""
    guest = _ask(job, job.driver.guest)
    return guest is not None and guest.power in ON


def _begin(job: Job, dest: str, plan: Facts) -> None:
    """Begin the move; an error may hide that it has begun."""
    try:
        job.driver.migrate(job.instance.uuid, job.peer(), plan)
    except exception.GuestFailed:
        if not _is_under_way(job, dest):
            raise


def _ask(job: Job, ask: Callable[[str], T]) -> T:
    """Ask the hypervisor of a guest that may be moving.

    Raises Unsettled when it does not answer: what was made ready must stay
    until it is known where the guest is.
    """
    try:
        return ask(job.instance.uuid)
    except exception.GuestFailed as error:
        raise exception.Unsettled(
            instance_id=job.instance.uuid,
            operation='live migration',
            reason=str(error),
        ) from error


def _watch(job: Job, dest: str) -> None:
    reported = waited = 0.0
    forcing = _Forcing(job)
    for look in _looks():
        going = _ask(job, job.driver.migration)
        if going.state == 'completed':
            return
        if going.state == 'none' and not _is_on(job):
            _require_arrived(job, dest)
            return
        if going.state != 'running':
            # The word may have been lost on the way, as with a connection
            # that broke; the guest itself cannot be wrong.
            if not _is_on(job) and job.probe(dest) is not None:
                return
            raise _failure(job, going)
        if waited - reported >= _REPORT:
            reported = waited
            _report(job, going)
            uuid, plan = job.instance.uuid, job.args['plan']
            job.driver.hasten(uuid, plan, waited)
        _obey(job)
        forcing.look()
        job.wait(look)
        waited += look


def _failure(job: Job, ended: 'Migration') -> Error:
    if ended.state != 'cancelled':
        return exception.GuestMigrationFailed(
            instance_id=job.instance.uuid,
            reason=ended.error or 'the hypervisor lost the migration',
        )
    if job.seconds_left() <= 0:
        return exception.DeadlineExceeded(
            operation='live migration',
            reason='the guest changed its memory faster than it was copied',
        )
    return exception.Cancelled(operation='live migration')


def _report(job: Job, going: 'Migration') -> None:
    job.report(
        memory_total=going.memory_total,
        memory_processed=going.memory_processed,
        memory_remaining=going.memory_remaining,
        disk_total=going.disk_total,
        disk_processed=going.disk_processed,
        disk_remaining=going.disk_remaining,
    )


def _looks() -> Iterator[float]:
    yield from _LOOKS
    while True:
        yield _LOOKS[-1]


def _obey(job: Job) -> None:
    """Stop the move when it is not wanted any more or its time is up."""
    try:
        job.check()
    except exception.Cancelled:
        _ask(job, job.driver.abort_migration)
    except exception.Stale:
        _ask(job, job.driver.abort_migration)
        raise
    if job.seconds_left() <= 0:
        _ask(job, job.driver.abort_migration)


class _Forcing:
    """Lets the move end soon, once that is wanted."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._done = False
        self._told: str | None = None

    def look(self) -> None:
        """Force the move if it is to be; one that refuses, at each look."""
        job = self._job
        if self._done or not job.forced:
            return
        try:
            job.driver.force_migration(job.instance.uuid)
            self._done = True
        except exception.GuestFailed as error:
            trouble = str(error)
            if trouble != self._told:
                LOG.warning(
                    'The live migration of %s cannot be forced yet: %s',
                    job.instance.uuid,
                    trouble,
                )
                self._told = trouble


def _require_arrived(job: Job, dest: str) -> None:
    """Make sure that a guest which is not on here any more is at ``dest``.

    It may be off there: whatever became of it since, it has arrived.
    """
    if job.probe(dest) is None:
        raise exception.GuestMigrationFailed(
            instance_id=job.instance.uuid,
            reason=f'it neither runs here nor is it at {dest}',
        )


class LiveMigrate(Story):
    """Move the guest without stopping it."""

    moves = True
    steps = (
        MigrateServer,
        LiveMigration,
        PreLiveMigration,
        PostLiveMigrationAtDestination,
        RollbackLiveMigrationAtDestination,
    )

    def starts(self, book: Book) -> None:
        """Let a conductor find a destination."""
        book.owe(MigrateServer)

    def unwound(self, book: Book, error: Error) -> None:
        """The guest never stopped at the source."""
        if any(s.method == LiveMigration.method for s in book.steps()):
            self._end_record(book)
        book.fail(error, closing='live_migration._rollback')

    def _end_record(self, book: Book) -> None:
        """End the record of a move that the source did not end itself."""
        if book.migration.status not in ('error', 'cancelled'):
            book.record_move(status='error')


# -- abort -------------------------------------------------------------------


class LiveMigrationAbort(HostStep):
    """Let the migration at work here stop."""

    method = 'live_migration_abort'
    beside = True

    def begins(self, book: Book) -> None:
        """Tell that it is asked to stop."""
        book.open('live.migration.abort')

    def work(self, job: Job) -> Facts:
        """Ask the step that watches it."""
        job.cancel(LiveMigration)
        return {}

    def ends(self, book: Book, result: Facts) -> None:
        """Tell that it was asked; how it ends, the migration tells."""
        book.close('live.migration.abort')


class Abort(Story):
    """Ask a live migration to stop."""

    steps = (LiveMigrationAbort,)

    def starts(self, book: Book) -> None:
        """Note it with the migration, so that a restart knows; tell it."""
        book.cancel_owner()
        book.owe(LiveMigrationAbort, host=book.instance.host)
