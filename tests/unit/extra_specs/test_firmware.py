# SPDX-License-Identifier: Apache-2.0
"""Firmware, Secure Boot and TPM: of the flavor, of the image, of both."""

from minova.extra_specs import traits
from tests.unit.extra_specs.test_parser import ParserTestCase

UEFI = {'hw_firmware_type': 'uefi'}


class SecureBootTest(ParserTestCase):
    """os:secure_boot and os_secure_boot."""

    def test_flavor_or_image(self):
        self.assertIsNone(self.granted({}, UEFI).secure_boot)
        for value in ('required', 'optional', 'disabled'):
            for specs, image in (
                ({'os:secure_boot': value}, UEFI),
                ({}, UEFI | {'os_secure_boot': value}),
                ({'os:secure_boot': value}, UEFI | {'os_secure_boot': value}),
            ):
                found = self.granted(specs, image)
                self.assertEqual(value, found.secure_boot)

    def test_contradiction(self):
        found = self.refused(
            'os_secure_boot=disabled',
            {'os:secure_boot': 'required'},
            UEFI | {'os_secure_boot': 'disabled'},
        )
        self.assertEqual('required', found.secure_boot)

    def test_needs_uefi(self):
        for image in ({}, {'hw_firmware_type': 'bios'}):
            found = self.refused(
                'needs the image property hw_firmware_type=uefi',
                {'os:secure_boot': 'required'},
                image,
            )
            self.assertIsNone(found.secure_boot)
            self.granted({'os:secure_boot': 'optional'}, image)

    def test_needs_q35(self):
        wanted = UEFI | {'os_secure_boot': 'required'}
        for machine in ('pc', 'pc-i440fx-7.2'):
            self.refused(
                f'hw_machine_type={machine}',
                {},
                wanted | {'hw_machine_type': machine},
            )
        for machine in ('q35', 'pc-q35-7.2', ''):
            self.granted({}, wanted | {'hw_machine_type': machine})

    def test_values(self):
        self.refused(
            'must be required, optional or disabled',
            {'os:secure_boot': 'yes'},
            UEFI,
        )
        self.refused('must be bios or uefi', {}, {'hw_firmware_type': 'efi'})


class TpmTest(ParserTestCase):
    """hw:tpm_* and hw_tpm_*."""

    def test_flavor_or_image(self):
        for specs, image in (
            ({'hw:tpm_version': '2.0'}, {}),
            ({}, {'hw_tpm_version': '2.0'}),
        ):
            found = self.granted(specs, image)
            self.assertEqual('2.0', found.tpm_version)
            self.assertEqual('tpm-tis', found.tpm_model)
        found = self.granted(
            {'hw:tpm_version': '2.0'}, {'hw_tpm_model': 'tpm-crb'}
        )
        self.assertEqual('tpm-crb', found.tpm_model)

    def test_contradictions(self):
        self.refused(
            'contradicts the image property hw_tpm_version=1.2',
            {'hw:tpm_version': '2.0'},
            {'hw_tpm_version': '1.2'},
        )
        self.refused('needs hw:tpm_version', {'hw:tpm_model': 'tpm-tis'})
        found = self.refused(
            'needs hw:tpm_version=2.0',
            {'hw:tpm_version': '1.2', 'hw:tpm_model': 'tpm-crb'},
        )
        self.assertEqual('tpm-tis', found.tpm_model)

    def test_values(self):
        self.refused('must be 1.2 or 2.0', {'hw:tpm_version': '2'})
        self.refused(
            'must be tpm-tis or tpm-crb',
            {'hw:tpm_version': '2.0', 'hw:tpm_model': 'tpm-spapr'},
        )


class TraitsTest(ParserTestCase):
    """The traits that the requirements need."""

    def test_required(self):
        for specs, image, needed in (
            ({}, {}, set()),
            ({}, {'hw_firmware_type': 'bios'}, set()),
            ({}, UEFI, {traits.UEFI}),
            ({'os:secure_boot': 'optional'}, UEFI, {traits.UEFI}),
            (
                {'os:secure_boot': 'required'},
                UEFI,
                {traits.UEFI, traits.SECURE_BOOT},
            ),
            (
                {'hw:tpm_version': '1.2'},
                {},
                {'COMPUTE_SECURITY_TPM_1_2', 'COMPUTE_SECURITY_TPM_TIS'},
            ),
        ):
            found = traits.required_by(self.granted(specs, image))
            self.assertEqual(needed, set(found))
