# SPDX-License-Identifier: Apache-2.0
"""Limits and quotas: what a project may use and what it uses.

Quotas are the same for all projects and stand in the configuration; here they
can only be looked at. Of what is not offered (server groups, floating
addresses, files) a project may have 0. Key pairs are a user's, so a project
uses none.
"""

import dataclasses
from typing import Any
from typing import Final

from minova.api import quotas
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.conf import CONF
from minova.db import usage

#: Names of limits of what is not offered, until which version they stand.
_ALWAYS: Final = 999
_NOT_OFFERED: Final = {
    'maxServerGroups': _ALWAYS,
    'maxServerGroupMembers': _ALWAYS,
    'totalServerGroupsUsed': _ALWAYS,
    'maxImageMeta': 38,
    'maxPersonality': 56,
    'maxPersonalitySize': 56,
    'maxSecurityGroups': 35,
    'maxSecurityGroupRules': 35,
    'maxTotalFloatingIps': 35,
    'totalSecurityGroupsUsed': 35,
    'totalFloatingIpsUsed': 35,
}
_QUOTAS_NOT_OFFERED: Final = {
    'server_groups': _ALWAYS,
    'server_group_members': _ALWAYS,
    'injected_files': 56,
    'injected_file_content_bytes': 56,
    'injected_file_path_bytes': 56,
    'fixed_ips': 35,
    'floating_ips': 35,
    'security_groups': 35,
    'security_group_rules': 35,
}
_QUERY: Final = queries.Query(
    {'tenant_id': Param(), 'reserved': Param()}, strict_since=75
)
_OTHER: Final = 'os_compute_api:limits:other_project'


def limits(ask: Ask) -> Any:
    """Show the limits of a project and what it uses."""
    project = ask.query.get('tenant_id')
    if project is None:
        project = ask.project
    elif project != ask.context.project_id:
        ask.require(_OTHER)
    used = _used(ask, project)
    most = quotas.limits()
    absolute = {
        'maxTotalInstances': most['instances'],
        'maxTotalCores': most['cores'],
        'maxTotalRAMSize': most['ram'],
        'maxServerMeta': CONF.quota.metadata_items,
        'maxTotalKeypairs': CONF.quota.key_pairs,
        'totalInstancesUsed': used.instances,
        'totalCoresUsed': used.cores,
        'totalRAMUsed': used.ram,
    }
    absolute |= _zeros(_NOT_OFFERED, ask.version)
    return {'limits': {'rate': [], 'absolute': absolute}}


def quota_set(ask: Ask, project_id: str) -> Any:
    """Show the quotas of a project."""
    ask.require(str(ask.rule), project_id)
    return {'quota_set': {'id': project_id, **_limits(ask)}}


def quota_set_detail(ask: Ask, project_id: str) -> Any:
    """Show the quotas of a project and what it uses of them."""
    ask.require(str(ask.rule), project_id)
    used = dataclasses.asdict(_used(ask, project_id))
    shown: dict[str, Any] = {'id': project_id}
    for name, limit in _limits(ask).items():
        in_use = used.get(name, 0)
        shown[name] = {'limit': limit, 'in_use': in_use, 'reserved': 0}
    return {'quota_set': shown}


def quota_defaults(ask: Ask, project_id: str) -> Any:
    """Show the quotas of a project of which nothing is said."""
    return {'quota_set': {'id': project_id, **_limits(ask)}}


def _used(ask: Ask, project_id: str) -> usage.Used:
    return ask.database.read(
        lambda connection: usage.used(connection, project_id)
    )


def _limits(ask: Ask) -> dict[str, int]:
    found = quotas.limits()
    found['metadata_items'] = CONF.quota.metadata_items
    found['key_pairs'] = CONF.quota.key_pairs
    return found | _zeros(_QUOTAS_NOT_OFFERED, ask.version)


def _zeros(until: dict[str, int], version: int) -> dict[str, int]:
    return {name: 0 for name in until if version <= until[name]}


_RULE: Final = 'os_compute_api:os-quota-sets'
_ONE: Final = '/os-quota-sets/{project_id}'
_ANY: Final = queries.Query({'user_id': Param(), 'tenant_id': Param()})
ROUTES: Final = (
    Route('GET', '/limits', limits, 'os_compute_api:limits', query=_QUERY),
    Route('GET', _ONE, quota_set, f'{_RULE}:show', query=_ANY),
    Route(
        'GET',
        f'{_ONE}/detail',
        quota_set_detail,
        f'{_RULE}:detail',
        query=_ANY,
    ),
    Route('GET', f'{_ONE}/defaults', quota_defaults, f'{_RULE}:defaults'),
)
