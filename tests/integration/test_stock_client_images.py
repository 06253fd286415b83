# SPDX-License-Identifier: Apache-2.0
"""Images and backups of a server with the ``openstack`` command."""

from tests import base
from tests.integration.allinone import StockClientTestCase


class StockClientImagesTest(StockClientTestCase):
    """A server becomes an image; another one boots from it."""

    def images(self):
        return sorted(row['Name'] for row in self.shell.table('image list'))

    def wait_for_images(self, *names):
        """Wait until these images, and no others, are active."""
        wanted = sorted([('tiny', 'active'), *((n, 'active') for n in names)])
        until = base.clock.monotonic() + 60
        while True:
            found = sorted(
                (row['Name'], row['Status'])
                for row in self.shell.table('image list')
            )
            if found == wanted:
                return
            if base.clock.monotonic() > until:
                self.assertEqual(wanted, found)
            base.clock.sleep(0.2)

    def test_images_and_backups(self):
        self.image()
        self.shell.table(
            'server create --image tiny --flavor m1.nano --wait one'
        )
        code, said = self.shell.run(
            'server image create --name copy --property team=a --wait one'
        )
        self.assertEqual(0, code, said)
        self.settled('one')
        self.wait_for_images('copy')
        shown = self.shell.table('image show copy')
        self.assertEqual('a', shown['properties']['team'])
        self.assertEqual('snapshot', shown['properties']['image_type'])
        self._boot_from_the_copy()
        self._rotate_backups()
        self._refuse()

    def _boot_from_the_copy(self):
        made = self.shell.table(
            'server create --image copy --flavor m1.nano --wait two'
        )
        self.assertEqual('ACTIVE', made['status'])
        self.assertIn('copy', made['image'])
        self.done('server delete --wait two')

    def _rotate_backups(self):
        for number in range(3):
            code, said = self.shell.run(
                f'server backup create --name b{number} --type daily '
                '--rotate 2 --wait one'
            )
            self.assertEqual(0, code, said)
            self.settled('one')
        self.wait_for_images('copy', 'b1', 'b2')

    def _refuse(self):
        self.refused('server image create --name x none', 'No Server')
        self.done('server rescue one')
        self.settled('one', 'RESCUE')
        for command in (
            'server image create --name x one',
            'server backup create --name x --type daily --rotate 1 one',
        ):
            self.refused(command, '409: * vm_state rescued')
        self.assertEqual(['b1', 'b2', 'copy', 'tiny'], self.images())
