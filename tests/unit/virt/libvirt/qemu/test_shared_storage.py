# SPDX-License-Identifier: Apache-2.0
"""Whether two hosts see the same directory."""

import os
import shutil

from minova.virt.libvirt.qemu.shared_storage import SharedStorageProbe
from tests import base


class SharingTest(base.TestCase):
    def folder(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def test_the_same(self):
        a, b = (SharedStorageProbe(self.folder('x'), name) for name in 'ab')
        self.assertTrue(a.is_visible(b.probe()))
        self.assertTrue(b.is_visible(a.probe()))
        # Once more it is the same word, whoever asks meanwhile.
        self.assertEqual(b.probe(), b.probe())

    def test_another_one(self):
        a = SharedStorageProbe(self.folder('x'), 'a')
        b = SharedStorageProbe(self.folder('y'), 'b')
        self.assertFalse(a.is_visible(b.probe()))

    def test_a_copy_is_not_the_same(self):
        SharedStorageProbe(self.folder('x'), 'b').probe()
        shutil.copytree(self.folder('x'), os.path.join(self.directory, 'y'))
        a = SharedStorageProbe(self.folder('y'), 'a')
        # The next start of b draws another word.
        self.assertFalse(
            a.is_visible(SharedStorageProbe(self.folder('x'), 'b').probe())
        )

    def test_it_comes_back(self):
        a, b = (SharedStorageProbe(self.folder('x'), name) for name in 'ab')
        probe = b.probe()
        os.unlink(os.path.join(self.folder('x'), probe['name']))
        self.assertFalse(a.is_visible(probe))
        self.assertEqual(probe, b.probe())
        self.assertTrue(a.is_visible(probe))
        self.assertEqual([probe['name']], os.listdir(self.folder('x')))

    def test_names_do_not_lead_elsewhere(self):
        path = os.path.join(self.directory, 'word')
        with open(path, 'w', encoding='ascii') as file:
            file.write('word')
        a = SharedStorageProbe(self.folder('x'), 'a')
        self.assertFalse(a.is_visible({'name': '../word', 'token': 'word'}))
