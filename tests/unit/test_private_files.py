# SPDX-License-Identifier: Apache-2.0
"""Permissions of files and directories."""

import os
import stat

from minova import exception
from minova import private_files
from tests import base


class PrivateFilesTest(base.TestCase):
    """New directories, directories that exist, and those of a group."""

    def setUp(self):
        super().setUp()
        self.addCleanup(os.umask, os.umask(0o022))
        self.path = os.path.join(self.directory, 'data')

    def mode(self, path=None):
        return stat.S_IMODE(os.stat(path or self.path).st_mode)

    def refused(self, call, *args):
        error = self.assertRaises(exception.ConfigInvalid, call, *args)
        return str(error)

    def test_umask(self):
        private_files.set_umask()
        private_files.make_directory(os.path.join(self.path, 'a'), 'option')
        path = os.path.join(self.path, 'file')
        with open(path, 'wb'):
            self.assertEqual(0o600, self.mode(path))
        self.assertEqual(0o700, self.mode())

    def test_wide_directory_is_narrowed(self):
        os.mkdir(self.path)
        self.assertEqual(0o755, self.mode())
        private_files.make_directory(self.path, 'option')
        self.assertEqual(0o700, self.mode())

    def test_directory_of_a_group_is_kept(self):
        os.mkdir(self.path)
        os.chmod(self.path, 0o2750)
        private_files.make_directory(self.path, 'option')
        self.assertEqual(0o2750, self.mode())

    def test_directory_of_the_machine_is_refused(self):
        os.mkdir(self.path)
        os.chmod(self.path, 0o1777)
        said = self.refused(
            private_files.make_directory, self.path, '[DEFAULT] state_path'
        )
        self.assertIn('[DEFAULT] state_path: other accounts may use', said)
        self.assertIn(f'run: chmod o= {self.path}', said)
        self.assertEqual(0o1777, self.mode())
        # An old /var/lib of the machine stays as it is.
        said = self.refused(private_files.make_directory, '/usr', 'option')
        self.assertIn('other accounts may use /usr', said)
        self.assertEqual(0o755, self.mode('/usr'))

    def test_file_in_the_way(self):
        with open(self.path, 'wb'):
            pass
        said = self.refused(private_files.make_directory, self.path, 'option')
        self.assertEqual(
            f'Configuration error: option: {self.path}: File exists',
            said,
        )

    def test_group_reads(self):
        private_files.share_with_group(self.path, os.getegid(), 'option')
        self.assertEqual(0o2750, self.mode())
        below = os.path.join(self.path, 'a')
        os.mkdir(below)
        self.assertEqual(0o2750, self.mode(below))
        path = os.path.join(below, 'file')
        with open(path, 'wb'):
            self.assertEqual(0o640, self.mode(path))
        self.assertEqual(os.getegid(), os.stat(path).st_gid)
        state = os.path.join(self.directory, 'state')
        os.mkdir(state, 0o700)
        private_files.let_group_pass(state, os.getegid(), 'option')
        self.assertEqual(0o710, self.mode(state))

    def test_directory_of_the_machine_is_not_given_to_a_group(self):
        os.mkdir(self.path)
        os.chmod(self.path, 0o1777)
        for call in (
            private_files.share_with_group,
            private_files.let_group_pass,
        ):
            said = self.refused(call, self.path, os.getegid(), 'option')
            self.assertIn('is not a directory of the service', said)
            self.assertIn(f'chgrp {os.getegid()} {self.path}', said)
            self.assertEqual(0o1777, self.mode())

    def test_group_that_may_not_be_given(self):
        def chown(path, uid, gid):
            raise PermissionError(1, 'Operation not permitted')

        self.patch(private_files.os, 'chown', chown)
        said = self.refused(
            private_files.share_with_group, self.path, 64055, 'option'
        )
        self.assertIn('the group 64055 of QEMU cannot be given access', said)
        self.assertIn('add the account of this service to the group', said)
