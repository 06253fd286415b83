# SPDX-License-Identifier: Apache-2.0
"""Limits and quota sets: the limits of a project and its usage.

The configuration sets the same quotas for all projects; the API only shows
them. The quota of unsupported resources (server groups, floating addresses,
files) is 0. Key pairs belong to users, so the usage of a project is 0.
"""

import dataclasses
from typing import Final

from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import quotas
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.conf import CONF
from minova.db.queries import quota_usage

#: Limits of unsupported resources, and the last version that has them.
_ALWAYS: Final = 999
_UNSUPPORTED_LIMITS: Final = {
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
_UNSUPPORTED_QUOTAS: Final = {
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
_QUERY: Final = queries.QuerySchema({'tenant_id': Param()}, strict_since=75)
_OTHER: Final = 'os_compute_api:limits:other_project'


def show_limits(request: ApiRequest) -> Document:
    """Show the limits and the usage of a project."""
    project = request.query.get('tenant_id')
    if project is None:
        project = request.project
    elif project != request.context.project_id:
        request.require(_OTHER)
    used = _read_usage(request, project)
    limits = quotas.get_limits()
    absolute = {
        'maxTotalInstances': limits['instances'],
        'maxTotalCores': limits['cores'],
        'maxTotalRAMSize': limits['ram'],
        'maxServerMeta': CONF.quota.metadata_items,
        'maxTotalKeypairs': CONF.quota.key_pairs,
        'totalInstancesUsed': used.instances,
        'totalCoresUsed': used.cores,
        'totalRAMUsed': used.ram,
    }
    absolute |= _zero_limits(_UNSUPPORTED_LIMITS, request.version)
    return {'limits': {'rate': [], 'absolute': absolute}}


def show_quota_set(request: ApiRequest, project_id: str) -> Document:
    """Show the quotas of a project."""
    request.require(str(request.rule), project_id)
    return {'quota_set': {'id': project_id, **_read_limits(request)}}


def show_quota_set_detail(request: ApiRequest, project_id: str) -> Document:
    """Show the quotas of a project and its usage."""
    request.require(str(request.rule), project_id)
    used = dataclasses.asdict(_read_usage(request, project_id))
    result: Document = {'id': project_id}
    for name, limit in _read_limits(request).items():
        in_use = used.get(name, 0)
        result[name] = {'limit': limit, 'in_use': in_use, 'reserved': 0}
    return {'quota_set': result}


def show_quota_defaults(request: ApiRequest, project_id: str) -> Document:
    """Show the default quotas, which apply to every project."""
    return {'quota_set': {'id': project_id, **_read_limits(request)}}


def _read_usage(
    request: ApiRequest, project_id: str
) -> quota_usage.QuotaUsage:
    return request.database.read(
        lambda connection: quota_usage.get_usage(connection, project_id)
    )


def _read_limits(request: ApiRequest) -> dict[str, int]:
    found = quotas.get_limits()
    found['metadata_items'] = CONF.quota.metadata_items
    found['key_pairs'] = CONF.quota.key_pairs
    return found | _zero_limits(_UNSUPPORTED_QUOTAS, request.version)


def _zero_limits(until: dict[str, int], version: int) -> dict[str, int]:
    return {name: 0 for name in until if version <= until[name]}


_RULE: Final = 'os_compute_api:os-quota-sets'
_ONE: Final = '/os-quota-sets/{project_id}'
_SET_QUERY: Final = queries.QuerySchema(
    {'user_id': Param(is_repeatable=True)}, strict_since=75
)
ROUTES: Final = (
    Route(
        'GET', '/limits', show_limits, 'os_compute_api:limits', query=_QUERY
    ),
    Route('GET', _ONE, show_quota_set, f'{_RULE}:show', query=_SET_QUERY),
    Route(
        'GET',
        f'{_ONE}/detail',
        show_quota_set_detail,
        f'{_RULE}:detail',
        query=_SET_QUERY,
    ),
    Route('GET', f'{_ONE}/defaults', show_quota_defaults, f'{_RULE}:defaults'),
)
