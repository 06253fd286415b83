# SPDX-License-Identifier: Apache-2.0
"""Programs of this machine."""

import fixtures

from minova import exception
from minova import subprocesses as machine
from minova.rig import subprocesses
from tests import base


class ProgramsTest(base.TestCase):
    """Found, missing, failing."""

    def test_a_program_that_is_missing(self):
        nowhere = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.MockPatchObject(machine, 'PATH', nowhere))
        error = self.assertRaises(
            exception.ConfigInvalid, subprocesses.find, 'libvirtd'
        )
        self.assertIn(
            'libvirtd is missing (Debian package libvirt-daemon)', str(error)
        )

    def test_input_and_output(self):
        self.assertEqual(
            b'x\n', subprocesses.run('sh', '-c', 'cat', stdin=b'x\n')
        )
        self.assertEqual(
            b'y\n',
            subprocesses.run('sh', '-c', 'echo $X', environment={'X': 'y'}),
        )

    def test_failure(self):
        error = self.assertRaises(
            exception.ConfigInvalid,
            subprocesses.run,
            *('sh', '-c', 'echo first >&2; echo last >&2; exit 3'),
        )
        self.assertIn('last', str(error))
        self.assertNotIn('first\n', str(error))
        error = self.assertRaises(
            exception.ConfigInvalid, subprocesses.run, 'sh', '-c', 'exit 3'
        )
        self.assertIn('exit code 3', str(error))
