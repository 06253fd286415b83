# SPDX-License-Identifier: Apache-2.0
"""The test for KVM: the probe guest runs, hangs, exits or is missing.

Whether this machine has KVM is not known. That the guest comes to its end on
a processor that works is seen with QEMU's own.
"""

import os
import subprocess

import fixtures

from minova.virt.libvirt.qemu import acceleration
from minova.virt.libvirt.qemu import host_config as host_configs
from tests import base

SOURCE = os.path.join(os.path.dirname(acceleration.__file__), 'probe.S')


class ProbeTest(base.TestCase):
    """The probe guest."""

    def test_binary_matches_its_source(self):
        made, linked = (
            os.path.join(self.directory, name) for name in ('made', 'linked')
        )
        for words in (
            ['as', '--64', '-o', made, SOURCE],
            [
                *('ld', '-m', 'elf_x86_64', '-Ttext', '0x7c00'),
                *('--oformat', 'binary', '-e', '0x7c00', '-o', linked, made),
            ],
        ):
            subprocess.run(words, check=True)
        with open(linked, 'rb') as file:
            self.assertEqual(file.read(), acceleration.boot_sector())

    def test_probe_runs(self):
        emulator = acceleration.find_emulator()
        acceleration.run_probe_guest(emulator, 'tcg', '-cpu', 'max')

    def test_a_processor_without_64_bits(self):
        error = self.assertRaises(
            OSError,
            acceleration.run_probe_guest,
            acceleration.find_emulator(),
            *('tcg', '-cpu', 'qemu32'),
            timeout=2,
        )
        # It restarts, which ends it, at what such a processor does not know.
        self.assertIn("output is 'R', expected 'R6T'", str(error))


class VirtTypeTest(base.TestCase):
    """The result for each output of the probe guest."""

    def setUp(self):
        super().setUp()
        self.device = os.path.join(self.directory, 'kvm')
        self.useFixture(
            fixtures.MockPatchObject(acceleration, 'DEVICE', self.device)
        )
        self.log = self.useFixture(fixtures.FakeLogger('minova'))

    def emulator(self, script):
        """Create a fake QEMU; ``words`` are its arguments."""
        path = os.path.join(self.directory, 'emulator')
        with open(path, 'w') as file:
            file.write(f'#!/bin/sh\necho "$@" > {path}.words\n{script}\n')
        os.chmod(path, 0o700)
        return path

    def chosen(self, script):
        with open(self.device, 'w'):
            return acceleration.detect_virt_type(self.emulator(script))

    def test_complete_output(self):
        self.assertEqual('kvm', self.chosen('printf R6T'))
        with open(os.path.join(self.directory, 'emulator.words')) as file:
            words = file.read()
        self.assertIn('accel=kvm -cpu host', words)
        self.assertIn('the probe guest ran', self.log.output)

    def test_without_the_device_nothing_is_run(self):
        emulator = self.emulator('printf R6T')
        self.assertEqual('qemu', acceleration.detect_virt_type(emulator))
        self.assertFalse(os.path.exists(f'{emulator}.words'))
        self.assertIn(f'{self.device} does not exist', self.log.output)

    def test_incomplete_output(self):
        self.assertEqual('qemu', self.chosen('printf R6'))
        self.assertIn("output is 'R6', expected 'R6T'", self.log.output)

    def test_the_emulator_ends(self):
        self.assertEqual(
            'qemu', self.chosen('echo "emulator: no MSR" >&2; exit 1')
        )
        self.assertIn('emulator: no MSR', self.log.output)
        self.assertIn('[libvirt] virt_type', self.log.output)

    def test_probe_hangs(self):
        emulator = self.emulator('exec sleep 600')
        error = self.assertRaises(
            OSError, acceleration.run_probe_guest, emulator, 'kvm', timeout=1
        )
        self.assertIn('has not ended within 1 s', str(error))

    def test_no_emulator(self):
        error = self.assertRaises(
            OSError, acceleration.find_emulator, ('/no/such/qemu',)
        )
        self.assertIn('[libvirt] emulator', str(error))


class OptionTest(base.TestCase):
    """``[libvirt] virt_type``."""

    def setUp(self):
        super().setUp()
        self.asked = []
        self.useFixture(
            fixtures.MockPatchObject(
                acceleration, 'detect_virt_type', self.answer
            )
        )

    def answer(self, emulator):
        self.asked.append(emulator)
        return 'kvm'

    def test_configured_type_is_not_probed(self):
        for said in ('qemu', 'kvm'):
            self.config(group='libvirt', virt_type=said)
            self.assertEqual(said, host_configs.from_config('a').virt_type)
        self.assertEqual([], self.asked)

    def test_auto(self):
        self.config(group='libvirt', virt_type='auto', emulator='/opt/qemu')
        self.assertEqual('kvm', host_configs.from_config('a').virt_type)
        self.assertEqual(['/opt/qemu'], self.asked)
