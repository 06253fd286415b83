# SPDX-License-Identifier: Apache-2.0
"""Refusals, in the transaction that creates the rows.

Transactions of the same project that check quotas are serialized, so the
limits are exact.
"""

from collections.abc import Sequence
import dataclasses
from typing import Final

from minova import exception
from minova.db.connections.engine import Connection
from minova.db.queries import key_pairs
from minova.db.queries import quota_limits
from minova.db.queries import quota_usage
from minova.db.queries import server_groups
from minova.objects.flavor import Flavor
from minova.quotas import limits
from minova.quotas.limits import UNLIMITED

#: The resources that servers use.
_COUNTED: Final = tuple(
    field.name for field in dataclasses.fields(quota_usage.QuotaUsage)
)


class ServerQuota:
    """The quota of servers of a project, for one of its users.

    It holds the lock of the project until the transaction ends.
    """

    def __init__(
        self, connection: Connection, project_id: str, user_id: str
    ) -> None:
        """Take the lock, then read the limits."""
        self._connection = connection
        self._project_id = project_id
        limits.lock_project(connection, project_id)
        found = quota_limits.get_overrides(connection, project_id, user_id)
        of_project = limits.get_project_limits(found)
        self._of_user = of_project | found.of_user
        #: The limit of the project's ports.
        self.ports = of_project[limits.PORTS]
        #: Whose usage is counted, None for the whole project, and its limits.
        self._scopes: list[tuple[str | None, dict[str, int]]] = []
        for user, of_scope in ((None, of_project), (user_id, found.of_user)):
            limited = {
                name: of_scope[name]
                for name in _COUNTED
                if of_scope.get(name, UNLIMITED) != UNLIMITED
            }
            if limited:
                self._scopes.append((user, limited))

    def require_metadata(self, count: int) -> None:
        """Raise QuotaExceeded for more items than a server may have."""
        _require_metadata(self._of_user, count)

    def count_that_fits(
        self, flavor: Flavor, minimum: int, maximum: int
    ) -> int:
        """Return how many new servers fit, at most ``maximum``.

        Raises QuotaExceeded if fewer than ``minimum`` fit.
        """
        each = _get_delta([flavor], [])
        count = maximum
        for user, limited in self._scopes:
            used = self._count_used(user)
            _require_below(limited, used, _get_delta([flavor] * minimum, []))
            fitting = [
                (limit - used[name]) // each[name]
                for name, limit in limited.items()
                if each[name] > 0
            ]
            count = min(count, *fitting) if fitting else count
        return count

    def require_resize(self, old: Flavor, new: Flavor) -> None:
        """Raise QuotaExceeded unless a server may get a larger flavor."""
        delta = _get_delta([new], [old])
        if max(delta.values()) > 0:
            for user, limited in self._scopes:
                _require_below(limited, self._count_used(user), delta)

    def _count_used(self, user_id: str | None) -> dict[str, int]:
        return dataclasses.asdict(
            quota_usage.get_usage(self._connection, self._project_id, user_id)
        )


def require_metadata(
    connection: Connection, project_id: str, user_id: str, count: int
) -> None:
    """Raise QuotaExceeded for more items than a server may have."""
    _require_metadata(
        limits.get_limits(connection, project_id, user_id), count
    )


def require_image_metadata(
    connection: Connection, project_id: str, user_id: str, count: int
) -> None:
    """Raise QuotaExceeded for more items than an image may have."""
    limit = limits.get_limits(connection, project_id, user_id)[
        'metadata_items'
    ]
    if limit != UNLIMITED and count > limit:
        raise exception.QuotaExceeded(
            f'Image metadata limit exceeded: an image may have {limit} items, '
            f'but {count} were requested'
        )


def _require_metadata(found: dict[str, int], count: int) -> None:
    limit = found['metadata_items']
    if limit != UNLIMITED and count > limit:
        raise exception.QuotaExceeded(
            f'Maximum number of metadata items exceeds {limit}'
        )


def require_server_group(
    connection: Connection, project_id: str, user_id: str
) -> None:
    """Raise QuotaExceeded unless there may be one more server group."""
    limits.lock_project(connection, project_id)
    found = quota_limits.get_overrides(connection, project_id, user_id)
    scopes = (
        (None, limits.get_project_limits(found)),
        (user_id, found.of_user),
    )
    for user, of_scope in scopes:
        limit = of_scope.get('server_groups', UNLIMITED)
        if limit == UNLIMITED:
            continue
        if server_groups.count(connection, project_id, user) >= limit:
            raise exception.QuotaExceeded(
                'Quota exceeded, too many server groups.'
            )


def require_group_members(
    connection: Connection,
    project_id: str,
    user_id: str,
    group: server_groups.ServerGroup,
    more: int,
) -> None:
    """Raise QuotaExceeded unless a user may add servers to a locked group.

    The limit is that of a user; the servers of other users do not count.
    """
    found = limits.get_limits(connection, project_id, user_id)
    limit = found['server_group_members']
    if limit == UNLIMITED:
        return
    if server_groups.count_members(connection, group, user_id) + more > limit:
        raise exception.QuotaExceeded(
            'Quota exceeded, too many servers in group'
        )


def require_key_pair(
    connection: Connection, project_id: str, user_id: str
) -> None:
    """Raise KeyPairLimitExceeded unless a user may have one more key pair.

    The limit is that of the user in the project, for the key pairs of the user
    in all projects.
    """
    quota_usage.lock(connection, 'key pairs', user_id)
    limit = limits.get_limits(connection, project_id, user_id)['key_pairs']
    if limit == UNLIMITED:
        return
    if key_pairs.count(connection, user_id) >= limit:
        raise exception.KeyPairLimitExceeded(limit=limit)


def _get_delta(new: Sequence[Flavor], old: Sequence[Flavor]) -> dict[str, int]:
    more, less = (
        dataclasses.asdict(quota_usage.sum_flavors(flavors))
        for flavors in (new, old)
    )
    return {name: more[name] - less[name] for name in more}


def _require_below(
    limited: dict[str, int], used: dict[str, int], delta: dict[str, int]
) -> None:
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
