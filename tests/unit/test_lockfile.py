# SPDX-License-Identifier: Apache-2.0
"""Lock files."""

import os

import fixtures

from minova import lockfile
from tests import base


class LockfileTest(base.TestCase):
    """One lock file, several users."""

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(directory, 'lock')

    def test_lock_is_exclusive(self):
        mine = lockfile.acquire(self.path)
        self.assertIsNone(lockfile.acquire(self.path))
        self.assertEqual(str(os.getpid()), lockfile.holder(self.path))
        mine.close()
        with lockfile.acquire(self.path) as again:
            self.assertIsNotNone(again)

    def test_earlier_content_is_removed(self):
        with open(self.path, 'w', encoding='ascii') as file:
            file.write('1234567890\n')
        with lockfile.acquire(self.path):
            self.assertEqual(str(os.getpid()), lockfile.holder(self.path))

    def test_unknown_holder(self):
        with open(self.path, 'w', encoding='ascii'):
            pass
        self.assertEqual('unknown', lockfile.holder(self.path))

    def test_missing_directory(self):
        self.assertRaises(OSError, lockfile.acquire, f'{self.path}/lock')
