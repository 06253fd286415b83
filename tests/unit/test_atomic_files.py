# SPDX-License-Identifier: Apache-2.0
"""A crash leaves a file either unchanged or complete."""

import os

from minova import atomic_files
from minova import exception
from tests.unit.identity import base


class AtomicFilesTest(base.TestCase):
    def test_write_replaces(self):
        path = self.file('a')
        atomic_files.write_bytes(path, b'one')
        atomic_files.write_bytes(path, b'two', 0o640)
        with open(path, 'rb') as file:
            self.assertEqual(b'two', file.read())
        self.assertEqual('0o640', self.mode('a'))
        self.assertEqual(['a'], os.listdir(self.path))

    def test_mode_ignores_umask(self):
        self.addCleanup(os.umask, os.umask(0o077))
        atomic_files.write_bytes(self.file('a'), b'', 0o644)
        self.assertEqual('0o644', self.mode('a'))

    def test_failed_block_changes_nothing(self):
        path = self.file('a')
        atomic_files.write_bytes(path, b'one')

        def fail():
            with atomic_files.atomic_write(path) as file:
                file.write(b'two')
                raise RuntimeError

        self.assertRaises(RuntimeError, fail)
        with open(path, 'rb') as file:
            self.assertEqual(b'one', file.read())
        self.assertEqual(['a'], os.listdir(self.path))

    def test_readers_see_complete_files(self):
        with atomic_files.atomic_write(self.file('a')) as file:
            file.write(b'half')
            self.assertNotIn('a', os.listdir(self.path))
        self.assertEqual(['a'], os.listdir(self.path))

    def test_sweep_removes_incomplete_files_only(self):
        atomic_files.write_bytes(self.file('a'), b'one')
        context = atomic_files.atomic_write(self.file('b'))
        context.__enter__()  # and the process is killed
        self.assertEqual(2, len(os.listdir(self.path)))
        atomic_files.remove_partial_files(self.path)
        self.assertEqual(['a'], os.listdir(self.path))

    def test_damaged_json(self):
        for content in (b'', b'{', b'\xff\xfe', b'[' * 100000):
            atomic_files.write_bytes(self.file('a'), content)
            self.assertRaises(
                exception.ConfigInvalid, atomic_files.read_json, self.file('a')
            )

    def test_remove_twice(self):
        atomic_files.write_bytes(self.file('a'), b'')
        atomic_files.remove(self.file('a'))
        atomic_files.remove(self.file('a'))
        self.assertEqual([], os.listdir(self.path))
