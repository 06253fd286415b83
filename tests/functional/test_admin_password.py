# SPDX-License-Identifier: Apache-2.0
"""Set the password of the administrator in a server."""

import base64
import types

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
import fixtures

from minova import exception
from minova import states
from minova.context import get_admin_context
from minova.virt.fake.driver import digest
from tests.functional import base
from tests.functional.api import base as api_base

PASSWORD = 'Tr0ub4dor-and-3'


class AdminPasswordTest(base.FlowTestCase):
    """The step gets the password in a message of its own."""

    def test_sequence(self):
        uuid, host, _, since = self.booted()
        name = self.cloud.instance(uuid).host
        begun = self.cloud.begin(
            'set_admin_password', uuid, user='admin', wait=False
        )
        self.cloud.computes[name].runner.run_with_secret(
            get_admin_context(), begun.first_step, PASSWORD
        )
        self.cloud.settle(uuid)
        self.assert_emitted(
            f"""
            update(None>updating_password) [api.api]
            update(updating_password>None) [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(
            {'admin': digest(PASSWORD)},
            self.cloud.world.guest(name, uuid)['passwords'],
        )


class AdminPasswordApiTest(api_base.ApiTestCase):
    """The action and the encrypted password."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def change(self, uuid, password=PASSWORD, client=None):
        return (client or self.user).act(
            uuid, 'changePassword', {'adminPass': password}
        )

    def password_of(self, uuid):
        reply = self.user.get(f'/servers/{uuid}/os-server-password')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['password']

    def guest(self, uuid):
        return self.cloud.world.guest('a', uuid)

    def dump(self):
        """Return the whole database as text."""
        connection = self.cloud.database.engine.raw_connection()
        try:
            return '\n'.join(connection.driver_connection.iterdump())
        finally:
            connection.close()

    def test_password_is_set(self):
        uuid = self.boot()
        reply = self.change(uuid)
        self.assertEqual(202, reply.status, reply.body)
        self.assertIsNone(reply.body)
        self.assertEqual(
            {'root': digest(PASSWORD)}, self.guest(uuid)['passwords']
        )
        self.assertEqual('ACTIVE', self.show(uuid)['status'])
        actions = self.user.get(f'/servers/{uuid}/os-instance-actions').body[
            'instanceActions'
        ]
        self.assertEqual('changePassword', actions[0]['action'])
        self.cloud.settle(uuid)
        self.assertEqual('', self.password_of(uuid))

    def test_password_is_nowhere_else(self):
        uuid = self.boot()
        self.change(uuid)
        self.cloud.settle(uuid)
        self.assertNotIn(PASSWORD, self.dump())
        self.assertNotIn(PASSWORD, repr(self.cloud.consumer.of_instance(uuid)))
        self.assertNotIn(PASSWORD, self.log.output)

    def test_encrypted_for_the_owner(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH,
            serialization.PublicFormat.OpenSSH,
        )
        reply = self.user.post(
            '/os-keypairs',
            {'keypair': {'name': 'mine', 'public_key': public.decode()}},
        )
        self.assertEqual(200, reply.status, reply.body)
        uuid = self.boot(key_name='mine')
        self.change(uuid)
        self.cloud.settle(uuid)
        sealed = base64.b64decode(self.password_of(uuid))
        self.assertEqual(
            PASSWORD.encode(), key.decrypt(sealed, padding.PKCS1v15())
        )
        reply = self.user.delete(f'/servers/{uuid}/os-server-password')
        self.assertEqual(204, reply.status, reply.body)
        self.assertEqual('', self.password_of(uuid))

    def test_agent_does_not_answer(self):
        uuid = self.boot()
        self.cloud.world.set_guest_agent(False)
        self.assert_refused(
            409,
            f'Failed to set admin password on {uuid} because its guest agent '
            'does not answer',
            self.change(uuid),
        )
        self.cloud.settle(uuid)
        self.assertEqual('ACTIVE', self.show(uuid)['status'])
        self.assertEqual('rolled_back', self.cloud.operations(uuid)[-1].state)
        self.cloud.world.set_guest_agent(True)
        self.assertEqual(202, self.change(uuid).status)

    def test_host_without_a_queue(self):
        """The reply says that the guest has the old password."""
        uuid = self.boot()

        def deliver_password(context, **words):
            raise exception.NoConsumer(
                what='compute on a', reason='the queue has no consumer'
            )

        self.useFixture(
            fixtures.MockPatchObject(
                self.backend.computes,
                'for_host',
                return_value=types.SimpleNamespace(
                    deliver_password=deliver_password
                ),
            )
        )
        reply = self.change(uuid)
        self.assert_refused(
            503,
            'The password was not set: the host of the server is unavailable '
            'at this time. Try again later.',
            reply,
        )

    def test_wrong_state(self):
        uuid = self.boot()
        self.user.act(uuid, 'os-stop')
        self.cloud.settle(uuid)
        self.assert_refused(
            409, "Cannot 'changePassword' instance", self.change(uuid)
        )

    def test_invalid(self):
        uuid = self.boot()
        for content in ({}, {'adminPass': 1}, None):
            reply = self.user.act(uuid, 'changePassword', content)
            self.assertEqual(400, reply.status, reply.body)


class LostSecretTest(base.RecoveryTestCase):
    """A step without its secret fails, and nothing waits."""

    def setUp(self):
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(
                'minova.flows.admin_password.SECRET_TIMEOUT', 0.5
            )
        )

    def begin(self, uuid):
        return self.cloud.begin(
            'set_admin_password', uuid, user='root', wait=False
        )

    def assert_failed(self, uuid, kind):
        self.cloud.settle(uuid)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual('rolled_back', last.state)
        self.assertEqual(kind, last.error['class'])
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            (states.ACTIVE, None), (instance.vm_state, instance.task_state)
        )

    def test_message_lost(self):
        uuid = self.cloud.boot(host='a')
        self.begin(uuid)
        self.assert_failed(uuid, 'PasswordNotDelivered')

    def test_compute_crashes(self):
        for early in (True, False):
            uuid = self.cloud.boot(host='a')
            crashing = self.crash_at('a', 'set_admin_password', early)
            begun = self.begin(uuid)
            self.assertRaises(
                base.Crash,
                self.cloud.computes['a'].runner.run_with_secret,
                get_admin_context(),
                begun.first_step,
                PASSWORD,
            )
            self.assertTrue(crashing.crashed.is_set())
            self.restart('a')
            self.assert_failed(uuid, 'InstancePasswordSetFailed')
            last = self.cloud.operations(uuid)[-1]
            self.assertIn('set it again', last.error['kwargs']['reason'])

    def test_host_goes_down(self):
        uuid = self.cloud.boot(host='a')
        self.take_down('a')
        error = self.assertRaises(exception.HostDown, self.begin, uuid)
        self.assertIn('changePassword', str(error))
