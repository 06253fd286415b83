# SPDX-License-Identifier: Apache-2.0
"""Invalid extra specs and image properties are refused before any write."""

from tests.functional.api import base


class ExtraSpecsTest(base.ApiTestCase):
    """Extra specs and image properties."""

    def setUp(self):
        super().setUp()
        self.make_flavor(vcpus=4)
        self.path = '/flavors/small/os-extra_specs'

    def set_extra_spec(self, client=None, **specs):
        given = {f'hw:{name}': value for name, value in specs.items()}
        client = client or self.admin
        return client.post(self.path, {'extra_specs': given})

    def instance_count(self):
        return self.user.get(self.path).body['extra_specs']

    def image_like(self, **values):
        return self.image_store.add(**values).id

    def create(self, **values):
        return self.user.post('/servers', {'server': self.server(**values)})

    def assert_nothing_made(self, reply, text):
        self.assert_refused(400, text, reply)
        self.assertEqual([], self.ids(self.user))

    def test_specs_are_validated_since_2_86(self):
        admin = self.admin.at_version('2.86')
        for specs, text in (
            ({'cpu_policy': 'mixed'}, 'Use dedicated or shared'),
            ({'cpu_sockets': '0'}, '1 to 65535'),
            ({'numa_distances': '2'}, 'is not supported in this release'),
        ):
            self.assert_refused(400, text, self.set_extra_spec(admin, **specs))
            ((name, value),) = specs.items()
            reply = admin.put(f'{self.path}/hw:{name}', {f'hw:{name}': value})
            self.assert_refused(400, text, reply)
            self.assertEqual({}, self.instance_count())
        reply = admin.post(
            self.path,
            {'extra_specs': {'hw:cpu_cores': 2, 'acme:colour': 'red'}},
        )
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual(
            {'hw:cpu_cores': '2', 'acme:colour': 'red'}, self.instance_count()
        )

    def test_specs_are_validated_at_create_before_2_86(self):
        reply = self.set_extra_spec(
            self.admin.at_version('2.85'), numa_nodes='0', boot_menu='x'
        )
        self.assertEqual(200, reply.status)
        refused = self.create()
        self.assert_nothing_made(refused, 'hw:numa_nodes')
        self.assert_nothing_made(refused, 'hw:boot_menu')

    def test_contradicting_flavor(self):
        self.set_extra_spec(cpu_cores='3')
        self.assert_nothing_made(self.create(), 'must be the number of vCPUs')
        self.set_extra_spec(cpu_cores='2')
        self.boot()

    def test_image(self):
        bad = self.image_like(properties={'hw_firmware_type': 'efi'})
        self.assert_nothing_made(self.create(imageRef=bad), 'hw_firmware_type')

    def test_resize(self):
        self.make_flavor('large', vcpus=6)
        uuid = self.boot()
        self.set_extra_spec(cpu_cores='2')
        reply = self.admin.post(
            '/flavors/large/os-extra_specs',
            {'extra_specs': {'hw:cpu_cores': '4'}},
        )
        self.assertEqual(200, reply.status)
        reply = self.user.act(uuid, 'resize', {'flavorRef': 'large'})
        self.assert_refused(400, 'must be the number of vCPUs', reply)
        shown = self.show(uuid)
        self.assertEqual('ACTIVE', shown['status'])
        self.assertIsNone(shown['OS-EXT-STS:task_state'])

    def test_kernel_must_be_visible(self):
        nowhere = self.image_like(properties={'kernel_id': 'nowhere'})
        self.assert_nothing_made(self.create(imageRef=nowhere), 'kernel_id')
        hidden = self.image_like(visibility='private', owner='others')
        named = self.image_like(properties={'kernel_id': hidden})
        self.assert_nothing_made(self.create(imageRef=named), 'kernel_id')
        kernel = self.image_like()
        queued = self.image_like(status='queued')
        named = self.image_like(
            properties={'kernel_id': kernel, 'ramdisk_id': queued}
        )
        self.assert_nothing_made(self.create(imageRef=named), queued)
        named = self.image_like(
            properties={'kernel_id': kernel, 'ramdisk_id': kernel}
        )
        self.boot(imageRef=named)
