# SPDX-License-Identifier: Apache-2.0
"""The access of QEMU's account to disks and images."""

import grp
import os
import pwd
import stat

from minova import exception
from minova.virt.libvirt.qemu import host_config
from minova.virt.libvirt.qemu import permissions
from tests import base


class PermissionsTest(base.TestCase):
    """The directories of a host, for each relation of the two accounts."""

    def setUp(self):
        super().setUp()
        self.addCleanup(os.umask, os.umask(0o022))
        self.state = os.path.join(self.directory, 'state')
        self.config(state_path=self.state)
        self.config(group='libvirt', connection_uri='qemu:///system')
        self.qemu_conf = os.path.join(self.directory, 'qemu.conf')
        self.patch(permissions, 'QEMU_CONF', self.qemu_conf)
        self.patch(permissions.os, 'geteuid', lambda: 0)
        self.accounts = {}
        self.patch(permissions.pwd, 'getpwnam', self.accounts.__getitem__)

    def account(self, name):
        gid = os.getegid()
        self.accounts[name] = pwd.struct_passwd(
            (name, 'x', 1, gid, '', '', '')
        )

    def modes(self):
        """Prepare; return the mode of the state path, disks and images."""
        permissions.prepare_directories(host_config.from_config('host1'))
        return [
            stat.S_IMODE(os.stat(os.path.join(self.state, name)).st_mode)
            for name in ('', 'instances', 'image-cache')
        ]

    def assert_umask(self, wanted):
        found = os.umask(0o022)
        os.umask(found)
        self.assertEqual(oct(wanted), oct(found))

    def test_qemu_with_an_account_of_its_own(self):
        for name in ('libvirt-qemu', 'qemu'):
            self.accounts.clear()
            self.account(name)
            self.assertEqual([0o710, 0o2750, 0o2750], self.modes())
            self.assert_umask(0o027)

    def test_qemu_with_the_account_of_the_service(self):
        os.umask(0o077)
        self.account('libvirt-qemu')
        for options in (
            {'connection_uri': 'qemu:///session'},
            {'connection_uri': 'qemu:///system', 'qemu_group': ''},
        ):
            self.config(group='libvirt', **options)
            self.assertEqual([0o700, 0o700, 0o700], self.modes())
            self.assert_umask(0o077)

    def test_service_that_is_not_root(self):
        os.umask(0o077)
        self.account('libvirt-qemu')
        uid = os.stat(self.directory).st_uid
        self.patch(permissions.os, 'geteuid', lambda: uid or 1000)
        permissions.prepare_directories(host_config.from_config('host1'))
        instances = os.path.join(self.state, 'instances')
        self.assertFalse(os.stat(instances).st_mode & stat.S_ISGID)

    def test_group_of_qemu_conf(self):
        name = grp.getgrgid(os.getegid()).gr_name
        with open(self.qemu_conf, 'w', encoding='utf-8') as file:
            file.write(f'#group = "x"\ngroup = "{name}"\n')
        self.assertEqual([0o710, 0o2750, 0o2750], self.modes())
        with open(self.qemu_conf, 'w', encoding='utf-8') as file:
            file.write('group = "nowhere"')
        error = self.assertRaises(exception.ConfigInvalid, self.modes)
        self.assertIn('qemu.conf: this machine has no group', str(error))

    def test_group_by_number(self):
        self.config(group='libvirt', qemu_group=str(os.getegid()))
        self.assertEqual([0o710, 0o2750, 0o2750], self.modes())

    def test_disks_elsewhere(self):
        self.account('qemu')
        os.makedirs(self.state, mode=0o700)
        elsewhere = os.path.join(self.directory, 'disks')
        self.config(group='libvirt', instances_path=elsewhere)
        images = os.path.join(self.directory, 'images')
        self.config(group='compute', image_cache_directory=images)
        permissions.prepare_directories(host_config.from_config('host1'))
        self.assertEqual(0o700, stat.S_IMODE(os.stat(self.state).st_mode))
        self.assertEqual(0o2750, stat.S_IMODE(os.stat(images).st_mode))

    def test_unknown_group(self):
        self.config(group='libvirt', qemu_group='nowhere')
        error = self.assertRaises(exception.ConfigInvalid, self.modes)
        self.assertIn(
            'qemu_group: this machine has no group nowhere', str(error)
        )
