# SPDX-License-Identifier: Apache-2.0
"""The state of an emulated TPM, between libvirt's directory and the disks."""

import os

from minova.virt.libvirt.qemu import tpm_state
from minova.virt.libvirt.qemu.tpm_state import TpmStates
from tests import base
from tests.unit.virt.rigs import UUID


class StatesTest(base.TestCase):
    """One guest, with a TPM 2.0 unless the test says otherwise."""

    def setUp(self):
        super().setUp()
        self.root = f'{self.directory}/swtpm'
        self.folder = f'{self.directory}/{UUID}'
        os.mkdir(self.folder)
        self.states = TpmStates(self.root)
        self.state = f'{self.root}/{UUID}/tpm2/tpm2-00.permall'
        self.copy = f'{self.folder}/tpm2-00.permall'

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)

    def read(self, path):
        with open(path) as file:
            return file.read()

    def test_save_and_install(self):
        self.write(self.state, 'secret')
        self.states.save(UUID, self.folder)
        self.assertEqual('secret', self.read(self.state))
        self.assertEqual('secret', self.read(self.copy))
        self.assertEqual(0o600, os.stat(self.copy).st_mode & 0o777)
        # At a host that has an older state, or none.
        other = TpmStates(f'{self.directory}/other')
        installed = self.state.replace('/swtpm/', '/other/')
        for older in (None, 'older'):
            if older:
                self.write(installed, older)
                self.states.save(UUID, self.folder)
            other.install(UUID, self.folder)
            self.assertEqual('secret', self.read(installed))
            self.assertEqual([], os.listdir(self.folder))
        # A repeated call has nothing to install.
        other.install(UUID, self.folder)
        self.assertEqual('secret', self.read(installed))

    def test_version_1_2(self):
        state = f'{self.root}/{UUID}/tpm1.2/tpm-00.permall'
        self.write(state, 'secret')
        self.states.save(UUID, self.folder)
        os.unlink(state)
        self.states.install(UUID, self.folder)
        self.assertEqual('secret', self.read(state))

    def test_no_tpm(self):
        self.states.save(UUID, self.folder)
        self.states.install(UUID, self.folder)
        self.assertEqual([], os.listdir(self.folder))
        self.assertFalse(os.path.exists(self.root))

    def test_no_disks(self):
        self.write(self.state, 'secret')
        os.rmdir(self.folder)
        self.states.save(UUID, self.folder)
        self.assertFalse(os.path.exists(self.folder))

    def test_discarded_copy(self):
        self.write(self.state, 'secret')
        self.states.save(UUID, self.folder)
        self.states.discard_copy(self.folder)
        self.states.discard_copy(self.folder)
        self.states.install(UUID, self.folder)
        self.assertEqual([], os.listdir(self.folder))
        self.assertEqual('secret', self.read(self.state))

    def test_usable(self):
        self.assertTrue(self.states.is_usable())
        self.assertFalse(TpmStates('/proc/1/swtpm').is_usable())


class FromConfigTest(base.TestCase):
    """[libvirt] swtpm_state_path, and its default by the connection."""

    def test_directory(self):
        for uri, directory in (
            ('qemu:///system', '/var/lib/libvirt/swtpm'),
            ('qemu+tcp://host/system?x=1', '/var/lib/libvirt/swtpm'),
            ('qemu:///session', '/home/me/libvirt/qemu/swtpm'),
        ):
            self.patch(os, 'environ', {'XDG_CONFIG_HOME': '/home/me'})
            self.assertEqual(directory, tpm_state.from_config(uri)._directory)
        self.config(group='libvirt', swtpm_state_path='/states')
        for uri in ('qemu:///system', 'qemu:///session'):
            found = tpm_state.from_config(uri)
            self.assertEqual('/states', found._directory)

    def test_account(self):
        self.patch(os, 'geteuid', lambda: 0)
        self.config(group='libvirt', swtpm_user='root')
        self.assertEqual(0, tpm_state.from_config('qemu:///system')._uid)
        self.assertIsNone(tpm_state.from_config('qemu:///session')._uid)
        self.config(group='libvirt', swtpm_user='no-such-account')
        self.assertIsNone(tpm_state.from_config('qemu:///system')._uid)
        self.patch(os, 'geteuid', lambda: 1000)
        self.config(group='libvirt', swtpm_user='root')
        self.assertIsNone(tpm_state.from_config('qemu:///system')._uid)
