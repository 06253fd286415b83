# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was told, to be looked up and told again.

The outbox and its archive are the ledger; nothing here writes to either. What
the relay has not published yet is the relay's: told again here it would come
before what precedes it.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

from minova import exception
from minova.db.connections.engine import Database
from minova.db.queries import ledger
from minova.db.queries import outbox
from minova.db.queries.ledger import Entry
from minova.db.queries.ledger import Marker
from minova.db.queries.ledger import Scope

#: How many notifications are read at a time.
_PAGE = 500


def read_entries(
    database: Database,
    scope: Scope,
    order: tuple[str, ...] = ledger.BY_INSTANCE,
    after: Marker | None = None,
) -> Iterator[Entry]:
    """Read the ledger, page by page, each in a transaction of its own."""
    while True:
        found = _page(database, scope, order, after)
        yield from found
        if len(found) < _PAGE:
            return
        after = ledger.make_marker(found[-1], order)


def _page(
    database: Database,
    scope: Scope,
    order: tuple[str, ...],
    after: Marker | None,
) -> list[Entry]:
    return database.read(
        lambda connection: ledger.list_page(
            connection, scope, order, _PAGE, after
        )
    )


def require_known(
    database: Database, instance_uuid: str
) -> ledger.RetainedRange:
    """Return what is kept of an instance; InstanceNotFound for nothing."""
    found = database.read(
        lambda connection: ledger.get_retained(connection, instance_uuid)
    )
    if found.last is None:
        raise exception.InstanceNotFound(instance_id=instance_uuid)
    return found


@dataclasses.dataclass
class ReplayProgress:
    """How far a replay is: it can be continued behind ``last``."""

    replayed: int = 0
    unpublished: int = 0
    last: outbox.Notice | None = None


def replay(
    database: Database,
    scope: Scope,
    send: Callable[[outbox.Notice], None],
    progress: ReplayProgress,
    after: Marker | None = None,
) -> None:
    """Tell what has been told once more, each instance's in its order.

    ``progress`` is kept up to date, also when Unavailable, from the broker
    or the database, ends it.
    """
    for entry in read_entries(database, scope, after=after):
        if entry.published_at is None:
            progress.unpublished += 1
            continue
        send(entry)
        progress.replayed += 1
        progress.last = entry
