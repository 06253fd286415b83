# SPDX-License-Identifier: Apache-2.0
"""The descriptors of firmware packages."""

import json
import os

from minova.virt.libvirt.qemu import firmware_descriptors
from tests import base


class FindTest(base.TestCase):
    """Two directories of descriptors."""

    def setUp(self):
        super().setUp()
        self.directories = tuple(
            os.path.join(self.directory, name) for name in ('etc', 'usr')
        )
        for path in self.directories:
            os.mkdir(path)
        self.code = self.file('CODE.fd')
        self.template = self.file('VARS.fd')

    def file(self, name, text='x'):
        path = os.path.join(self.directory, name)
        with open(path, 'w') as file:
            file.write(text)
        return path

    def describe(self, name, *features, where='usr', mapping=None, **values):
        made = {
            'interface-types': ['uefi'],
            'mapping': {
                'device': 'flash',
                'executable': {'filename': self.code, 'format': 'raw'},
                'nvram-template': {'filename': self.template, 'format': 'raw'},
            }
            | (mapping or {}),
            'targets': [{'architecture': 'x86_64', 'machines': ['pc-q35-*']}],
            'features': list(features),
        }
        self.file(f'{where}/{name}.json', json.dumps(made | values))

    def find(self):
        return firmware_descriptors.find(self.directories)

    def test_order_and_features(self):
        self.describe('60-plain', 'acpi-s3')
        self.describe(
            '40-secure', 'secure-boot', 'enrolled-keys', 'requires-smm'
        )
        secure, plain = self.find()
        self.assertTrue(secure.is_secure)
        self.assertTrue(secure.needs_smm)
        self.assertFalse(plain.is_secure)
        self.assertFalse(plain.needs_smm)
        self.assertEqual(
            (self.code, self.template, 'x86_64', ('pc-q35-*',)),
            (plain.code, plain.template, plain.architecture, plain.machines),
        )

    def test_not_usable(self):
        self.describe('1', 'secure-boot')
        self.describe('2', 'amd-sev-snp')
        self.describe('3', **{'interface-types': ['bios']})
        self.describe('4', mapping={'device': 'memory', 'filename': 'x'})
        self.describe('5', mapping={'mode': 'stateless'})
        missing = {'filename': f'{self.directory}/none', 'format': 'raw'}
        self.describe('6', mapping={'executable': missing})
        qcow2 = {'filename': self.code, 'format': 'qcow2'}
        self.describe('7', mapping={'executable': qcow2})
        self.assertEqual((), self.find())

    def test_broken_descriptors_are_logged(self):
        self.file('usr/1.json', '{')
        self.file('usr/2.json', '{}')
        self.file('usr/3.json', '[]')
        self.describe('4')
        self.assertEqual(1, len(self.find()))

    def test_administrator_hides_descriptors(self):
        self.describe('1')
        self.describe('2')
        self.assertEqual(2, len(self.find()))
        self.file('etc/1.json', '')
        self.assertEqual(1, len(self.find()))
        self.describe('2', 'acpi-s3', where='etc', targets=[])
        self.assertEqual((), self.find())

    def test_no_directory(self):
        self.assertEqual((), firmware_descriptors.find(('/no/such',)))
