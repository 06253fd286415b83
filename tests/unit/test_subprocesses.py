# SPDX-License-Identifier: Apache-2.0
"""Programs that succeed, fail or hang."""

import os

import fixtures

from minova import subprocesses
from tests import base


class ProgramsTest(base.TestCase):
    def test_output(self):
        self.assertEqual(b'yes\n', subprocesses.run('echo', 'yes'))

    def test_error_output(self):
        error = self.assertRaises(
            OSError, subprocesses.run, 'sh', '-c', 'echo a; echo b >&2; exit 3'
        )
        self.assertEqual('sh: b', str(error))

    def test_name_appears_once(self):
        error = self.assertRaises(
            OSError, subprocesses.run, 'qemu-img', 'info', '/no/such/disk'
        )
        self.assertTrue(
            str(error).startswith("qemu-img: Could not open '/no"), str(error)
        )

    def test_no_output(self):
        error = self.assertRaises(
            OSError, subprocesses.run, 'sh', '-c', 'exit 3'
        )
        self.assertEqual('sh: exit code 3', str(error))

    def test_program_not_found(self):
        self.assertRaises(OSError, subprocesses.run, '/no/such/program')

    def test_program_not_executable(self):
        path = os.path.join(self.directory, 'qemu')
        with open(path, 'w'):
            error = self.assertRaises(PermissionError, subprocesses.run, path)
        self.assertIn(path, str(error))

    def test_timeout_kills_the_process(self):
        path = os.path.join(self.directory, 'pid')
        error = self.assertRaises(
            OSError,
            subprocesses.run,
            *('sh', '-c', f'echo $$ > {path}; exec sleep 600'),
            timeout=1,
        )
        self.assertIn('has not ended within 1 s', str(error))
        with open(path) as file:
            number = int(file.read())
        self.assertFalse(os.path.exists(f'/proc/{number}'))

    def test_limits(self):
        limits = subprocesses.processutils.ProcessLimits(address_space=1 << 20)
        self.assertRaises(
            OSError, subprocesses.run, 'sh', '-c', 'true', limits=limits
        )

    def test_error_names_the_package(self):
        self.useFixture(
            fixtures.MockPatchObject(subprocesses, 'PATH', self.directory)
        )
        error = self.assertRaises(
            OSError, subprocesses.run, 'qemu-img', 'info'
        )
        self.assertEqual(
            'qemu-img is missing (Debian package qemu-utils)', str(error)
        )
