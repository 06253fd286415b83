# SPDX-License-Identifier: Apache-2.0
"""Checks of quotas, in the transaction that uses them.

Transactions of the same project that check quotas are serialized, so the
limits are exact.
"""

from collections.abc import Iterable
import dataclasses

from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import quota_usage
from minova.objects.flavor import Flavor


def get_limits() -> dict[str, int]:
    """Return the limits of every project; -1 means unlimited."""
    names = [
        field.name for field in dataclasses.fields(quota_usage.QuotaUsage)
    ]
    return {name: CONF.quota[name] for name in names}


def has_limits() -> bool:
    """Return whether any limit is set."""
    return bool(_active_limits())


def prepare_lock(database: Database, project_id: str) -> None:
    """Create the lock that ``require_available`` takes."""
    if _active_limits():
        quota_usage.ensure_lock(database, project_id)


def count_that_fits(
    connection: Connection,
    project_id: str,
    flavor: Flavor,
    minimum: int,
    maximum: int,
) -> int:
    """Return how many new servers of a flavor fit, at most ``maximum``.

    Raises QuotaExceeded if fewer than ``minimum`` fit.
    """
    require_available(connection, project_id, [flavor] * minimum)
    limited = _active_limits()
    if not limited or minimum == maximum:
        return maximum
    used = dataclasses.asdict(quota_usage.get_usage(connection, project_id))
    each = _delta([flavor], ())
    fitting = [
        (limit - used[name]) // each[name]
        for name, limit in limited.items()
        if each[name] > 0
    ]
    return int(min(maximum, *fitting))


def require_available(
    connection: Connection,
    project_id: str,
    new: Iterable[Flavor],
    old: Iterable[Flavor] = (),
) -> None:
    """Raise QuotaExceeded unless a project may exchange ``old`` for ``new``.

    A change that reduces the usage or keeps it is always allowed.
    """
    limited = _active_limits()
    if not limited:
        return
    delta = _delta(new, old)
    quota_usage.lock(connection, project_id)
    used = dataclasses.asdict(quota_usage.get_usage(connection, project_id))
    exceeded = [
        name
        for name, limit in limited.items()
        if delta[name] > 0 and used[name] + delta[name] > limit
    ]
    if exceeded:
        raise exception.QuotaExceeded(
            overs=', '.join(exceeded),
            requested=', '.join(str(delta[name]) for name in exceeded),
            used=', '.join(str(used[name]) for name in exceeded),
            allowed=', '.join(str(limited[name]) for name in exceeded),
        )


def require_metadata(count: int) -> None:
    """Raise QuotaExceeded for more items than a server may have."""
    limit = CONF.quota.metadata_items
    if 0 <= limit < count:
        raise exception.QuotaExceeded(
            f'Maximum number of metadata items exceeds {limit}'
        )


def _active_limits() -> dict[str, int]:
    return {name: limit for name, limit in get_limits().items() if limit >= 0}


def _delta(new: Iterable[Flavor], old: Iterable[Flavor]) -> dict[str, int]:
    more, less = (
        dataclasses.asdict(
            quota_usage.sum_flavors([f.as_dict() for f in flavors])
        )
        for flavors in (new, old)
    )
    return {name: more[name] - less[name] for name in more}
