# SPDX-License-Identifier: Apache-2.0
"""The limits of a project and its usage, under other names than quota sets.

There are no rate limits. Server groups do not exist, so none is used.
"""

from typing import Final

from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.quotas import limits

_ALWAYS: Final = 999
# fmt: off
#: Name of the limit, resource, and the last version that has the limit. A
#: resource of networks is not limited here.
_LIMITS: Final = (
    ('maxTotalInstances',       'instances',                   _ALWAYS),
    ('maxTotalCores',           'cores',                       _ALWAYS),
    ('maxTotalRAMSize',         'ram',                         _ALWAYS),
    ('maxServerMeta',           'metadata_items',              _ALWAYS),
    ('maxTotalKeypairs',        'key_pairs',                   _ALWAYS),
    ('maxServerGroups',         'server_groups',               _ALWAYS),
    ('maxServerGroupMembers',   'server_group_members',        _ALWAYS),
    ('maxImageMeta',            'metadata_items',              38),
    ('maxPersonality',          'injected_files',              56),
    ('maxPersonalitySize',      'injected_file_content_bytes', 56),
    ('maxSecurityGroups',       'security_groups',             35),
    ('maxSecurityGroupRules',   'security_group_rules',        35),
    ('maxTotalFloatingIps',     'floating_ips',                35),
)
_USAGES: Final = (
    ('totalInstancesUsed',      'instances',                   _ALWAYS),
    ('totalCoresUsed',          'cores',                       _ALWAYS),
    ('totalRAMUsed',            'ram',                         _ALWAYS),
    ('totalServerGroupsUsed',   'server_groups',               _ALWAYS),
    ('totalSecurityGroupsUsed', 'security_groups',             35),
    ('totalFloatingIpsUsed',    'floating_ips',                35),
)
# fmt: on
_QUERY: Final = queries.QuerySchema({'tenant_id': Param()}, strict_since=75)
_OTHER: Final = 'os_compute_api:limits:other_project'


def show(request: ApiRequest) -> Document:
    """Show the limits and the usage of a project."""
    project = request.query.get('tenant_id')
    if project is None:
        project = request.project
    elif project != request.context.project_id:
        request.require(_OTHER)
    limited, used = request.database.read(
        lambda connection: (
            limits.get_limits(connection, project),
            limits.get_used(connection, project),
        )
    )
    absolute = {
        name: limited.get(resource, limits.UNLIMITED)
        for name, resource, until in _LIMITS
        if request.version <= until
    }
    absolute |= {
        name: used.get(resource, 0)
        for name, resource, until in _USAGES
        if request.version <= until
    }
    return {'limits': {'rate': [], 'absolute': absolute}}


ROUTES: Final = (
    Route('GET', '/limits', show, 'os_compute_api:limits', query=_QUERY),
)
