# SPDX-License-Identifier: Apache-2.0
"""The file with the key of a host."""

import os
import stat

from minova import exception
from minova.compute import host_key
from minova.conf import CONF
from tests import base


class HostKeyTest(base.TestCase):
    """Its creation, its permissions and what cannot be used."""

    def path(self, end='key'):
        return os.path.join(CONF.state_path, f'compute-a.{end}')

    def mode(self, path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def test_the_first_start_makes_it(self):
        self.addCleanup(os.umask, os.umask(0))
        key = host_key.ensure('a')
        self.assertEqual(0o600, self.mode(self.path()))
        with open(self.path('pub')) as file:
            self.assertEqual(f'{key.public_key}\n', file.read())
        self.assertEqual(key.public_key, host_key.ensure('a').public_key)
        self.assertNotEqual(key.public_key, host_key.ensure('b').public_key)

    def test_an_open_file_is_closed(self):
        key = host_key.ensure('a')
        for mode in (0o644, 0o640, 0o660, 0o604):
            os.chmod(self.path(), mode)
            self.assertEqual(key.public_key, host_key.ensure('a').public_key)
            self.assertEqual(0o600, self.mode(self.path()))
        self.assertIn('was open to other accounts', self.log.output)
        self.assertIn('--replace', self.log.output)

    def test_a_file_that_is_no_key(self):
        host_key.ensure('a')
        for text in ('', 'x\n', 'Zm9v\n', '\u00e4'):
            with open(self.path(), 'w') as file:
                file.write(text)
            error = self.assertRaises(
                exception.ConfigInvalid, host_key.ensure, 'a'
            )
            self.assertIn(f'{self.path()}: it is no key', str(error))
            self.assertIn('minova-manage host enroll a', str(error))

    def test_a_link_is_not_followed(self):
        os.symlink('/dev/null', self.path())
        self.assertRaises(exception.ConfigInvalid, host_key.ensure, 'a')

    def test_a_directory(self):
        os.mkdir(self.path())
        error = self.assertRaises(
            exception.ConfigInvalid, host_key.ensure, 'a'
        )
        self.assertIn('Is a directory', str(error))

    def test_the_key_of_another_account(self):
        host_key.ensure('a')
        self.patch(os, 'geteuid', lambda: os.getuid() + 1)
        error = self.assertRaises(
            exception.ConfigInvalid, host_key.ensure, 'a'
        )
        self.assertIn('another account', str(error))
