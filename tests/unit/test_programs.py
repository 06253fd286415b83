# SPDX-License-Identifier: Apache-2.0
"""Programs that end, that fail, and that do neither."""

import os

import fixtures

from minova import programs
from tests import base


class ProgramsTest(base.TestCase):
    def test_what_it_says(self):
        self.assertEqual(b'yes\n', programs.run('echo', 'yes'))

    def test_its_last_words(self):
        error = self.assertRaises(
            OSError, programs.run, 'sh', '-c', 'echo a; echo b >&2; exit 3'
        )
        self.assertEqual('sh: b', str(error))

    def test_a_name_is_said_once(self):
        error = self.assertRaises(
            OSError, programs.run, 'qemu-img', 'info', '/no/such/disk'
        )
        self.assertTrue(
            str(error).startswith("qemu-img: Could not open '/no"), str(error)
        )

    def test_one_that_says_nothing(self):
        error = self.assertRaises(OSError, programs.run, 'sh', '-c', 'exit 3')
        self.assertEqual('sh: exit code 3', str(error))

    def test_one_that_is_not_there(self):
        self.assertRaises(OSError, programs.run, '/no/such/program')

    def test_one_that_may_not_be_run_is_not_missing(self):
        path = os.path.join(self.directory, 'qemu')
        with open(path, 'w'):
            error = self.assertRaises(PermissionError, programs.run, path)
        self.assertIn(path, str(error))

    def test_one_that_hangs_is_killed(self):
        path = os.path.join(self.directory, 'pid')
        error = self.assertRaises(
            OSError,
            programs.run,
            *('sh', '-c', f'echo $$ > {path}; exec sleep 600'),
            patience=1,
        )
        self.assertIn('has not ended within 1 s', str(error))
        with open(path) as file:
            number = int(file.read())
        self.assertFalse(os.path.exists(f'/proc/{number}'))

    def test_limits(self):
        limits = programs.processutils.ProcessLimits(address_space=1 << 20)
        self.assertRaises(
            OSError, programs.run, 'sh', '-c', 'true', limits=limits
        )

    def test_its_package_is_named(self):
        self.useFixture(
            fixtures.MockPatchObject(programs, 'PATH', self.directory)
        )
        error = self.assertRaises(OSError, programs.run, 'qemu-img', 'info')
        self.assertEqual(
            'qemu-img is missing (Debian package qemu-utils)', str(error)
        )
