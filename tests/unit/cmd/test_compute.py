# SPDX-License-Identifier: Apache-2.0
"""The start of minova-compute."""

from minova.cmd import compute
from tests import base


class OpenConsolesTest(base.TestCase):
    """VNC servers in all networks."""

    def test_warning(self):
        for address in ('0.0.0.0', '::'):
            self.config('vnc', server_listen=address)
            with self.assertLogs('minova.cmd.compute', 'WARNING') as logged:
                compute._warn_of_open_consoles()
            (line,) = logged.output
            self.assertIn(f'server_listen = {address}: every machine', line)

    def test_an_address_of_one_network(self):
        for address in ('127.0.0.1', '192.0.2.1'):
            self.config('vnc', server_listen=address)
            with self.assertNoLogs('minova.cmd.compute', 'WARNING'):
                compute._warn_of_open_consoles()
