# SPDX-License-Identifier: Apache-2.0
"""Retention: batches of what is over, until none is left.

Each batch is a transaction: interrupted anywhere, a thing is where it was or
where it goes, never in both places nor in none.
"""

from collections.abc import Iterator
import datetime
import functools

from minova.db import archive
from minova.db.engine import Database

Counts = dict[str, int]


def run(
    database: Database, moment: datetime.datetime, size: int, purge: bool
) -> Iterator[Counts]:
    """Archive what was over before ``moment``, ``size`` things at a time.

    With ``purge`` it leaves the archive for good. Yields after each
    transaction how many rows of each table went.
    """
    act = archive.purge if purge else archive.move
    for kind in archive.KINDS:
        after = None
        while True:
            batch = database.write(
                functools.partial(
                    act, kind=kind, moment=moment, limit=size, after=after
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
    for kind in archive.KINDS:
        yield database.read(
            functools.partial(
                archive.count, kind=kind, moment=moment, archived=purge
            )
        )
