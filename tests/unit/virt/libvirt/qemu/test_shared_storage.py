# SPDX-License-Identifier: Apache-2.0
"""The probe by which hosts detect shared storage."""

import os
import shutil

from minova.objects.live_migrate_data import StorageProbe
from minova.virt.libvirt.qemu.shared_storage import SharedStorage
from tests import base


class SharingTest(base.TestCase):
    def folder(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def test_the_same(self):
        a, b = (SharedStorage(self.folder('x'), name) for name in 'ab')
        self.assertTrue(a.has_probe(b.write_probe()))
        self.assertTrue(b.has_probe(a.write_probe()))
        # The token stays the same, whichever host asks meanwhile.
        self.assertEqual(b.write_probe(), b.write_probe())

    def test_another_one(self):
        a = SharedStorage(self.folder('x'), 'a')
        b = SharedStorage(self.folder('y'), 'b')
        self.assertFalse(a.has_probe(b.write_probe()))

    def test_a_copy_is_not_the_same(self):
        SharedStorage(self.folder('x'), 'b').write_probe()
        shutil.copytree(self.folder('x'), os.path.join(self.directory, 'y'))
        a = SharedStorage(self.folder('y'), 'a')
        # The next start of b draws another word.
        self.assertFalse(
            a.has_probe(SharedStorage(self.folder('x'), 'b').write_probe())
        )

    def test_storage_returns(self):
        a, b = (SharedStorage(self.folder('x'), name) for name in 'ab')
        probe = b.write_probe()
        os.unlink(os.path.join(self.folder('x'), probe.name))
        self.assertFalse(a.has_probe(probe))
        self.assertEqual(probe, b.write_probe())
        self.assertTrue(a.has_probe(probe))
        self.assertEqual([probe.name], os.listdir(self.folder('x')))

    def test_names_do_not_lead_elsewhere(self):
        path = os.path.join(self.directory, 'word')
        with open(path, 'w', encoding='ascii') as file:
            file.write('word')
        a = SharedStorage(self.folder('x'), 'a')
        self.assertFalse(
            a.has_probe(StorageProbe(name='../word', token='word'))
        )
