# SPDX-License-Identifier: Apache-2.0
"""What hosts know of QEMU is copied to new ones."""

import os

from minova.rig import capabilities
from tests import base

_PATH = 'libvirt/qemu/cache/capabilities'


class CapabilitiesTest(base.TestCase):
    """The caches of two hosts and the directory between them."""

    def setUp(self):
        super().setUp()
        self.kept = os.path.join(self.directory, 'kept')
        self.old, self.new = (
            os.path.join(self.directory, name) for name in ('old', 'new')
        )

    def write(self, cache, name, text='<qemuCaps>\n</qemuCaps>\n', age=0):
        folder = os.path.join(cache, _PATH)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.utime(path, (1000 - age, 1000 - age))

    def read(self, cache):
        folder = os.path.join(cache, _PATH)
        if not os.path.isdir(folder):
            return {}
        return {
            name: open(os.path.join(folder, name), encoding='utf-8').read()
            for name in os.listdir(folder)
        }

    def copy(self):
        capabilities.keep(self.old, self.kept)
        capabilities.give(self.kept, self.new)

    def test_copied(self):
        self.write(self.old, 'a.xml')
        self.copy()
        self.assertEqual(self.read(self.old), self.read(self.new))

    def test_nothing_known(self):
        self.copy()
        self.assertEqual({}, self.read(self.new))

    def test_newer_replaces(self):
        self.write(self.old, 'a.xml', age=5)
        self.copy()
        self.write(self.old, 'a.xml', 'newer</qemuCaps>\n')
        self.copy()
        self.assertEqual({'a.xml': 'newer</qemuCaps>\n'}, self.read(self.new))

    def test_older_does_not_replace(self):
        self.write(self.old, 'a.xml')
        self.copy()
        self.write(self.old, 'a.xml', 'older</qemuCaps>\n', age=5)
        self.copy()
        self.assertNotIn('older', self.read(self.new)['a.xml'])

    def test_unfinished_file(self):
        self.write(self.old, 'a.xml', '<qemuCaps>\n')
        self.copy()
        self.assertEqual({}, self.read(self.new))
