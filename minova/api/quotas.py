# SPDX-License-Identifier: Apache-2.0
"""Quotas: what a project may use, checked where it begins to use it.

A check is part of the transaction that creates or resizes, and no two of a
project run at the same time, so the limits hold exactly.
"""

from collections.abc import Iterable
import dataclasses

from minova import exception
from minova.conf import CONF
from minova.db import usage
from minova.db.engine import Connection
from minova.db.engine import Database
from minova.objects.flavor import Flavor


def limits() -> dict[str, int]:
    """Return the limits of every project; -1 is without limit."""
    names = [field.name for field in dataclasses.fields(usage.Used)]
    return {name: CONF.quota[name] for name in names}


def any_limit() -> bool:
    """Tell whether there is any limit at all."""
    return bool(_limited())


def prepare(database: Database, project_id: str) -> None:
    """Do what ``require`` needs before its transaction."""
    if _limited():
        usage.prepare_lock(database, project_id)


def require(
    connection: Connection,
    project_id: str,
    new: Iterable[Flavor],
    old: Iterable[Flavor] = (),
) -> None:
    """Raise QuotaExceeded unless a project may have ``new`` for ``old``.

    What gets smaller or stays as it is is always allowed.
    """
    limited = _limited()
    if not limited:
        return
    wanted = _sum(new, old)
    usage.lock(connection, project_id)
    used = dataclasses.asdict(usage.used(connection, project_id))
    over = [
        name
        for name, limit in limited.items()
        if wanted[name] > 0 and used[name] + wanted[name] > limit
    ]
    if over:
        raise exception.QuotaExceeded(
            overs=', '.join(over),
            requested=', '.join(str(wanted[name]) for name in over),
            used=', '.join(str(used[name]) for name in over),
            allowed=', '.join(str(limited[name]) for name in over),
        )


def require_metadata(count: int) -> None:
    """Raise QuotaExceeded for more items than a server may have."""
    limit = CONF.quota.metadata_items
    if 0 <= limit < count:
        raise exception.QuotaExceeded(
            f'Maximum number of metadata items exceeds {limit}'
        )


def _limited() -> dict[str, int]:
    return {name: limit for name, limit in limits().items() if limit >= 0}


def _sum(new: Iterable[Flavor], old: Iterable[Flavor]) -> dict[str, int]:
    more, less = (
        dataclasses.asdict(usage.of_flavors([f.as_dict() for f in flavors]))
        for flavors in (new, old)
    )
    return {name: more[name] - less[name] for name in more}
