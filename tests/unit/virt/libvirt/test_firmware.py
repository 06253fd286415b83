# SPDX-License-Identifier: Apache-2.0
"""The choice of the UEFI firmware of a guest."""

from minova import exception
from minova.extra_specs import parser
from minova.virt.libvirt import firmware
from minova.virt.libvirt.firmware import Firmware
from tests import base

SECURE = Firmware('ms', 'ms', 'x86_64', ('pc-q35-*',), is_secure=True)
PLAIN = Firmware('plain', 'plain', 'x86_64', ('pc-i440fx-*', 'pc-q35-*'))
ARM = Firmware('arm', 'arm', 'aarch64', ('virt-*',))
ALL = (SECURE, PLAIN, ARM)


class ChooseTest(base.TestCase):
    """By machine type, architecture and Secure Boot."""

    def choose(self, found=ALL, machine='q35', architecture='x86_64', **image):
        image = {'hw_firmware_type': 'uefi'} | image
        made = parser.parse({}, image, 1, 256).requirements
        return firmware.choose('uuid', found, made, architecture, machine)

    def test_by_machine(self):
        for machine in ('q35', 'pc-q35-7.2', 'pc', 'pc-i440fx-9.0', None):
            self.assertIs(PLAIN, self.choose(machine=machine))
        self.assertIs(ARM, self.choose(machine='virt', architecture='aarch64'))

    def test_by_secure_boot(self):
        for wanted in ('required', 'optional'):
            self.assertIs(SECURE, self.choose(os_secure_boot=wanted))
        self.assertIs(PLAIN, self.choose(os_secure_boot='disabled'))
        self.assertIs(PLAIN, self.choose((PLAIN,), os_secure_boot='optional'))
        self.assertIs(
            PLAIN, self.choose(machine='pc', os_secure_boot='optional')
        )

    def test_other_firmware(self):
        self.assertIsNone(self.choose(hw_firmware_type='bios'))
        self.assertIsNone(self.choose(hw_firmware_type=''))
        self.assertIsNone(self.choose(None))

    def test_missing(self):
        for found, more, text in (
            ((), {}, 'no UEFI firmware for x86_64'),
            ((SECURE,), {}, 'no UEFI firmware for x86_64'),
            ((PLAIN,), {'os_secure_boot': 'required'}, 'with Secure Boot'),
            (ALL, {'architecture': 'riscv64'}, 'no UEFI firmware for riscv64'),
        ):
            error = self.assertRaises(
                exception.GuestFailed, self.choose, found, **more
            )
            self.assertIn(text, str(error))
            self.assertIn('package ovmf', str(error))
