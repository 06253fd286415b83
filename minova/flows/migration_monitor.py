# SPDX-License-Identifier: Apache-2.0
"""The monitor of a running live migration, on its source host.

The hypervisor copies the guest. The monitor polls its job until the end,
reports the progress, and aborts or forces the migration on request or after a
timeout.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import TypeVar

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova.conf import CONF
from minova.flows.base import Error
from minova.flows.base import StepContext
from minova.objects.live_migrate_data import LiveMigrateData

if TYPE_CHECKING:
    from minova.virt.driver import MigrationStatus

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two polls of a running migration: short at first, because
#: an idle guest migrates at once, then longer.
_POLL_INTERVALS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
#: Seconds between two reports of the progress.
_REPORT_INTERVAL = 1.0


def query(ctx: StepContext, call: Callable[[str], T]) -> T:
    """Call the hypervisor about a guest that may be migrating.

    Raises OutcomeUncertain when the hypervisor does not answer: the
    preparations must stay until the location of the guest is known.
    """
    try:
        return call(ctx.instance.uuid)
    except exception.GuestFailed as error:
        raise exception.OutcomeUncertain(
            instance_id=ctx.instance.uuid,
            operation='live migration',
            reason=str(error),
        ) from error


def is_on(ctx: StepContext) -> bool:
    """Tell whether the guest is on, and not a leftover of a migration."""
    guest = query(ctx, ctx.driver.guest)
    return guest is not None and guest.is_on


def require_arrived(ctx: StepContext, dest: str) -> None:
    """Raise GuestMigrationFailed unless ``dest`` has the guest.

    The guest may be off there: it has arrived all the same.
    """
    if ctx.get_power_state(dest) is None:
        raise exception.GuestMigrationFailed(
            instance_id=ctx.instance.uuid,
            reason=f'it neither runs here nor is it at {dest}',
        )


def monitor(
    ctx: StepContext, dest: str, migrate_data: LiveMigrateData
) -> None:
    """Return when the guest has arrived on ``dest``.

    Raises Cancelled, DeadlineExceeded or GuestMigrationFailed when the guest
    runs here, OutcomeUncertain when its location is not known.
    """
    reported = waited = 0.0
    force, limit = _ForceCompletion(ctx), _Timeout(ctx)
    for interval in _poll_intervals():
        status = query(ctx, ctx.driver.migration_status)
        if status.state == 'completed':
            return
        if status.state == 'none' and not is_on(ctx):
            require_arrived(ctx, dest)
            return
        if status.state != 'running':
            # A broken connection may have hidden the success: the location
            # of the guest decides.
            if not is_on(ctx) and ctx.get_power_state(dest) is not None:
                return
            raise _error_from(ctx, status, limit)
        if waited - reported >= _REPORT_INTERVAL:
            reported = waited
            _report_progress(ctx, status)
            ctx.driver.tune_migration(ctx.instance.uuid, migrate_data, waited)
        limit.check()
        force.check()
        ctx.pause(interval)
        waited += interval
        _abort_if_unwanted(ctx)


def _error_from(
    ctx: StepContext, ended: 'MigrationStatus', limit: '_Timeout'
) -> Error:
    if ended.state != 'cancelled':
        return exception.GuestMigrationFailed(
            instance_id=ctx.instance.uuid,
            reason=ended.error or 'the hypervisor lost the migration',
        )
    if ctx.seconds_left() <= 0:
        return exception.DeadlineExceeded(
            operation='live migration',
            reason='the guest changed its memory faster than it was copied',
        )
    if limit.exceeded is not None:
        return exception.DeadlineExceeded(
            operation='live migration',
            reason=f'it took more than {limit.exceeded:g} s ([compute] '
            f'live_migration_timeout of {ctx.host})',
        )
    return exception.Cancelled(operation='live migration')


def _report_progress(ctx: StepContext, status: 'MigrationStatus') -> None:
    ctx.report_progress(
        memory_total=status.memory_total,
        memory_processed=status.memory_processed,
        memory_remaining=status.memory_remaining,
        disk_total=status.disk_total,
        disk_processed=status.disk_processed,
        disk_remaining=status.disk_remaining,
    )


def _poll_intervals() -> Iterator[float]:
    yield from _POLL_INTERVALS
    while True:
        yield _POLL_INTERVALS[-1]


def _abort_if_unwanted(ctx: StepContext) -> None:
    """Abort the migration on request, after a takeover or the deadline."""
    try:
        ctx.check_cancelled()
    except exception.Cancelled:
        query(ctx, ctx.driver.abort_migration)
    except exception.Stale:
        # The signal that stops the step would also end the abort.
        with cancellation.scope(None):
            query(ctx, ctx.driver.abort_migration)
        raise
    if ctx.seconds_left() <= 0:
        query(ctx, ctx.driver.abort_migration)


class _Timeout:
    """Ends a migration that takes longer than ``live_migration_timeout``.

    The time counts from the start of this monitor.
    """

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self._began = clock.monotonic()
        #: The limit in seconds that led to the abort, None without an abort.
        self.exceeded: float | None = None

    def check(self) -> None:
        """Abort or force the migration after its time; abort at each poll."""
        ctx, limit = self._ctx, CONF.compute.live_migration_timeout
        if not limit or clock.monotonic() - self._began <= limit:
            return
        if CONF.compute.live_migration_timeout_action == 'abort':
            self.exceeded = limit
            query(ctx, ctx.driver.abort_migration)
        elif not ctx.force_requested:
            LOG.info(
                'Live migration of %s exceeded [compute] '
                'live_migration_timeout of %g s; forcing its completion',
                ctx.instance.uuid,
                limit,
            )
            ctx.force_requested = True


def may_be_forced(ctx: StepContext) -> bool:
    """Tell whether the migration was forced, also before a restart.

    The operation keeps a user's request, but not that of the configuration.
    """
    options = CONF.compute
    return ctx.force_requested or (
        ctx.is_resumed
        and bool(options.live_migration_timeout)
        and options.live_migration_timeout_action == 'force_complete'
    )


class _ForceCompletion:
    """Forces the completion once it is requested."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self._done = False
        self._last_error: str | None = None

    def check(self) -> None:
        """Force the completion on request; retry a refusal at each poll."""
        ctx = self._ctx
        if self._done or not ctx.force_requested:
            return
        try:
            ctx.driver.force_complete(ctx.instance.uuid)
            self._done = True
        except exception.GuestFailed as error:
            reason = str(error)
            if reason != self._last_error:
                LOG.warning(
                    'Live migration of %s cannot be forced yet: %s',
                    ctx.instance.uuid,
                    reason,
                )
                self._last_error = reason
