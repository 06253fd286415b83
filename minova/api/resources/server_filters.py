# SPDX-License-Identifier: Apache-2.0
"""Filters and sort keys of server lists.

A caller without ``servers:allow_all_filters`` may use the filters in
``_USER_FILTERS``; others are ignored, as in Nova. Without ``all_tenants`` a
list contains the servers of the caller's project only.
"""

import datetime
from typing import Any
from typing import Final

from minova import exception
from minova import states
from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.resources import flavor_lookup
from minova.api.schemas import patterns
from minova.api.schemas import queries
from minova.api.schemas import types
from minova.api.schemas.queries import Param
from minova.db.queries import paging
from minova.db.queries import server_queries

#: Values of filters, by the database's names.
Filters = dict[str, Any]

_SERVERS: Final = 'os_compute_api:servers'

#: The names of filters in the database, where they differ.
_RENAMED: Final = {
    'image': 'image_ref',
    'display_name': 'name',
    'display_description': 'description',
    'all_projects': 'all_tenants',
}

_number: Final = Param(queries.parse_number)
_time: Final = Param(queries.parse_time)
_boolean: Final = Param(queries.parse_boolean)
_pattern: Final = Param(patterns.parse_regex)
_reference: Final = Param(
    lambda value: types.reference_id(queries.parse_text(value))
)


def _parse_tags(value: str) -> list[str]:
    found = [tag for tag in queries.parse_text(value).split(',') if tag]
    if not found:
        raise ValueError('must be a comma-separated list of tags')
    return found


_tags: Final = Param(_parse_tags, since=26)

_EXACT_NAMES: Final = (
    'uuid user_id project_id tenant_id host node image_ref vm_state '
    'task_state availability_zone reservation_id key_name kernel_id '
    'ramdisk_id hostname root_device_name access_ip_v4 access_ip_v6 locked_by'
)
_EXACT: Final = {name: Param() for name in _EXACT_NAMES.split()}

LIST_QUERY: Final = queries.QuerySchema(
    {
        **queries.PAGE_PARAMS,
        'sort_key': Param(is_repeatable=True),
        'sort_dir': Param(queries.one_of('asc', 'desc'), is_repeatable=True),
        'all_tenants': Param(queries.parse_flag),
        'all_projects': Param(queries.parse_flag, until=74),
        'name': _pattern,
        'display_name': _pattern,
        'description': _pattern,
        'display_description': _pattern,
        'status': Param(is_repeatable=True),
        'flavor': _reference,
        'image': _reference,
        'ip': _pattern,
        'ip6': _pattern,
        'changes-since': _time,
        'changes-before': Param(queries.parse_time, since=66),
        'created_at': _time,
        'launched_at': _time,
        'terminated_at': _time,
        'deleted': _boolean,
        'soft_deleted': _boolean,
        'locked': Param(queries.parse_boolean, since=73),
        'config_drive': _boolean,
        'auto_disk_config': _boolean,
        'power_state': _number,
        'launch_index': _number,
        'progress': _number,
        'tags': _tags,
        'tags-any': _tags,
        'not-tags': _tags,
        'not-tags-any': _tags,
        **_EXACT,
    },
    strict_since=75,
)

_NEVER: Final = microversion.MAXIMUM + 1
#: The version since which all users may use a filter.
_USER_FILTERS: Final = {
    name: since
    for since, names in (
        (1, 'reservation_id name status image flavor ip changes-since'),
        (1, 'all_tenants all_projects'),
        (5, 'ip6'),
        (26, 'tags tags-any not-tags not-tags-any'),
        (66, 'changes-before'),
        (73, 'locked'),
        (83, 'availability_zone config_drive key_name created_at user_id'),
        (83, 'launched_at terminated_at power_state task_state vm_state'),
        (83, 'progress'),
    )
    for name in names.split()
}

_PAGING: Final = frozenset({'limit', 'marker', 'sort_key', 'sort_dir'})
#: Sort keys that reveal the hosts of servers.
_HOST_KEYS: Final = frozenset({'host', 'node'})


def parse_filters(request: ApiRequest, detail: bool) -> Filters | None:
    """Return the filters by their database names.

    None when no server can match.
    """
    given = _allowed_params(request)
    all_projects = _all_projects(request, given, detail)
    found = {
        _RENAMED.get(name, name): value
        for name, value in given.items()
        if name not in _PAGING and name in _KNOWN_FILTERS
    }
    if not all_projects:
        found['project_id'] = request.project
    if not _parse_status(request, found) or not _parse_flavor(request, found):
        return None
    if 'deleted' not in found and not _has_period(found):
        found['deleted'] = False
    if not _shows_soft_deleted(found):
        found['soft_deleted'] = False
    _require_order(found)
    return found


_KNOWN_FILTERS: Final = {*server_queries.FILTERS, *_RENAMED} - {'all_projects'}


def _allowed_params(request: ApiRequest) -> Filters:
    """Return the query parameters that the caller may use."""
    if request.allows(f'{_SERVERS}:allow_all_filters'):
        return dict(request.query)
    return {
        name: value
        for name, value in request.query.items()
        if name in _PAGING
        or _USER_FILTERS.get(name, _NEVER) <= request.version
    }


def _all_projects(request: ApiRequest, given: Filters, detail: bool) -> bool:
    """Return whether the list includes all projects.

    Forbidden when it does and the caller may not.
    """
    # As in Nova, tenant_id implies all_tenants, and project_id does not.
    project = given.pop('tenant_id', None)
    named = project not in (None, request.context.project_id)
    if project is not None:
        given.setdefault('project_id', project)
    all_projects = bool(
        given.pop('all_tenants', given.pop('all_projects', named))
    )
    if all_projects:
        what = 'detail' if detail else 'index'
        request.require(f'{_SERVERS}:{what}:get_all_tenants')
    return all_projects


def _parse_status(request: ApiRequest, found: Filters) -> bool:
    """Check the statuses; return whether any server can have one of them."""
    if 'status' not in found:
        return True
    words = [w for w in found['status'] if states.vm_states_for_status(w)]
    if not words:
        if request.version >= 38:
            raise exception.InvalidInput('Invalid status value')
        return False
    found['status'] = words
    if {word.upper() for word in words} == {'DELETED'}:
        if not request.context.is_admin:
            raise exception.Forbidden(
                'Only administrators may list deleted instances'
            )
        found['deleted'] = True
    return True


def _parse_flavor(request: ApiRequest, found: Filters) -> bool:
    """Replace the id of the flavor by its database id."""
    if 'flavor' not in found:
        return True
    flavorid = found['flavor']
    flavor = request.database.read(
        lambda c: flavor_lookup.find_visible(c, request, flavorid)
    )
    if flavor is None:
        return False
    found['flavor'] = flavor.id
    return True


def _shows_soft_deleted(found: Filters) -> bool:
    """Remove the filter; return whether the list has soft-deleted servers.

    As in Nova, ``deleted`` shows them too, and ``soft_deleted`` adds them to
    the others. A filter that names their state shows them to all users.
    """
    wanted = found.pop('soft_deleted', None)
    if wanted is not None:
        return bool(wanted)
    is_named = found.get('vm_state') == states.SOFT_DELETE or any(
        states.SOFT_DELETE in states.vm_states_for_status(word)
        for word in found.get('status', ())
    )
    return is_named or found.get('deleted') is not False


def _has_period(found: Filters) -> bool:
    return 'changes-since' in found or 'changes-before' in found


def _require_order(found: Filters) -> None:
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    since = found.get('changes-since')
    if since is not None and since > found.get('changes-before', never):
        raise exception.InvalidInput(
            'The value of changes-since must be less than or equal to '
            'changes-before.'
        )


def parse_sort(request: ApiRequest) -> list[paging.SortKey]:
    """Return the sort keys of the list; [] for the default order."""
    names = request.query.get('sort_key', [])
    directions = request.query.get('sort_dir', [])
    if len(directions) > len(names):
        raise exception.InvalidInput(
            'There are more sort_dir than sort_key parameters.'
        )
    directions += directions[:1] * (len(names) - len(directions))
    directions = directions or ['desc'] * len(names)
    keys: dict[str, paging.SortKey] = {}
    for name, direction in zip(names, directions, strict=True):
        keys.setdefault(name, _sort_key(request, name, direction == 'desc'))
    return list(keys.values())


def _sort_key(
    request: ApiRequest, name: str, descending: bool
) -> paging.SortKey:
    column = server_queries.SORT_KEYS.get(name)
    if column is None or (name == 'locked' and request.version < 73):
        known = ', '.join(sorted(server_queries.SORT_KEYS))
        raise exception.InvalidInput(
            f'Invalid input for query parameter sort_key: must be one of '
            f'{known}.'
        )
    if name in _HOST_KEYS and not request.context.is_admin:
        raise exception.Forbidden(
            f'Only administrators can sort servers by {name}'
        )
    return paging.SortKey(column, descending)
