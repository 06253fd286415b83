# SPDX-License-Identifier: Apache-2.0
"""The status of a migration: the second state machine, in one table.

``states`` holds the life of an instance; this module holds the life of the
record of one resize, cold migration, live migration or evacuation. The words
are the Compute API's. A status changes in one place, ``engine.migration_records``,
which asks ``check_transition`` before it writes (a test walks the code).

A step may run again after a crash and repeat its transition: a status may
always become itself.
"""

import dataclasses
from typing import Final

RESIZE: Final = 'resize'
COLD_MIGRATION: Final = 'migration'
LIVE_MIGRATION: Final = 'live-migration'
EVACUATION: Final = 'evacuation'

_COLD: Final = (RESIZE, COLD_MIGRATION)
_LIVE: Final = (LIVE_MIGRATION,)
_EVAC: Final = (EVACUATION,)
_PRE: Final = (RESIZE, COLD_MIGRATION, EVACUATION)
_ANY: Final = (RESIZE, COLD_MIGRATION, LIVE_MIGRATION, EVACUATION)

ACCEPTED: Final = 'accepted'
QUEUED: Final = 'queued'
PREPARING: Final = 'preparing'
RUNNING: Final = 'running'
COMPLETED: Final = 'completed'
PRE_MIGRATING: Final = 'pre-migrating'
MIGRATING: Final = 'migrating'
POST_MIGRATING: Final = 'post-migrating'
DONE: Final = 'done'
FINISHED: Final = 'finished'
CONFIRMING: Final = 'confirming'
CONFIRMED: Final = 'confirmed'
REVERTING: Final = 'reverting'
REVERTED: Final = 'reverted'
CANCELLED: Final = 'cancelled'
ERROR: Final = 'error'


@dataclasses.dataclass(frozen=True)
class Status:
    """One row of the table."""

    name: str
    #: The kinds of migration that pass it.
    kinds: tuple[str, ...]
    #: The statuses that may follow, () for a final one.
    next_statuses: tuple[str, ...]
    meaning: str

    @property
    def is_final(self) -> bool:
        """Tell whether no status follows."""
        return not self.next_statuses


# fmt: off
_ROWS: Final = (
    # status         passed by  may become                               meaning
    (ACCEPTED,       _EVAC,     'pre-migrating cancelled error',         'the evacuation has begun, its old host need not be down yet'),
    (QUEUED,         _LIVE,     'preparing cancelled error',             'the destination is chosen, its resources are claimed'),
    (PREPARING,      _LIVE,     'running queued cancelled error',        'the destination prepares to receive the guest'),
    (RUNNING,        _LIVE,     'completed cancelled error',             'the hypervisor copies the guest'),
    (COMPLETED,      _LIVE,     '',                                      'the guest runs on the destination'),
    (PRE_MIGRATING,  _PRE,      'migrating accepted done cancelled error', 'the destination is chosen, its resources are claimed'),
    (DONE,           _EVAC,     '',                                      'the guest is on the destination'),
    (MIGRATING,      _COLD,     'post-migrating cancelled error',        'the source powers the guest off and sends its disks'),
    (POST_MIGRATING, _COLD,     'finished cancelled error',              'the destination has the disks and defines the guest'),
    (FINISHED,       _COLD,     'confirming confirmed reverting error',  'the migration can be confirmed or reverted'),
    (CONFIRMING,     _COLD,     'confirmed error',                       'the source removes the old guest'),
    (CONFIRMED,      _COLD,     '',                                      'the old guest is removed, or the server was deleted'),
    (REVERTING,      _COLD,     'reverted finished cancelled error',     'the destination removes the new guest, the source restores the old one'),
    (REVERTED,       _COLD,     '',                                      'the guest is on the source in its old size'),
    (CANCELLED,      _ANY,      '',                                      'a user aborted the migration, or a delete or a reset preempted it'),
    (ERROR,          _ANY,      '',                                      'the migration failed'),
)
# fmt: on

TABLE: Final = {
    name: Status(name, kinds, tuple(next_statuses.split()), meaning)
    for name, kinds, next_statuses, meaning in _ROWS
}

#: A migration in one of these has ended.
FINAL: Final = tuple(name for name, row in TABLE.items() if row.is_final)
#: A migration in one of these needs both its hosts.
UNFINISHED: Final = tuple(name for name in TABLE if name not in FINAL)
#: A live migration in one of these is in progress.
LIVE_IN_PROGRESS: Final = tuple(
    name for name in UNFINISHED if LIVE_MIGRATION in TABLE[name].kinds
)
#: While a migration is in one of these, a host reports its progress.
COPYING: Final = (RUNNING, MIGRATING)


class IllegalTransition(ValueError):
    """A status was to become one that the table does not let follow."""


def initial_status(kind: str) -> str:
    """Return the status in which a migration of ``kind`` begins."""
    return next(name for name, row in TABLE.items() if kind in row.kinds)


def check_transition(kind: str, status: str, new_status: str) -> None:
    """Check that a migration of ``kind`` may change its status so.

    Raises IllegalTransition.
    """
    row, following = TABLE.get(status), TABLE.get(new_status)
    if (
        row is None
        or following is None
        or kind not in row.kinds
        or kind not in following.kinds
        or new_status not in (status, *row.next_statuses)
    ):
        raise IllegalTransition(
            f'A migration ({kind}) in status {status} cannot become '
            f'{new_status}'
        )
