# SPDX-License-Identifier: Apache-2.0
"""Retention: batches of what is over, until none is left.

Each batch is a transaction: interrupted anywhere, a thing is where it was or
where it goes, never in both places nor in none.
"""

from collections.abc import Iterator
import datetime
import functools

from minova.db.connections.engine import Database
from minova.db.queries import archive

Counts = dict[str, int]


def run(
    database: Database, moment: datetime.datetime, size: int, purge: bool
) -> Iterator[Counts]:
    """Archive what was over before ``moment``, ``size`` things at a time.

    With ``purge`` it leaves the archive for good. Yields after each
    transaction how many rows of each table went.
    """
    process_batch = archive.purge_batch if purge else archive.archive_batch
    for kind in archive.ENTITY_KINDS:
        after = None
        while True:
            batch = database.write(
                functools.partial(
                    process_batch,
                    kind=kind,
                    moment=moment,
                    limit=size,
                    after=after,
                )
            )
            if batch.after is None:
                break
            after = batch.after
            yield batch.counts


def preview(
    database: Database, moment: datetime.datetime, purge: bool
) -> Iterator[Counts]:
    """Yield how many rows of each table would go."""
    for kind in archive.ENTITY_KINDS:
        yield database.read(
            functools.partial(
                archive.count_rows, kind=kind, moment=moment, archived=purge
            )
        )
