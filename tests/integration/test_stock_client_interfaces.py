# SPDX-License-Identifier: Apache-2.0
"""The interfaces of a server with the ``openstack`` command."""

import json

from tests import base
from tests.integration.allinone import Shell
from tests.integration.allinone import StockClientTestCase


class StockClientInterfacesTest(StockClientTestCase):
    """Networks, fixed IPs and ports of a server on the default network."""

    def test_interfaces(self):
        self.image()
        self.shell.table(
            'server create --image tiny --flavor m1.nano --nic none --wait '
            '-f json one',
        )
        self.done('server add network one private')
        ((_, first),) = self.ports()
        self.assertEqual([first], self.addresses())
        self.shell.table('server add fixed ip one private -f json')
        (port,) = [p for p, address in self.ports() if address != first]
        self.assertEqual(2, len(self.addresses()))
        self.refused(f'server add port one {port}', '409: * still in use')
        self.done(f'server remove port one {port}')
        self.wait_for_addresses(1)
        older = self.useFixture(
            Shell(self.environment | {'OS_COMPUTE_API_VERSION': '2.1'})
        )
        said = older.run(f'server remove fixed ip one {first}')
        self.assertEqual([0, ''], said)
        self.wait_for_addresses(0)
        self.done('server add network one private')
        self.done('server remove network one private')
        self.wait_for_addresses(0)
        self.refused('server add network one none', 'No Network found')
        self.done('server delete --wait one')

    def ports(self):
        """Return id and address of each port of the server."""
        rows = self.shell.table('port list --server one')
        return [
            (row['ID'], row['Fixed IP Addresses'][0]['ip_address'])
            for row in rows
        ]

    def addresses(self):
        shown = self.show('one')['addresses']
        found = json.loads(shown) if isinstance(shown, str) else shown
        return found.get('private', [])

    def wait_for_addresses(self, count):
        until = base.clock.monotonic() + 60
        while len(self.addresses()) != count:
            self.assertLess(base.clock.monotonic(), until)
            base.clock.sleep(0.5)
