# SPDX-License-Identifier: Apache-2.0
"""Server groups, their members, and the hosts that their policies allow.

The allocations of the members are what a policy counts: a server that moves
has one on each of its hosts, so it keeps both free until the move has ended.
Each claim for a member changes the row of the group first. Concurrent claims
of one group are therefore serialized, and each sees the allocations of those
before it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova import states
from minova.db import tables
from minova.db import types
from minova.db.connections.engine import Connection

_t = tables.server_groups
_m = tables.server_group_members
_a = tables.allocations
_i = tables.instances

AFFINITY: Final = 'affinity'
ANTI_AFFINITY: Final = 'anti-affinity'
SOFT_AFFINITY: Final = 'soft-affinity'
SOFT_ANTI_AFFINITY: Final = 'soft-anti-affinity'
#: The rule of the policy anti-affinity.
MAX_PER_HOST: Final = 'max_server_per_host'


@dataclasses.dataclass(frozen=True)
class ServerGroup:
    """A server group."""

    id: int
    uuid: str
    project_id: str
    user_id: str
    name: str
    policy: str
    rules: dict[str, int]
    notification_seq: int
    claims: int
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class GroupPlacement:
    """What the policy of a group says about hosts, for one of its members.

    ``counts`` has the number of other members with an allocation on a host.
    """

    group: ServerGroup
    counts: Mapping[str, int]

    def find_refusal(self, host: str) -> str | None:
        """Return why a hard policy excludes a host, None when it does not."""
        if self.group.policy == ANTI_AFFINITY:
            most = self.group.rules.get(MAX_PER_HOST, 1)
            count = self.counts.get(host, 0)
            if count >= most:
                return (
                    f'it has {count} of at most {most} servers of '
                    f'anti-affinity group {self.group.uuid}'
                )
        if self.group.policy == AFFINITY:
            others = sorted(set(self.counts) - {host})
            if others:
                return (
                    f'affinity group {self.group.uuid} has servers on '
                    f'{", ".join(others)}'
                )
        return None

    def weigh(self, host: str) -> int:
        """Return how well a soft policy fits a host; more is better."""
        count = self.counts.get(host, 0)
        if self.group.policy == SOFT_AFFINITY:
            return count
        return -count if self.group.policy == SOFT_ANTI_AFFINITY else 0


# -- groups ------------------------------------------------------------------


def lock(connection: Connection, uuid: str) -> ServerGroup | None:
    """Return a group whose row is locked, None if there is none."""
    changed = connection.execute(
        sa.update(_t).where(_t.c.uuid == uuid).values(claims=_t.c.claims + 1)
    )
    return get(connection, uuid) if changed.rowcount else None


def get(connection: Connection, uuid: str) -> ServerGroup | None:
    """Return a group, None if there is none."""
    row = connection.execute(sa.select(*_t.c).where(_t.c.uuid == uuid))
    found = row.mappings().first()
    return ServerGroup(**found) if found else None


def list_page(
    connection: Connection, project_id: str | None, limit: int, offset: int
) -> list[ServerGroup]:
    """Return groups of a project, or of all, in the order of creation."""
    query = sa.select(*_t.c).order_by(_t.c.id).limit(limit).offset(offset)
    if project_id is not None:
        query = query.where(_t.c.project_id == project_id)
    return [ServerGroup(**row) for row in connection.execute(query).mappings()]


def insert(connection: Connection, values: types.Values) -> None:
    """Insert a group without members."""
    connection.execute(sa.insert(_t).values(**values))


def set_notification_seq(
    connection: Connection, group: ServerGroup, newest: int
) -> None:
    """Write the number of the newest notification of a locked group."""
    connection.execute(
        sa.update(_t)
        .where(_t.c.id == group.id)
        .values(notification_seq=newest)
    )


def delete(connection: Connection, group: ServerGroup) -> None:
    """Delete a locked group; its servers stay where they are."""
    connection.execute(sa.delete(_m).where(_m.c.group_id == group.id))
    connection.execute(sa.delete(_t).where(_t.c.id == group.id))


def count(
    connection: Connection, project_id: str, user_id: str | None = None
) -> int:
    """Return how many groups a project, or a user in it, has."""
    query = sa.select(sa.func.count()).where(_t.c.project_id == project_id)
    if user_id is not None:
        query = query.where(_t.c.user_id == user_id)
    return int(connection.execute(query).scalar_one())


# -- members -----------------------------------------------------------------


def add_members(
    connection: Connection, group: ServerGroup, instance_uuids: Iterable[str]
) -> None:
    """Add new servers to a locked group."""
    connection.execute(
        sa.insert(_m),
        [
            {'instance_uuid': uuid, 'group_id': group.id}
            for uuid in instance_uuids
        ],
    )


def remove_member(connection: Connection, instance_uuid: str) -> None:
    """Let a server that is deleted leave its group."""
    connection.execute(
        sa.delete(_m).where(_m.c.instance_uuid == instance_uuid)
    )


def list_members(
    connection: Connection, groups: Iterable[ServerGroup]
) -> dict[int, list[str]]:
    """Return the servers of groups by the number of the group."""
    found: dict[int, list[str]] = {group.id: [] for group in groups}
    rows = connection.execute(
        sa.select(_m.c.group_id, _m.c.instance_uuid)
        .join(_i, _i.c.uuid == _m.c.instance_uuid)
        .where(_m.c.group_id.in_(found), _i.c.vm_state.in_(states.NOT_DELETED))
        .order_by(_i.c.id)
    )
    for row in rows:
        found[row.group_id].append(row.instance_uuid)
    return found


def count_members(
    connection: Connection, group: ServerGroup, user_id: str | None = None
) -> int:
    """Return how many servers, of a user if given, a group has."""
    query = (
        sa.select(sa.func.count())
        .select_from(_m.join(_i, _i.c.uuid == _m.c.instance_uuid))
        .where(
            _m.c.group_id == group.id, _i.c.vm_state.in_(states.NOT_DELETED)
        )
    )
    if user_id is not None:
        query = query.where(_i.c.user_id == user_id)
    return int(connection.execute(query).scalar_one())


# -- placement ---------------------------------------------------------------

_COUNTS: Final = (
    sa.select(_a.c.host, sa.func.count(_a.c.instance_uuid.distinct()))
    .join(_m, _m.c.instance_uuid == _a.c.instance_uuid)
    .where(
        _m.c.group_id == sa.bindparam('the_group'),
        _m.c.instance_uuid != sa.bindparam('the_instance'),
    )
    .group_by(_a.c.host)
)


def read_placement(
    connection: Connection, group_uuid: str, instance_uuid: str
) -> GroupPlacement | None:
    """Return what a group allows to a member, None without the group."""
    return _placement(connection, get(connection, group_uuid), instance_uuid)


def lock_placement(
    connection: Connection, group_uuid: str, instance_uuid: str
) -> GroupPlacement | None:
    """Return what a group allows, which stays true until the commit."""
    return _placement(connection, lock(connection, group_uuid), instance_uuid)


def admits(
    connection: Connection,
    group_uuid: str | None,
    instance_uuid: str,
    host: str,
) -> bool:
    """Return whether an instance may claim a host, until the commit."""
    if group_uuid is None:
        return True
    found = lock_placement(connection, group_uuid, instance_uuid)
    return found is None or found.find_refusal(host) is None


def _placement(
    connection: Connection, group: ServerGroup | None, instance_uuid: str
) -> GroupPlacement | None:
    if group is None:
        return None
    values: dict[str, Any] = {
        'the_group': group.id,
        'the_instance': instance_uuid,
    }
    rows = connection.execute(_COUNTS, values)
    return GroupPlacement(group, {row[0]: row[1] for row in rows})
