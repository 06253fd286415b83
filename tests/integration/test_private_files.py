# SPDX-License-Identifier: Apache-2.0
"""No other account can read what the services keep on a disk."""

import os
import stat

from tests.integration.qemu import QemuTestCase
from tests.integration.test_allinone import AllInOneTestCase


def readable_by_others(directory):
    """Return the paths below ``directory`` that other accounts may use."""
    found = []
    for folder, directories, files in os.walk(directory):
        for name in directories + files:
            status = os.lstat(os.path.join(folder, name))
            if status.st_mode & 0o007 and not stat.S_ISLNK(status.st_mode):
                found.append(os.path.join(folder, name))
    return found


class AllInOneTest(AllInOneTestCase):
    """The data directory of an all-in-one."""

    def test_data_directory(self):
        os.mkdir(self.data)
        os.chmod(self.data, 0o755)
        self.start('--hosts=1')
        mode = stat.S_IMODE(os.stat(self.data).st_mode)
        self.assertEqual('0o700', oct(mode))
        self.assertEqual([], readable_by_others(self.data))


class QemuTest(QemuTestCase):
    """The disks of guests."""

    def test_disks(self):
        uuid, host = self.boot()
        there = self.live_migrate(uuid)
        for name in (host, there):
            directory = self.rig.instances_path(name)
            self.assertEqual([], readable_by_others(directory))
            mode = os.stat(directory).st_mode
            self.assertFalse(mode & 0o007, oct(mode))
