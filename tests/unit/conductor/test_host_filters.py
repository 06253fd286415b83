# SPDX-License-Identifier: Apache-2.0
"""The filters that every selection of a host passes."""

from types import SimpleNamespace

from minova.conductor import host_filters
from minova.conductor.host_candidate import Candidate
from minova.conductor.host_candidate import HostRequirements
from minova.extra_specs import traits
from minova.objects.request_spec import RequestSpec
from tests import base


class FiltersTest(base.TestCase):
    """A host that passes all filters but one."""

    def candidate(self, disabled=None, down=None, sick=None, **values):
        row = {
            'host': 'a',
            'hypervisor_hostname': 'a.example',
            'availability_zone': 'nova',
            'hypervisor_type': 'QEMU',
            'hypervisor_version': 7,
            'supported_instances': [['x86_64', 'kvm', 'hvm']],
            'traits': [],
            'numa_cells': [],
            'vcpus': 4,
            'pcpus': 0,
            'memory_mb': 1024,
            'disk_gb': 10,
            'reserved_memory_mb': 0,
            'reserved_disk_gb': 0,
            'cpu_allocation_ratio': 1.0,
            'ram_allocation_ratio': 1.0,
            'disk_allocation_ratio': 1.0,
            'vcpus_used': 0,
            'pcpus_used': 0,
            'memory_mb_used': 0,
            'disk_gb_used': 0,
        }
        service = SimpleNamespace(
            disabled=disabled is not None,
            disabled_reason=disabled,
            hypervisor_error=sick,
        )
        return Candidate(SimpleNamespace(**row | values), service, down)

    def required(self, zone=None, image=None, **values):
        flavor = SimpleNamespace(
            vcpus=1, memory_mb=512, disk_gb=1, extra_specs={}
        )
        instance = SimpleNamespace(
            request_spec=RequestSpec(availability_zone=zone),
            image_meta=image or {},
            project_id='p',
        )
        return HostRequirements(instance, flavor, **values)

    def assert_reason(self, reason, candidate, **required):
        self.assertEqual(
            reason,
            host_filters.find_refusal(candidate, self.required(**required)),
        )

    def test_firmware_and_tpm(self):
        uefi = {'hw_firmware_type': 'uefi'}
        secure = uefi | {'os_secure_boot': 'required'}
        tpm = {'hw_tpm_version': '2.0', 'hw_tpm_model': 'tpm-crb'}
        self.assert_reason(
            'it has no UEFI firmware (hw_firmware_type)',
            self.candidate(),
            image=uefi,
        )
        self.assert_reason(
            'it has no UEFI firmware with Secure Boot (os_secure_boot)',
            self.candidate(traits=[traits.UEFI]),
            image=secure,
        )
        self.assert_reason(
            'it has no TPM 2.0 (hw_tpm_version) and no TPM model tpm-crb '
            '(hw_tpm_model)',
            self.candidate(traits=[traits.UEFI, 'COMPUTE_SECURITY_TPM_TIS']),
            image=tpm,
        )
        for image in (uefi, secure, tpm):
            self.assert_reason(
                None, self.candidate(traits=list(traits.ALL)), image=image
            )
        for wanted in ('optional', 'disabled'):
            self.assert_reason(
                None,
                self.candidate(traits=[traits.UEFI]),
                image=uefi | {'os_secure_boot': wanted},
            )
        # A rebuild stays on its host, and its new image may need more.
        self.assertIn(
            'no UEFI firmware',
            host_filters.find_keep_refusal(
                self.candidate(), self.required(image=uefi)
            ),
        )

    def test_passes(self):
        for required in (
            {},
            {'zone': 'nova'},
            {'requested_host': 'a'},
            {'requested_host': 'a.example'},
            {'image': {'hw_architecture': 'x86_64', 'img_hv_type': 'kvm'}},
            {'live_source': self.candidate(hypervisor_version=6).row},
        ):
            self.assert_reason(None, self.candidate(), **required)

    def test_reasons(self):
        newer = self.candidate(hypervisor_version=8).row
        for reason, candidate, required in (
            ('it failed', {}, {'excluded_hosts': {'a': 'it failed'}}),
            ('host b is requested', {}, {'requested_host': 'b'}),
            ('it is forced down', {'down': 'it is forced down'}, {}),
            ('it is disabled', {'disabled': ''}, {}),
            ('it is disabled (fan)', {'disabled': 'fan'}, {}),
            (
                'its hypervisor cannot be used (no answer)',
                {'sick': 'no answer'},
                {},
            ),
            (
                'it is in zone nova, and zone far is requested',
                {},
                {'zone': 'far'},
            ),
            (
                'it does not support the architecture aarch64 of the image',
                {},
                {'image': {'hw_architecture': 'arm64'}},
            ),
            ('0 of 1 vcpus are free', {'vcpus_used': 4}, {}),
            (
                (
                    'The instance requires a newer hypervisor version than '
                    'has been provided: the source runs 8, the destination 7.'
                ),
                {},
                {'live_source': newer},
            ),
        ):
            self.assert_reason(reason, self.candidate(**candidate), **required)

    def test_forced(self):
        # The operator decides about rules, not about what cannot work.
        forced = {'requested_host': 'a', 'is_forced': True}
        self.assert_reason(
            None, self.candidate(disabled='fan'), zone='far', **forced
        )
        self.assert_reason(
            '0 of 1 GiB of disk are free',
            self.candidate(disabled='fan', disk_gb_used=10),
            **forced,
        )
        self.assert_reason(
            'its hypervisor cannot be used (no answer)',
            self.candidate(sick='no answer'),
            **forced,
        )
        self.assert_reason(
            'no heartbeat', self.candidate(down='no heartbeat'), **forced
        )
