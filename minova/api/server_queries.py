# SPDX-License-Identifier: Apache-2.0
"""What a list of servers may be filtered and sorted by, and by whom.

A user who may not use all filters (``servers:allow_all_filters``) has those
that ``_FOR_ALL`` lists; others are ignored, as Nova documents it. Without
``all_tenants`` everybody sees only the servers of the own project.
"""

import datetime
from typing import Any
from typing import Final

from minova import exception
from minova import states
from minova.api import flavor_lookup
from minova.api import microversion
from minova.api.ask import Ask
from minova.api.schemas import patterns
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.db import flavors
from minova.db import listings
from minova.db import paging

_SERVERS: Final = 'os_compute_api:servers'

#: How filters are called in the database, where they are called otherwise.
_RENAMED: Final = {
    'image': 'image_ref',
    'display_name': 'name',
    'display_description': 'description',
    'all_projects': 'all_tenants',
}

_number: Final = Param(queries.number)
_moment: Final = Param(queries.moment)
_truth: Final = Param(queries.truth)
_pattern: Final = Param(patterns.regex)


def _read_tags(value: str) -> list[str]:
    found = [tag for tag in queries.text(value).split(',') if tag]
    if not found:
        raise ValueError('must name tags, with "," between them')
    return found


_tags: Final = Param(_read_tags, since=26)

_NAMES: Final = (
    'uuid user_id project_id tenant_id host node image_ref vm_state '
    'task_state availability_zone reservation_id key_name kernel_id '
    'ramdisk_id hostname root_device_name access_ip_v4 access_ip_v6 locked_by'
)
_EXACT: Final = {name: Param() for name in _NAMES.split()}

LIST: Final = queries.Query(
    {
        **queries.PAGE,
        'sort_key': Param(many=True),
        'sort_dir': Param(queries.one_of('asc', 'desc'), many=True),
        'all_tenants': Param(queries.truth_if_named),
        'all_projects': Param(queries.truth_if_named, until=74),
        'name': _pattern,
        'display_name': _pattern,
        'description': _pattern,
        'display_description': _pattern,
        'status': Param(many=True),
        'flavor': Param(),
        'image': Param(),
        'ip': _pattern,
        'ip6': _pattern,
        'changes-since': _moment,
        'changes-before': Param(queries.moment, since=66),
        'created_at': _moment,
        'launched_at': _moment,
        'terminated_at': _moment,
        'deleted': _truth,
        'soft_deleted': _truth,
        'locked': Param(queries.truth, since=73),
        'config_drive': _truth,
        'auto_disk_config': _truth,
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
#: From which version on everybody may use a filter.
_FOR_ALL: Final = {
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
#: Sorting by these tells where servers are.
_PLACES: Final = frozenset({'host', 'node'})


def filters(ask: Ask, detail: bool) -> dict[str, Any] | None:
    """Return the filters of a list in the database's terms.

    None when nothing can pass them.
    """
    given = _allowed(ask)
    everybody = _all_projects(ask, given, detail)
    found = {
        _RENAMED.get(name, name): value
        for name, value in given.items()
        if name not in _PAGING and name in _KNOWN
    }
    if not everybody:
        found['project_id'] = ask.project
    if not _read_status(ask, found) or not _read_flavor(ask, found):
        return None
    if 'deleted' not in found and not _has_period(found):
        found['deleted'] = False
    _require_order(found)
    return found


_KNOWN: Final = {*listings.FILTERS, *_RENAMED} - {'all_projects'}


def _allowed(ask: Ask) -> dict[str, Any]:
    """Return the parameters that the caller may use."""
    if ask.allows(f'{_SERVERS}:allow_all_filters'):
        return dict(ask.query)
    return {
        name: value
        for name, value in ask.query.items()
        if name in _PAGING or _FOR_ALL.get(name, _NEVER) <= ask.version
    }


def _all_projects(ask: Ask, given: dict[str, Any], detail: bool) -> bool:
    """Tell whether the servers of all projects are asked for.

    Forbidden when they are and the caller may not.
    """
    project = given.pop('tenant_id', None)
    if project is not None:
        given.setdefault('project_id', project)
    named = given.get('project_id') not in (None, ask.context.project_id)
    everybody = bool(
        given.pop('all_tenants', given.pop('all_projects', named))
    )
    if everybody:
        what = 'detail' if detail else 'index'
        ask.require(f'{_SERVERS}:{what}:get_all_tenants')
    return everybody


def _read_status(ask: Ask, found: dict[str, Any]) -> bool:
    """Check the words; tell whether any server can have one of them."""
    if 'status' not in found:
        return True
    words = [w for w in found['status'] if states.vm_states_of(w)]
    if not words:
        if ask.version >= 38:
            raise exception.InvalidInput('Invalid status value')
        return False
    found['status'] = words
    if {word.upper() for word in words} == {'DELETED'}:
        if not ask.context.is_admin:
            raise exception.Forbidden(
                'Only administrators may list deleted instances'
            )
        found['deleted'] = True
    return True


def _read_flavor(ask: Ask, found: dict[str, Any]) -> bool:
    """Put the flavor's number in the place of its id."""
    if 'flavor' not in found:
        return True
    flavorid = found['flavor']
    flavor = ask.database.read(lambda c: flavors.get(c, flavorid))
    if flavor is None or not flavor_lookup.sees(ask, flavor):
        return False
    found['flavor'] = flavor.id
    return True


def _has_period(found: dict[str, Any]) -> bool:
    return 'changes-since' in found or 'changes-before' in found


def _require_order(found: dict[str, Any]) -> None:
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    since = found.get('changes-since')
    if since is not None and since > found.get('changes-before', never):
        raise exception.InvalidInput(
            'The value of changes-since must be less than or equal to '
            'changes-before.'
        )


def order(ask: Ask) -> list[paging.Key]:
    """Return what the list is sorted by; [] for the usual order."""
    names = ask.query.get('sort_key', [])
    directions = ask.query.get('sort_dir', [])
    if len(directions) > len(names):
        raise exception.InvalidInput(
            'There are more sort_dir than sort_key parameters.'
        )
    directions += directions[:1] * (len(names) - len(directions))
    directions = directions or ['desc'] * len(names)
    keys: dict[str, paging.Key] = {}
    for name, direction in zip(names, directions, strict=True):
        keys.setdefault(
            name, paging.Key(_column(ask, name), direction == 'desc')
        )
    return list(keys.values())


def _column(ask: Ask, name: str) -> Any:
    column = listings.SORT_KEYS.get(name)
    if column is None or (name == 'locked' and ask.version < 73):
        known = ', '.join(sorted(listings.SORT_KEYS))
        raise exception.InvalidInput(
            f'Invalid input for query parameter sort_key: must be one of '
            f'{known}.'
        )
    if name in _PLACES and not ask.context.is_admin:
        raise exception.Forbidden(
            f'Only administrators can sort servers by {name}'
        )
    return column
