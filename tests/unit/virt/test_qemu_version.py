# SPDX-License-Identifier: Apache-2.0
"""Which QEMU it is."""

import os

from minova.virt import qemu_version
from minova.virt.libvirt.qemu import host_config as host_configs
from tests import base


class Opened:
    def __init__(self, path):
        self.path = path
        self.asked = []

    def getDomainCapabilities(self, *words):
        self.asked.append(words)
        return f'<capabilities><path>{self.path}</path></capabilities>'


class EmulatorsTest(base.TestCase):
    def emulator(self, said, name='qemu'):
        path = os.path.join(self.directory, name)
        part = f'{path}.part'
        with open(part, 'w') as file:
            file.write(f"#!/bin/sh\necho '{said}'\n")
        os.chmod(part, 0o700)
        os.replace(part, path)
        return path

    def test_versions(self):
        for said, version in (
            ('QEMU emulator version 7.2.19 (Debian 1:7.2)', 7_002_019),
            ('QEMU emulator version 10.0.2', 10_000_002),
            ('QEMU emulator version 9.1', 9_001_000),
        ):
            path = self.emulator(said, said[-6:].strip('()'))
            self.assertEqual(version, qemu_version.get_version(path))

    def test_replaced_emulator(self):
        path = self.emulator('QEMU emulator version 7.2.0')
        self.assertEqual(7_002_000, qemu_version.get_version(path))
        self.emulator('QEMU emulator version 10.0.0')
        os.utime(path, ns=(1, 1))
        self.assertEqual(10_000_000, qemu_version.get_version(path))

    def test_emulator_without_output(self):
        path = self.emulator('hello')
        error = self.assertRaises(OSError, qemu_version.get_version, path)
        self.assertIn(
            f'{path} --version reports no version: hello', str(error)
        )

    def test_none(self):
        path = os.path.join(self.directory, 'none')
        self.assertRaises(OSError, qemu_version.get_version, path)

    def test_of_a_host(self):
        chosen = self.emulator('QEMU emulator version 7.2.0', 'chosen')
        named = self.emulator('QEMU emulator version 10.1.0', 'named')
        opened = Opened(chosen)
        self.config(group='libvirt', virt_type='kvm', emulator='')
        site = host_configs.from_config('a')
        self.assertEqual(7_002_000, site.qemu_version(opened))
        self.assertEqual([(None, 'x86_64', None, 'kvm')], opened.asked)
        self.config(group='libvirt', emulator=named)
        site = host_configs.from_config('a')
        self.assertEqual(10_001_000, site.qemu_version(opened))
        self.assertEqual(1, len(opened.asked))
