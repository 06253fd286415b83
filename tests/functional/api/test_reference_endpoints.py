# SPDX-License-Identifier: Apache-2.0
"""Each endpoint of the reference is offered, or documented with a reason."""

import pathlib
import re

import minova
from minova.api import app
from tests import base

#: The methods of each path in Nova 2026.2, with * for a parameter.
_REFERENCE = {
    '/extensions': 'GET',
    '/extensions/*': 'GET',
    '/flavors': 'GET POST',
    '/flavors/*': 'DELETE GET PUT',
    '/flavors/*/action': 'POST',
    '/flavors/*/os-extra_specs': 'GET POST',
    '/flavors/*/os-extra_specs/*': 'DELETE GET PUT',
    '/flavors/*/os-flavor-access': 'GET',
    '/flavors/detail': 'GET',
    '/images': 'GET',
    '/images/*': 'DELETE GET',
    '/images/*/metadata': 'GET POST PUT',
    '/images/*/metadata/*': 'DELETE GET PUT',
    '/images/detail': 'GET',
    '/limits': 'GET',
    '/os-agents': 'GET POST',
    '/os-agents/*': 'DELETE PUT',
    '/os-aggregates': 'GET POST',
    '/os-aggregates/*': 'DELETE GET PUT',
    '/os-aggregates/*/action': 'POST',
    '/os-aggregates/*/images': 'POST',
    '/os-assisted-volume-snapshots': 'POST',
    '/os-assisted-volume-snapshots/*': 'DELETE',
    '/os-availability-zone': 'GET',
    '/os-availability-zone/detail': 'GET',
    '/os-baremetal-nodes': 'GET POST',
    '/os-baremetal-nodes/*': 'DELETE GET',
    '/os-baremetal-nodes/*/action': 'POST',
    '/os-cells': 'GET POST',
    '/os-cells/*': 'DELETE GET PUT',
    '/os-cells/*/capacities': 'GET',
    '/os-cells/capacities': 'GET',
    '/os-cells/detail': 'GET',
    '/os-cells/info': 'GET',
    '/os-cells/sync_instances': 'POST',
    '/os-certificates': 'POST',
    '/os-certificates/*': 'GET',
    '/os-cloudpipe': 'GET POST',
    '/os-cloudpipe/*': 'PUT',
    '/os-console-auth-tokens/*': 'GET',
    '/os-fixed-ips/*': 'GET',
    '/os-fixed-ips/*/action': 'POST',
    '/os-floating-ip-dns': 'GET',
    '/os-floating-ip-dns/*': 'DELETE PUT',
    '/os-floating-ip-dns/*/entries/*': 'DELETE GET PUT',
    '/os-floating-ip-pools': 'GET',
    '/os-floating-ips': 'GET POST',
    '/os-floating-ips-bulk': 'GET POST',
    '/os-floating-ips-bulk/*': 'GET PUT',
    '/os-floating-ips/*': 'DELETE GET',
    '/os-fping': 'GET',
    '/os-fping/*': 'GET',
    '/os-hosts': 'GET',
    '/os-hosts/*': 'GET PUT',
    '/os-hosts/*/reboot': 'GET',
    '/os-hosts/*/shutdown': 'GET',
    '/os-hosts/*/startup': 'GET',
    '/os-hypervisors': 'GET',
    '/os-hypervisors/*': 'GET',
    '/os-hypervisors/*/search': 'GET',
    '/os-hypervisors/*/servers': 'GET',
    '/os-hypervisors/*/uptime': 'GET',
    '/os-hypervisors/detail': 'GET',
    '/os-hypervisors/statistics': 'GET',
    '/os-instance_usage_audit_log': 'GET',
    '/os-instance_usage_audit_log/*': 'GET',
    '/os-keypairs': 'GET POST',
    '/os-keypairs/*': 'DELETE GET',
    '/os-migrations': 'GET',
    '/os-networks': 'GET POST',
    '/os-networks/*': 'DELETE GET',
    '/os-networks/*/action': 'POST',
    '/os-networks/add': 'POST',
    '/os-quota-class-sets/*': 'GET PUT',
    '/os-quota-sets/*': 'DELETE GET PUT',
    '/os-quota-sets/*/defaults': 'GET',
    '/os-quota-sets/*/detail': 'GET',
    '/os-security-group-default-rules': 'GET POST',
    '/os-security-group-default-rules/*': 'DELETE GET',
    '/os-security-group-rules': 'POST',
    '/os-security-group-rules/*': 'DELETE',
    '/os-security-groups': 'GET POST',
    '/os-security-groups/*': 'DELETE GET PUT',
    '/os-server-external-events': 'POST',
    '/os-server-groups': 'GET POST',
    '/os-server-groups/*': 'DELETE GET',
    '/os-services': 'GET',
    '/os-services/*': 'DELETE PUT',
    '/os-simple-tenant-usage': 'GET',
    '/os-simple-tenant-usage/*': 'GET',
    '/os-snapshots': 'GET POST',
    '/os-snapshots/*': 'DELETE GET',
    '/os-snapshots/detail': 'GET',
    '/os-tenant-networks': 'GET POST',
    '/os-tenant-networks/*': 'DELETE GET',
    '/os-volumes': 'GET POST',
    '/os-volumes/*': 'DELETE GET',
    '/os-volumes/detail': 'GET',
    '/os-volumes_boot': 'GET POST',
    '/os-volumes_boot/*': 'DELETE GET PUT',
    '/os-volumes_boot/*/action': 'POST',
    '/os-volumes_boot/detail': 'GET',
    '/servers': 'GET POST',
    '/servers/*': 'DELETE GET PUT',
    '/servers/*/action': 'POST',
    '/servers/*/consoles': 'GET POST',
    '/servers/*/consoles/*': 'DELETE GET',
    '/servers/*/diagnostics': 'GET',
    '/servers/*/ips': 'GET',
    '/servers/*/ips/*': 'GET',
    '/servers/*/metadata': 'GET POST PUT',
    '/servers/*/metadata/*': 'DELETE GET PUT',
    '/servers/*/migrations': 'GET',
    '/servers/*/migrations/*': 'DELETE GET',
    '/servers/*/migrations/*/action': 'POST',
    '/servers/*/os-instance-actions': 'GET',
    '/servers/*/os-instance-actions/*': 'GET',
    '/servers/*/os-interface': 'GET POST',
    '/servers/*/os-interface/*': 'DELETE GET',
    '/servers/*/os-security-groups': 'GET',
    '/servers/*/os-server-password': 'DELETE GET',
    '/servers/*/os-virtual-interfaces': 'GET',
    '/servers/*/os-volume_attachments': 'GET POST',
    '/servers/*/os-volume_attachments/*': 'DELETE GET PUT',
    '/servers/*/remote-consoles': 'POST',
    '/servers/*/shares': 'GET POST',
    '/servers/*/shares/*': 'DELETE GET',
    '/servers/*/tags': 'DELETE GET PUT',
    '/servers/*/tags/*': 'DELETE GET PUT',
    '/servers/*/topology': 'GET',
    '/servers/detail': 'GET',
}
#: Those that are not offered, and their name in the table of the API page.
_NOT_OFFERED = {
    '/images': '``/images``',
    '/os-aggregates/*/images': 'images of an aggregate',
    '/os-assisted-volume-snapshots': 'os-assisted-volume-snapshots',
    '/os-baremetal-nodes': 'os-baremetal-nodes',
    '/os-security-group-rules': 'security groups and their rules',
    '/os-security-groups': 'security groups and their rules',
    '/os-snapshots': 'os-snapshots',
    '/os-volumes': 'os-volumes,',
    '/os-volumes_boot': 'os-volumes_boot',
    '/servers/*/os-volume_attachments': 'os-volume_attachments',
    '/servers/*/shares': 'shares of a server',
}
_API_PAGE = (
    pathlib.Path(minova.__file__).parents[1] / 'doc/source/user/api.rst'
)


def _read_table():
    """Return the part of the API page about what is not offered."""
    text = _API_PAGE.read_text()
    _, _, rest = text.partition('404, with the reason:')
    table, _, _ = rest.partition('\nFlavors\n')
    return table


class ReferenceEndpointsTest(base.TestCase):
    """The table is the list of routes of the reference."""

    def setUp(self):
        super().setUp()
        self.offered = {
            (route.method, re.sub(r'{[^}]*}', '*', route.path))
            for route in app.ROUTES
        }
        self.missing = {
            path
            for path, methods in _REFERENCE.items()
            for method in methods.split()
            if (method, path) not in self.offered
        }

    def find_reason(self, path):
        """Return the name in the documentation that covers a path."""
        for start, name in _NOT_OFFERED.items():
            if path == start or path.startswith(f'{start}/'):
                return name
        return None

    def test_missing_endpoints_have_a_reason(self):
        table = _read_table()
        for path in sorted(self.missing):
            name = self.find_reason(path)
            self.assertIsNotNone(name, path)
            self.assertIn(name, table, path)

    def test_documented_endpoints_are_missing(self):
        """An endpoint that became offered leaves the documented table."""
        table = _read_table()
        for start, name in _NOT_OFFERED.items():
            is_missing = any(
                path == start or path.startswith(f'{start}/')
                for path in self.missing
            )
            self.assertEqual(is_missing, name in table, start)
