# SPDX-License-Identifier: Apache-2.0
"""Every action on a server with a real guest, on the all-in-one."""

import os

from minova.rig import hosts
from tests.integration.allinone import StockClientTestCase
from tests.integration.server_life import ServerLife


class QemuLifeTest(StockClientTestCase):
    """Two hosts with QEMU."""

    time_limit = 600

    def start(self, *arguments):
        """Start the all-in-one; guests without a system are stopped soon."""
        place = os.path.join(self.data, 'rig')
        self.addCleanup(hosts.down, place)
        path = os.path.join(self.directory, 'more.conf')
        with open(path, 'w') as file:
            file.write('[compute]\nshutdown_timeout = 1\n')
        return super().start(
            '--hypervisor=qemu', f'--config-file={path}', *arguments
        )

    def test_life(self):
        self.image()
        ServerLife(
            self,
            self.shell,
            hosts=['host1', 'host2'],
            image='tiny',
            flavors=('m1.nano', 'm1.tiny'),
            network='private',
            is_real=True,
        ).run()
