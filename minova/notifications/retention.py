# SPDX-License-Identifier: Apache-2.0
"""Retention: archiving and purging of ended operations, in batches.

Each batch is one transaction: an interrupted run leaves each row either in
its table or in the archive.
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
    """Archive what ended before ``moment``, ``size`` entities at a time.

    With ``purge``, delete it from the archive. Yields after each transaction
    the number of its rows by table.
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
    """Yield the number of rows of each table that ``run`` would process."""
    for kind in archive.ENTITY_KINDS:
        yield database.read(
            functools.partial(
                archive.count_rows, kind=kind, moment=moment, archived=purge
            )
        )
