# SPDX-License-Identifier: Apache-2.0
"""The file of the variables of UEFI firmware."""

import os

from minova.virt.libvirt.firmware import Firmware
from minova.virt.libvirt.qemu import nvram
from tests import base


class PrepareTest(base.TestCase):
    """A directory of disks, and the one that is retained."""

    def setUp(self):
        super().setUp()
        self.folder = f'{self.directory}/disks'
        self.retained = f'{self.directory}/disks_resize'
        os.mkdir(self.folder)
        self.write(f'{self.directory}/plain', 'plain template')
        self.write(f'{self.directory}/secure', 'secure template')

    def write(self, path, text):
        with open(path, 'w') as file:
            file.write(text)

    def prepare(self, is_secure=False):
        template = 'secure' if is_secure else 'plain'
        nvram.prepare(
            self.folder,
            self.retained,
            Firmware(
                'code', f'{self.directory}/{template}', 'x86_64', (), is_secure
            ),
        )

    def files(self):
        found = {}
        for name in os.listdir(self.folder):
            with open(f'{self.folder}/{name}') as file:
                found[name] = file.read()
        return found

    def test_template(self):
        self.prepare()
        self.assertEqual({'nvram': 'plain template'}, self.files())

    def test_existing_variables_stay(self):
        self.write(f'{self.folder}/nvram', 'kept')
        self.prepare()
        self.assertEqual({'nvram': 'kept'}, self.files())

    def test_retained_variables(self):
        os.mkdir(self.retained)
        self.write(f'{self.retained}/nvram', 'of the old disks')
        self.prepare()
        self.assertEqual({'nvram': 'of the old disks'}, self.files())

    def test_keys_of_secure_boot(self):
        # Variables without keys would turn Secure Boot off.
        self.write(f'{self.folder}/nvram', 'kept')
        self.prepare(is_secure=True)
        self.assertEqual(
            {'nvram': 'kept', 'nvram.secure': 'secure template'}, self.files()
        )

    def test_interrupted(self):
        self.write(f'{self.folder}/.nvram.part', 'a longer part than all')
        self.prepare()
        self.assertEqual({'nvram': 'plain template'}, self.files())

    def test_without_disks(self):
        os.rmdir(self.folder)
        self.prepare()
        self.assertFalse(os.path.exists(self.folder))
