# SPDX-License-Identifier: Apache-2.0
"""/extensions: what clients of the first versions look for.

An extension is no more than its alias: each endpoint and field exists at its
microversion.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document

#: The extensions of the API that are offered, by alias.
_NAMES: Final = {
    'os-admin-actions': 'AdminActions',
    'os-aggregates': 'Aggregates',
    'os-attach-interfaces': 'AttachInterfaces',
    'os-availability-zone': 'AvailabilityZone',
    'os-config-drive': 'ConfigDrive',
    'os-console-auth-tokens': 'ConsoleAuthTokens',
    'os-console-output': 'ConsoleOutput',
    'os-consoles': 'Consoles',
    'os-deferred-delete': 'DeferredDelete',
    'os-evacuate': 'Evacuate',
    'os-extended-availability-zone': 'ExtendedAvailabilityZone',
    'os-extended-server-attributes': 'ExtendedServerAttributes',
    'os-extended-status': 'ExtendedStatus',
    'os-flavor-access': 'FlavorAccess',
    'os-flavor-extra-specs': 'FlavorExtraSpecs',
    'os-flavor-manage': 'FlavorManage',
    'os-floating-ip-pools': 'FloatingIpPools',
    'os-floating-ips': 'FloatingIps',
    'os-hosts': 'Hosts',
    'os-hypervisors': 'Hypervisors',
    'os-instance-actions': 'InstanceActions',
    'os-keypairs': 'Keypairs',
    'os-lock-server': 'LockServer',
    'os-migrate-server': 'MigrateServer',
    'os-migrations': 'Migrations',
    'os-multinic': 'Multinic',
    'os-multiple-create': 'MultipleCreate',
    'os-networks': 'Networks',
    'os-pause-server': 'PauseServer',
    'os-quota-class-sets': 'QuotaClasses',
    'os-quota-sets': 'Quotas',
    'os-remote-consoles': 'Consoles',
    'os-rescue': 'Rescue',
    'os-security-groups': 'SecurityGroups',
    'os-server-external-events': 'ServerExternalEvents',
    'os-server-usage': 'ServerUsage',
    'os-services': 'Services',
    'os-simple-tenant-usage': 'SimpleTenantUsage',
    'os-suspend-server': 'SuspendServer',
    'os-tenant-networks': 'TenantNetworks',
    'os-user-data': 'UserData',
}


def _view(alias: str) -> Document:
    return {
        'alias': alias,
        'name': _NAMES[alias],
        'description': _NAMES[alias],
        'links': [],
        'namespace': 'http://docs.openstack.org/compute/ext/fake_xml',
        'updated': '2014-12-03T00:00:00Z',
    }


def index(request: ApiRequest) -> Document:
    """List the extensions."""
    return {'extensions': [_view(alias) for alias in _NAMES]}


def show(request: ApiRequest, key: str) -> Document:
    """Show an extension."""
    if key not in _NAMES:
        raise exception.NotFound(
            f'There is no extension with the alias {key[:64]}.'
        )
    return {'extension': _view(key)}


_RULE: Final = 'os_compute_api:extensions'
ROUTES: Final = (
    Route('GET', '/extensions', index, _RULE),
    Route('GET', '/extensions/{key}', show, _RULE),
)
