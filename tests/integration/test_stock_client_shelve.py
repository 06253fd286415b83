# SPDX-License-Identifier: Apache-2.0
"""Shelve, unshelve and restore with the ``openstack`` command."""

import os

from tests import base
from tests.integration.allinone import StockClientTestCase


class StockClientShelveTest(StockClientTestCase):
    """A server becomes an image and comes back; a deleted one too."""

    def start(self, *arguments):
        """Start the all-in-one, which keeps deleted servers for a day."""
        path = os.path.join(self.directory, 'more.conf')
        with open(path, 'w') as file:
            file.write('[conductor]\nreclaim_instance_interval = 86400\n')
        return super().start(f'--config-file={path}', *arguments)

    def test_shelve_unshelve_and_restore(self):
        self.image()
        made = self.shell.table(
            'server create --image tiny --flavor m1.nano --wait one'
        )
        self.done('server shelve one')
        self.wait_for('SHELVED_OFFLOADED', made['id'])
        self.assertIn('one-shelved', self.images())
        self.refused(
            'server start one', '409: * is in vm_state shelved_offloaded'
        )
        self.done('server unshelve one')
        self.wait_for('ACTIVE', made['id'])
        self.done('server delete one')
        self.wait_for('SOFT_DELETED', made['id'])
        self.assertEqual([], self.shell.table('server list'))
        self.done(f'server restore {made["id"]}')
        self.wait_for('ACTIVE', made['id'])
        self.done('server delete --force one')
        self.assertEqual(['tiny'], self.images())

    def images(self):
        return [row['Name'] for row in self.shell.table('image list')]

    def wait_for(self, status, server):
        until = base.clock.monotonic() + 60
        while self.show(server)['status'] != status:
            self.assertLess(base.clock.monotonic(), until)
            base.clock.sleep(0.5)
