# SPDX-License-Identifier: Apache-2.0
"""A live migration under way, watched by its source until it has ended.

The hypervisor moves the guest; this looks at it again and again, tells how far
it is, and has it stopped or forced when that is wanted or takes too long.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import TypeVar

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.flows.chain import Error
from minova.flows.chain import Job
from minova.states import ON

if TYPE_CHECKING:
    from minova.virt.driver import Migration

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two looks at a running migration: short at first, because
#: an idle guest moves at once, then longer.
_LOOKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
#: Seconds between two reports of how far it is.
_REPORT = 1.0


def ask(job: Job, ask: Callable[[str], T]) -> T:
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


def is_on(job: Job) -> bool:
    """Tell whether the guest is here, and not what a move has left of it."""
    guest = ask(job, job.driver.guest)
    return guest is not None and guest.power in ON


def require_arrived(job: Job, dest: str) -> None:
    """Make sure that a guest which is not on here any more is at ``dest``.

    It may be off there: whatever became of it since, it has arrived.
    """
    if job.probe(dest) is None:
        raise exception.GuestMigrationFailed(
            instance_id=job.instance.uuid,
            reason=f'it neither runs here nor is it at {dest}',
        )


def watch(job: Job, dest: str) -> None:
    """Return when the guest has arrived at ``dest``.

    Raises Cancelled, DeadlineExceeded or GuestMigrationFailed; the guest then
    runs here. Unsettled: it is not known.
    """
    reported = waited = 0.0
    forcing, limit = _Forcing(job), _Limit(job)
    for look in _looks():
        going = ask(job, job.driver.migration)
        if going.state == 'completed':
            return
        if going.state == 'none' and not is_on(job):
            require_arrived(job, dest)
            return
        if going.state != 'running':
            # The word may have been lost on the way, as with a connection
            # that broke; the guest itself cannot be wrong.
            if not is_on(job) and job.probe(dest) is not None:
                return
            raise _failure(job, going, limit)
        if waited - reported >= _REPORT:
            reported = waited
            _report(job, going)
            uuid, plan = job.instance.uuid, job.args['plan']
            job.driver.hasten(uuid, plan, waited)
        _obey(job)
        limit.look()
        forcing.look()
        job.wait(look)
        waited += look


def _failure(job: Job, ended: 'Migration', limit: '_Limit') -> Error:
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
    if limit.exceeded is not None:
        return exception.DeadlineExceeded(
            operation='live migration',
            reason=f'it took more than {limit.exceeded:g} s ([compute] '
            f'live_migration_timeout of {job.host})',
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
        ask(job, job.driver.abort_migration)
    except exception.Stale:
        ask(job, job.driver.abort_migration)
        raise
    if job.seconds_left() <= 0:
        ask(job, job.driver.abort_migration)


class _Limit:
    """Ends a move that takes longer than the host's configuration allows.

    The time counts from when this watching began.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._began = clock.monotonic()
        #: The seconds for which the move is aborted, None while it is not.
        self.exceeded: float | None = None

    def look(self) -> None:
        """Abort or force the move if it is time; aborted at each look."""
        job, limit = self._job, CONF.compute.live_migration_timeout
        if not limit or clock.monotonic() - self._began <= limit:
            return
        if CONF.compute.live_migration_timeout_action == 'abort':
            self.exceeded = limit
            ask(job, job.driver.abort_migration)
        elif not job.forced:
            LOG.info(
                'The live migration of %s is forced: it took more than %g s '
                '([compute] live_migration_timeout).',
                job.instance.uuid,
                limit,
            )
            job.forced = True


def may_be_forced(job: Job) -> bool:
    """Tell whether a move was forced, also before a restart of the service.

    A user's wish is kept with the operation, that of the configuration is not.
    """
    options = CONF.compute
    return job.forced or (
        job.resumed
        and bool(options.live_migration_timeout)
        and options.live_migration_timeout_action == 'force_complete'
    )


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
