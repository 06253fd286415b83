# SPDX-License-Identifier: Apache-2.0
"""A safe QEMU that two processes download at the same time."""

import os
from unittest import mock

from minova.rig import emulator
from minova.virt import qemu_version
from tests import base


class SoundTest(base.TestCase):
    def test_another_process_was_faster(self):
        root = os.path.join(self.directory, 'qemu')
        wrapper = os.path.join(root, 'qemu-system-x86_64')

        def unpack(packages, name):
            os.makedirs(root, exist_ok=True)
            with open(wrapper, 'w', encoding='utf-8') as file:
                file.write("the other's")

        def version(path):
            return (
                qemu_version.MIN_SAFE_VERSION if path == wrapper else 7_002_019
            )

        with (
            mock.patch.object(
                emulator.subprocesses, 'find', lambda name: name
            ),
            mock.patch.object(qemu_version, 'get_version', version),
            mock.patch.object(emulator, 'Packages', mock.MagicMock()) as made,
        ):
            made.return_value.unpack = lambda name: unpack(None, name)
            self.assertEqual(
                wrapper, emulator.ensure_safe_emulator(self.directory)
            )
        with open(wrapper, encoding='utf-8') as file:
            self.assertEqual("the other's", file.read())
        self.assertEqual(['qemu'], os.listdir(self.directory))
