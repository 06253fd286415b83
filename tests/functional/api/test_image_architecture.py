# SPDX-License-Identifier: Apache-2.0
"""Images for some processors and hypervisors: where their servers go."""

from tests.functional.api import base


class ImageArchitectureTest(base.ApiTestCase):
    """Hosts a and b run x86 guests; c emulates aarch64 too."""

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.make_flavor('big', vcpus=2, disk=2)

    def start_emulating(self):
        self.config('fake', architectures=['x86_64', 'i686', 'aarch64'])
        self.cloud.start_compute('c').wait_until_ready(20)

    def boot_image(self, **properties):
        image = self.image_store.add(properties=properties).id
        return self.boot(self.admin, imageRef=image)

    def test_firmware_and_tpm(self):
        uefi = {'hw_firmware_type': 'uefi', 'os_secure_boot': 'required'}
        tpm = {'hw_tpm_version': '2.0'}
        self.config('fake', traits=['COMPUTE_FIRMWARE_UEFI'])
        for host in ('a', 'b'):
            self.cloud.stop(self.cloud.computes[host])
            self.cloud.start_compute(host).wait_until_ready(20)
        for properties, reason in (
            (uefi, 'no UEFI firmware with Secure Boot (os_secure_boot)'),
            (tpm, 'no TPM 2.0 (hw_tpm_version)'),
        ):
            uuid = self.boot_image(**properties)
            shown = self.show(uuid, self.admin)
            self.assertEqual('ERROR', shown['status'])
            for host in ('a', 'b'):
                self.assertIn(
                    f'{host}: it has {reason}', shown['fault']['message']
                )
        uuid = self.boot_image(hw_firmware_type='uefi')
        self.assertEqual('ACTIVE', self.show(uuid, self.admin)['status'])

    def assert_no_host(self, reason, **properties):
        shown = self.show(self.boot_image(**properties), self.admin)
        self.assertEqual('ERROR', shown['status'])
        message = shown['fault']['message']
        self.assertIn('No valid host was found', message)
        for host in ('a', 'b'):
            self.assertIn(f'{host}: it does not support the {reason}', message)

    def test_no_host_supports_it(self):
        for name in (
            'architecture',
            'hw_architecture',
            'hw_emulation_architecture',
        ):
            self.assert_no_host(
                'architecture aarch64 of the image', **{name: 'aarch64'}
            )
        self.assert_no_host(
            'hypervisor type xen of the image', img_hv_type='xen'
        )
        self.assert_no_host('VM mode xen of the image', hw_vm_mode='xen')
        self.assert_no_host(
            'architecture x86_64 with hypervisor type vmware of the image',
            hw_architecture='x86_64',
            img_hv_type='vmware',
        )

    def test_supported(self):
        for properties in (
            {'hw_architecture': 'x86_64'},
            {'architecture': 'amd64'},
            {'architecture': 'i386'},
            {'hw_architecture': ''},
            {'img_hv_type': 'QEMU', 'hw_vm_mode': 'hvm'},
        ):
            uuid = self.boot_image(**properties)
            self.assertEqual(
                'ACTIVE', self.show(uuid, self.admin)['status'], properties
            )

    def test_unknown_names(self):
        for name, word in (
            ('hw_architecture', 'pdp11'),
            ('img_hv_type', 'abacus'),
            ('hw_vm_mode', 'trance'),
        ):
            image = self.image_store.add(properties={name: word}).id
            body = {'server': self.server(imageRef=image)}
            reply = self.user.post('/servers', body)
            self.assert_refused(
                400, f"The image property {name}='{word}' must be", reply
            )

    def test_every_way_to_a_host(self):
        self.start_emulating()
        uuid = self.boot_image(hw_architecture='aarch64')
        self.assertEqual('c', self.cloud.instance(uuid).host)
        for action, content, version in (
            ('resize', {'flavorRef': 'big'}, '2.1'),
            ('migrate', None, '2.1'),
            ('migrate', {'host': 'a'}, '2.56'),
            (
                'os-migrateLive',
                {'host': None, 'block_migration': 'auto'},
                '2.33',
            ),
            (
                'os-migrateLive',
                {'host': 'a', 'block_migration': 'auto', 'force': True},
                '2.33',
            ),
        ):
            reply = self.admin.at_version(version).act(uuid, action, content)
            self.assert_refused(400, 'architecture aarch64', reply)
            self.cloud.settle(uuid)
        self.assertEqual('c', self.cloud.instance(uuid).host)
        self.cloud.start_compute('d').wait_until_ready(20)
        reply = self.admin.act(uuid, 'migrate')
        self.assertEqual(202, reply.status, reply.body)
        self.cloud.settle(uuid)
        self.assertEqual('d', self.cloud.instance(uuid).host)
