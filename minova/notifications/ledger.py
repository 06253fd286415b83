# SPDX-License-Identifier: Apache-2.0
"""The ledger: the notifications that were emitted, to read and to replay.

The outbox and its archive are the ledger; this module writes to neither. It
does not replay a notification that the relay has not published yet, which
would overtake the notifications before it.
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

#: The number of notifications in one read.
_PAGE = 500


def read_entries(
    database: Database,
    scope: Scope,
    order: tuple[str, ...] = ledger.BY_INSTANCE,
    after: Marker | None = None,
) -> Iterator[Entry]:
    """Yield the entries of a scope; each page is a transaction."""
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
    """Return the range that is kept of an instance.

    Raises InstanceNotFound when the ledger has nothing of it.
    """
    found = database.read(
        lambda connection: ledger.get_retained(connection, instance_uuid)
    )
    if found.last is None:
        raise exception.InstanceNotFound(instance_id=instance_uuid)
    return found


@dataclasses.dataclass
class ReplayProgress:
    """The progress of a replay, which can continue after ``last``."""

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
    """Publish the notifications of a scope again, in order per instance.

    Updates ``progress``, also before it raises Unavailable.
    """
    for entry in read_entries(database, scope, after=after):
        if entry.published_at is None:
            progress.unpublished += 1
            continue
        send(entry)
        progress.replayed += 1
        progress.last = entry
