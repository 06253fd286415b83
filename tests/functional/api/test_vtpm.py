# SPDX-License-Identifier: Apache-2.0
"""Servers with an emulated TPM: what is refused, and what is not."""

from minova.api.resources import vtpm
from tests.functional.api import base


class VtpmTest(base.ApiTestCase):
    """A server whose flavor has a TPM."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        reply = self.admin.post(
            '/flavors/small/os-extra_specs',
            {'extra_specs': {'hw:tpm_version': '2.0'}},
        )
        self.assertEqual(200, reply.status, reply.body)
        self.uuid = self.boot()

    def test_refused(self):
        for action, content, client in (
            ('shelve', None, self.user),
            ('evacuate', {}, self.admin.at_version('2.79')),
        ):
            reply = client.act(self.uuid, action, content)
            self.assert_refused(
                409,
                f"Operation '{action}' not supported for vTPM-enabled "
                f'instance ({self.uuid})',
                reply,
            )
            self.assertEqual('ACTIVE', self.show(self.uuid)['status'])

    def test_other_operations(self):
        for action, content, client in (
            ('reboot', {'type': 'HARD'}, self.user),
            ('migrate', None, self.admin),
        ):
            reply = client.act(self.uuid, action, content)
            self.assertEqual(202, reply.status, reply.body)
            self.cloud.settle(self.uuid)

    def test_servers_without_a_tpm(self):
        instance = self.cloud.instance(self.uuid)
        flavor = instance.flavor.replace(extra_specs={})
        vtpm.require_no_tpm(instance.replace(flavor=flavor), 'shelve')
