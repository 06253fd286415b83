# SPDX-License-Identifier: Apache-2.0
"""Servers as the API shows, filters and lists them.

The queries return plain rows of the shown columns, not objects, because a
page may have a thousand of them: JSON columns come as text, times as naive
UTC. The caller restricts the rows to a project (``project_id``, None for all
projects); filters never add rows.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
import functools
from typing import Any
from typing import Final

import sqlalchemy as sa

from minova import exception
from minova import states
from minova.db import tables
from minova.db import types
from minova.db.connections import error_classes
from minova.db.connections import statement_limit
from minova.db.connections import user_regex
from minova.db.connections.engine import Connection
from minova.db.queries import operations
from minova.db.queries import paging

_t = tables.instances
_g = tables.instance_tags
_m = tables.server_group_members
_v = tables.services

#: A row with the selected columns as attributes.
Row = Any

_BRIEF: Final = (_t.c.uuid, _t.c.display_name)
_SHOWN: Final = (
    'id uuid project_id user_id display_name display_description host '
    'availability_zone vm_state task_state power_state progress flavor '
    'image_ref metadata network_info key_name config_drive '
    'auto_disk_config locked locked_reason access_ip_v4 access_ip_v6 '
    'created_at updated_at launched_at terminated_at hostname request_spec '
    'image_meta'
)
#: Shown only with the host of a server.
_HOST_ATTRIBUTES: Final = (
    'node reservation_id launch_index kernel_id ramdisk_id '
    'root_device_name user_data'
)


#: The column types that are read without conversion.
_RAW_TYPES: Final[dict[type[Any], Any]] = {
    types.Json: sa.Text(),
    types.VersionedObject: sa.Text(),
    types.UtcDateTime: sa.DateTime(),
}


def _columns(names: str) -> tuple[types.Column, ...]:
    return tuple(
        sa.type_coerce(column, _RAW_TYPES[type(column.type)]).label(
            column.name
        )
        if type(column.type) in _RAW_TYPES
        else column
        for column in (_t.c[name] for name in names.split())
    )


_SHOWN_COLUMNS: Final = _columns(_SHOWN)
_HOST_ATTRIBUTE_COLUMNS: Final = _columns(_HOST_ATTRIBUTES)

#: The tags of a server, unordered, with commas between them: no tag has one.
_TAGS_COLUMN: Final = sa.type_coerce(
    sa.select(sa.func.aggregate_strings(_g.c.tag, ','))
    .where(_g.c.instance_uuid == _t.c.uuid)
    .scalar_subquery(),
    _g.c.tag.type,
).label('tags')

#: The server group of a server.
_GROUP_COLUMN: Final = (
    sa.select(tables.server_groups.c.uuid)
    .join(_m, _m.c.group_id == tables.server_groups.c.id)
    .where(_m.c.instance_uuid == _t.c.uuid)
    .scalar_subquery()
    .label('server_group')
)

#: The columns of the compute service of a server's host.
_HOST_STATUS_COLUMNS: Final = (
    _v.c.disabled,
    _v.c.forced_down,
    _v.c.fenced_at,
    _v.c.hypervisor_error,
    _v.c.last_seen_at,
    types.now().label('now'),
)
_WITH_HOST_STATUS: Final = _t.outerjoin(
    _v,
    sa.and_(_v.c.binary == operations.COMPUTE_BINARY, _v.c.host == _t.c.host),
)

#: The sort keys of the API.
SORT_KEYS: Final = {
    name: _t.c[name]
    for name in f'{_SHOWN} {_HOST_ATTRIBUTES}'.split()
    if not isinstance(_t.c[name].type, types.Json)
    and name not in {'id', 'user_data', 'locked_reason'}
}
_DEFAULT_ORDER: Final = (
    paging.SortKey(_t.c.created_at, descending=True),
    paging.SortKey(_t.c.id, descending=True),
)


# -- one server --------------------------------------------------------------


@functools.cache
def _select(
    host_attributes: bool, tags: bool, group: bool = False
) -> types.Query:
    return sa.select(
        *_SHOWN_COLUMNS,
        *(_HOST_ATTRIBUTE_COLUMNS if host_attributes else ()),
        *((_TAGS_COLUMN,) if tags else ()),
        *((_GROUP_COLUMN,) if group else ()),
    )


@functools.cache
def _one(
    owned: bool,
    host_attributes: bool,
    host_status: bool,
    deleted: bool,
    tags: bool,
    group: bool,
) -> types.Query:
    query = _select(host_attributes, tags, group)
    if host_status:
        query = query.add_columns(*_HOST_STATUS_COLUMNS).select_from(
            _WITH_HOST_STATUS
        )
    query = query.where(_t.c.uuid == sa.bindparam('uuid'))
    if owned:
        query = query.where(_t.c.project_id == sa.bindparam('project_id'))
    if not deleted:
        query = query.where(_t.c.vm_state != states.DELETED)
    return query


def find(
    connection: Connection,
    uuid: str,
    project_id: str | None,
    host_attributes: bool = False,
    host_status: bool = False,
    deleted: bool = False,
    tags: bool = False,
    group: bool = False,
) -> Row | None:
    """Return a server, None if it is unknown or hidden.

    ``host_attributes`` adds the host and the server's names there to the row,
    ``host_status`` the state of the host's service, ``tags`` the tags,
    ``group`` the id of its server group.
    """
    query = _one(
        project_id is not None,
        host_attributes,
        host_status,
        deleted,
        tags,
        group,
    )
    values = {'uuid': uuid, 'project_id': project_id}
    return connection.execute(query, values).first()


# -- filters -----------------------------------------------------------------


def _equals(column: sa.Column[Any]) -> Callable[[Any], types.Condition]:
    return lambda value: column == value


def _matches(column: sa.Column[Any]) -> Callable[[str], types.Condition]:
    return lambda pattern: column.regexp_match(pattern)


def _at(
    column: sa.Column[Any],
) -> Callable[[datetime.datetime], types.Condition]:
    """Match a time within its second; the API shows no fractions."""

    def condition(moment: datetime.datetime) -> types.Condition:
        end = moment + datetime.timedelta(seconds=1)
        return sa.and_(column >= moment, column < end)

    return condition


_changed_at: Final = sa.func.coalesce(_t.c.updated_at, _t.c.created_at)


def _has_tag(tag: str) -> types.Condition:
    return _t.c.uuid.in_(sa.select(_g.c.instance_uuid).where(_g.c.tag == tag))


def _in_status(statuses: Sequence[str]) -> types.Condition:
    return sa.or_(
        *(
            _has_status(state, status.upper())
            for status in statuses
            for state in states.vm_states_for_status(status)
        )
    )


_TASKS: Final = sorted(
    {task for rule in states.TABLE.values() for task in rule.task_states}
)


def _has_status(vm_state: str, status: str) -> types.Condition:
    """Return the condition that a server is in a vm_state and status."""
    task = _t.c.task_state
    shows = [t for t in _TASKS if states.api_status(vm_state, t) == status]
    if states.api_status(vm_state, None) != status:
        return sa.and_(_t.c.vm_state == vm_state, task.in_(shows))
    others = [t for t in _TASKS if t not in shows]
    return sa.and_(
        _t.c.vm_state == vm_state, sa.or_(task.is_(None), task.not_in(others))
    )


_p = tables.ports
_is_ipv6: Final = _p.c.address.contains(':')


def _has_address(
    of_version: types.Condition,
) -> Callable[[str], types.Condition]:
    return lambda pattern: sa.exists().where(
        _p.c.instance_uuid == _t.c.uuid,
        of_version,
        _p.c.address.regexp_match(pattern),
    )


_EQUAL: Final = (
    'uuid project_id user_id vm_state task_state power_state host node '
    'image_ref availability_zone reservation_id key_name kernel_id '
    'ramdisk_id hostname root_device_name launch_index progress locked '
    'config_drive auto_disk_config access_ip_v4 access_ip_v6'
)

#: The filters of a list: each returns the condition for a value.
FILTERS: Final[dict[str, Callable[[Any], types.Condition]]] = {
    **{name: _equals(_t.c[name]) for name in _EQUAL.split()},
    'name': _matches(_t.c.display_name),
    'description': _matches(_t.c.display_description),
    'status': _in_status,
    'flavor': _equals(_t.c.flavor_id),
    'created_at': _at(_t.c.created_at),
    'launched_at': _at(_t.c.launched_at),
    'terminated_at': _at(_t.c.terminated_at),
    'changes-since': lambda moment: _changed_at >= moment,
    'changes-before': lambda moment: _changed_at <= moment,
    'deleted': lambda wanted: (
        _t.c.vm_state.in_((states.DELETED, states.SOFT_DELETE))
        if wanted
        else _t.c.vm_state != states.DELETED
    ),
    'soft_deleted': lambda wanted: (
        _t.c.vm_state == states.SOFT_DELETE
        if wanted
        else _t.c.vm_state != states.SOFT_DELETE
    ),
    'tags': lambda tags: sa.and_(*map(_has_tag, tags)),
    'tags-any': lambda tags: sa.or_(*map(_has_tag, tags)),
    'not-tags': lambda tags: sa.not_(sa.and_(*map(_has_tag, tags))),
    'not-tags-any': lambda tags: sa.not_(sa.or_(*map(_has_tag, tags))),
    'ip': _has_address(sa.not_(_is_ipv6)),
    'ip6': _has_address(_is_ipv6),
}

#: The filters with a regular expression, and the seconds for a list with one.
_REGEX_FILTERS: Final = frozenset({'name', 'description', 'ip', 'ip6'})
_REGEX_SECONDS: Final = 2.0


# -- lists -------------------------------------------------------------------


def list_page(
    connection: Connection,
    filters: Mapping[str, object],
    limit: int,
    marker: str | None = None,
    order: Sequence[paging.SortKey] = (),
    detail: bool = True,
    host_attributes: bool = False,
    tags: bool = False,
) -> Sequence[Row]:
    """Return at most ``limit`` servers that match all filters.

    Without ``detail`` a row has uuid and display_name only;
    ``host_attributes`` and ``tags`` as in ``find``. Raises InvalidInput for an
    unknown marker, and for a regular expression that the database rejects or
    cannot evaluate quickly.
    """
    query = _select(host_attributes, tags) if detail else sa.select(*_BRIEF)
    patterns = sorted(_REGEX_FILTERS & filters.keys())
    bounded = {
        name: user_regex.bound(connection, str(filters[name]))
        for name in patterns
    }
    conditions = [
        FILTERS[name](bounded.get(name, value))
        for name, value in filters.items()
    ]
    named = {key.column.name for key in order}
    keys = [*order, *(k for k in _DEFAULT_ORDER if k.column.name not in named)]
    if marker is not None:
        conditions.append(_after_marker(connection, keys, marker, filters))
    query = (
        query.where(*conditions).order_by(*paging.order_by(keys)).limit(limit)
    )
    if patterns:
        names, rows = _fetch_bounded(connection, query, patterns)
    else:
        names, rows = _fetch(connection, query)
    return list(map(_row_factory(*names), rows))


def _fetch(
    connection: Connection, query: types.Query
) -> tuple[Iterable[str], Sequence[Row]]:
    result = connection.execute(query)
    return result.keys(), result.all()


def _fetch_bounded(
    connection: Connection, query: types.Query, patterns: Sequence[str]
) -> tuple[Iterable[str], Sequence[Row]]:
    """Execute a query with the regular expressions of these filters."""
    where = f'Invalid input for query parameter {", ".join(patterns)}: '
    slow = f'{where}the regular expression is too slow; use a simpler one.'
    query = statement_limit.limit(query, _REGEX_SECONDS)
    try:
        found = _fetch(connection, query)
    except error_classes.DATABASE_ERRORS as error:
        if error_classes.is_statement_timeout(error):
            raise exception.InvalidInput(slow) from error
        if error_classes.classify(error) is None:
            raise exception.InvalidInput(
                f'{where}the database rejects it as a regular expression.'
            ) from error
        raise
    if user_regex.was_abandoned(connection):
        raise exception.InvalidInput(slow)
    return found


@functools.cache
def _row_factory(*names: str) -> Callable[[Any], Row]:
    """Return a constructor of named tuples.

    They are several times as fast to read as the rows of SQLAlchemy.
    """
    row: Any = collections.namedtuple('Row', names)  # type: ignore[misc]
    make: Callable[[Any], Row] = row._make
    return make


def _after_marker(
    connection: Connection,
    keys: Sequence[paging.SortKey],
    marker: str,
    filters: Mapping[str, object],
) -> types.Condition:
    where = [_t.c.uuid == marker]
    if 'project_id' in filters:
        where.append(_t.c.project_id == filters['project_id'])
    condition = paging.after_marker(connection, keys, *where)
    if condition is None:
        raise exception.InvalidInput(f'marker [{marker}] not found')
    return condition


def list_on_hosts(
    connection: Connection, hosts: Sequence[str]
) -> Sequence[Any]:
    """Return host, uuid, name and task_state of the servers on hosts."""
    return connection.execute(
        sa.select(_t.c.host, *_BRIEF, _t.c.task_state)
        .where(_t.c.host.in_(hosts), _t.c.vm_state != states.DELETED)
        .order_by(_t.c.id)
    ).all()
