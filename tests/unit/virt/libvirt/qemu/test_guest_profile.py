# SPDX-License-Identifier: Apache-2.0
"""The guest profile of a QEMU host, from the configuration."""

import dataclasses
import errno
import os
from unittest import mock

from minova import exception
from minova.conf import CONF
from minova.virt.libvirt.qemu import guest_profile
from minova.virt.libvirt.qemu import host_config as host_configs
from tests import base


class ProfilesTest(base.TestCase):
    """[libvirt] hw_machine_type, cpu_*, emulator, disk_cachemode."""

    def set(self, **options):
        for name, value in options.items():
            CONF.set_override(name, value, 'libvirt')
            self.addCleanup(CONF.clear_override, name, 'libvirt')

    def made(self, virt_type='qemu'):
        return guest_profile.from_config(
            dataclasses.replace(
                host_configs.from_config('a'),
                instances_path=self.directory,
                virt_type=virt_type,
            )
        )

    def test_defaults(self):
        made = self.made()
        self.assertEqual(
            ('qemu', None, None, 'q35', None, 10),
            (
                made.type,
                made.cpu_mode,
                made.cpu_model,
                made.machine,
                made.emulator,
                made.stats_period,
            ),
        )
        self.assertEqual('host-model', self.made('kvm').cpu_mode)

    def test_emulated_architectures(self):
        firmware = f'{self.directory}/AAVMF_CODE.fd'
        with mock.patch.object(
            guest_profile, '_AARCH64_FIRMWARE', ('/none', firmware)
        ):
            self.assertEqual({}, self.made('kvm').emulated)
            with open(firmware, 'w'):
                pass
            self.set(cpu_mode='host-passthrough', emulator='/opt/qemu')
            emulated = self.made('kvm').emulated['aarch64']
        self.assertEqual(
            ('qemu', 'custom', 'cortex-a57', 'virt', None, firmware),
            (
                emulated.type,
                emulated.cpu_mode,
                emulated.cpu_model,
                emulated.machine,
                emulated.emulator,
                emulated.firmware,
            ),
        )

    def test_explicit_values(self):
        self.set(
            hw_machine_type='pc-q35-7.2',
            cpu_mode='custom',
            cpu_model='Haswell',
            emulator='/opt/qemu',
            disk_cachemode='directsync',
            mem_stats_period_seconds=0,
        )
        made = self.made()
        self.assertEqual(
            ('custom', 'Haswell', 'pc-q35-7.2', '/opt/qemu', 'directsync', 0),
            (
                made.cpu_mode,
                made.cpu_model,
                made.machine,
                made.emulator,
                made.cache,
                made.stats_period,
            ),
        )
        self.set(cpu_mode='none', cpu_model='')
        self.assertIsNone(self.made('kvm').cpu_mode)

    def test_contradictions(self):
        for virt_type, mode, model, word in (
            ('kvm', 'custom', '', 'needs cpu_model'),
            ('kvm', 'host-model', 'Haswell', 'needs cpu_mode = custom'),
            ('qemu', 'host-passthrough', '', 'virt_type = kvm'),
        ):
            self.set(cpu_mode=mode, cpu_model=model)
            error = self.assertRaises(
                exception.ConfigInvalid, self.made, virt_type
            )
            self.assertIn(word, str(error))

    def test_cache_by_what_the_file_system_knows(self):
        refused = OSError(errno.EINVAL, 'no O_DIRECT')
        with mock.patch.object(guest_profile.os, 'open', side_effect=refused):
            self.assertEqual('writeback', self.made().cache)
        with mock.patch.object(
            guest_profile, 'supports_direct_io', lambda _: True
        ):
            self.assertEqual('none', self.made().cache)

    def test_probe_leaves_nothing_and_hides_nothing(self):
        self.assertIn(
            guest_profile.supports_direct_io(self.directory), (True, False)
        )
        self.assertEqual([], os.listdir(self.directory))
        denied = PermissionError(errno.EACCES, 'no')
        with mock.patch.object(guest_profile.os, 'open', side_effect=denied):
            self.assertRaises(
                PermissionError,
                guest_profile.supports_direct_io,
                self.directory,
            )
