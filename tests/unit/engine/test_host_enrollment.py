# SPDX-License-Identifier: Apache-2.0
"""Which key of a host is accepted, and what the refusal says."""

import datetime
import os

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import host_removal
from minova.db.queries import hosts
from minova.db.queries import message_keys
from minova.engine import host_enrollment
from minova.engine.sender_keys import SenderKeys
from minova.rpc.signing import SigningKey
from tests import base

KEY = SigningKey.generate().public_key
OTHER = SigningKey.generate().public_key


class EnrollmentTestCase(base.TestCase):
    """A database."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, 'minova.sqlite')
        self.database = engine.connect(CONF, f'sqlite:///{path}')
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)

    def write(self, function, *args):
        return self.database.write(lambda c: function(c, *args))

    def enroll(self, key=KEY, token=None, host='a'):
        return self.write(host_enrollment.enroll, host, key, token)

    def issue(self, replace=False, lifetime=3600):
        return self.write(host_enrollment.issue_token, 'a', lifetime, replace)

    def assert_refused(self, text, *args, **kwargs):
        error = self.assertRaises(
            exception.MessageRefused, self.enroll, *args, **kwargs
        )
        self.assertIn(text, str(error))

    def key(self, host='a'):
        """Return the key of a host whose messages are accepted."""
        return host_enrollment.require_key(
            host,
            self.database.read(lambda c: message_keys.find_host_key(c, host)),
        )

    def assert_no_key(self, text):
        error = self.assertRaises(exception.MessageRefused, self.key)
        self.assertIn(text, str(error))


class EnrollTest(EnrollmentTestCase):
    """A host shows its key."""

    def test_first_use(self):
        self.assert_no_key('host a is not enrolled')
        self.enroll()
        self.assertEqual(KEY, self.key())
        # The same key again, as at each start.
        self.enroll()
        self.assertEqual(KEY, self.key())

    def test_another_key(self):
        self.enroll()
        self.assert_refused('minova-manage host enroll a --replace', OTHER)
        self.assertEqual(KEY, self.key())

    def test_names_are_exact(self):
        """As with a database whose collation ignores the case."""
        self.enroll()
        row = self.database.read(lambda c: message_keys.find_host_key(c, 'a'))
        self.patch(message_keys, 'find_host_key', lambda c, host: row)
        self.assert_refused('another host has the name a', host='A')
        error = self.assertRaises(
            exception.MessageRefused, host_enrollment.require_key, 'A', row
        )
        self.assertIn('host A is not enrolled', str(error))

    def test_closed(self):
        self.config('conductor', host_enrollment='closed')
        self.assert_refused('host_enrollment is closed')
        self.assert_refused('minova-manage host enroll a', token='any')
        token = self.issue()
        self.assert_refused('needs its enrollment token')
        self.enroll(token=token)
        self.assertEqual(KEY, self.key())
        self.enroll()

    def test_a_token_is_for_one_use(self):
        token = self.issue()
        self.assert_no_key('host a is not enrolled')
        self.enroll(token=token)
        self.assert_refused('another key', OTHER, token)
        self.assertEqual(KEY, self.key())

    def test_a_token_is_for_its_host(self):
        self.config('conductor', host_enrollment='closed')
        token = self.issue()
        self.assert_refused('host b is not enrolled', token=token, host='b')

    def test_a_token_expires(self):
        token = self.issue(lifetime=60)
        now = clock.now()
        self.patch(clock, 'now', lambda: now + datetime.timedelta(seconds=61))
        self.assert_refused('needs its enrollment token', token=token)

    def test_a_token_is_required_also_when_open(self):
        self.issue()
        self.assert_refused('needs its enrollment token')
        self.assert_refused('needs its enrollment token', token='other')

    def test_the_database_has_no_token(self):
        token = self.issue()
        with self.database.engine.connect() as connection:
            dump = '\n'.join(connection.connection.iterdump())
        self.assertIn('INSERT INTO "host_keys"', dump)
        self.assertNotIn(token, dump)


class OperatorTest(EnrollmentTestCase):
    """An operator enrolls, replaces and revokes."""

    def service(self):
        (found,) = self.database.read(
            lambda c: hosts.list_services(c, 'nova-compute', 'a')
        )
        return found

    def register(self):
        self.write(hosts.register_service, 'nova-compute', 'a', 'i1', '1.0')

    def test_a_key_is_replaced_on_request_only(self):
        self.enroll()
        error = self.assertRaises(exception.Conflict, self.issue)
        self.assertIn('--replace', str(error))
        self.assertRaises(
            exception.Conflict,
            self.write,
            host_enrollment.enroll_key,
            'a',
            OTHER,
            False,
        )
        self.write(host_enrollment.enroll_key, 'a', OTHER, True)
        self.assertEqual(OTHER, self.key())
        token = self.issue(replace=True)
        self.assert_no_key('not enrolled')
        self.enroll(token=token)
        self.assertEqual(KEY, self.key())

    def test_revoke(self):
        self.register()
        self.enroll()
        self.write(host_enrollment.revoke, 'a')
        self.assert_no_key('the key of host a is revoked')
        self.assert_refused('minova-manage host enroll a')
        self.assert_refused('revoked', OTHER)
        self.assertTrue(self.service().disabled)
        self.assertEqual(
            host_enrollment.REVOKED_REASON, self.service().disabled_reason
        )
        self.write(host_enrollment.enroll_key, 'a', OTHER, False)
        self.assertEqual(OTHER, self.key())
        self.assertFalse(self.service().disabled)
        self.assertIsNone(self.service().disabled_reason)

    def test_what_an_operator_disabled_stays_disabled(self):
        self.register()
        self.enroll()
        self.write(
            hosts.update_service,
            self.service().id,
            {'disabled': True, 'disabled_reason': 'new fan'},
        )
        self.write(host_enrollment.revoke, 'a')
        self.issue()
        self.assertTrue(self.service().disabled)
        self.assertEqual('new fan', self.service().disabled_reason)

    def test_a_token_ends_with_a_revocation(self):
        token = self.issue()
        self.write(host_enrollment.revoke, 'a')
        self.assert_refused('revoked', token=token)

    def remove_service(self):
        """Delete the service, as an administrator does."""
        self.write(host_removal.remove, self.service())

    def test_a_removed_host_can_come_back(self):
        self.register()
        self.enroll()
        self.remove_service()
        self.enroll(OTHER)
        self.assertEqual(OTHER, self.key())

    def test_a_removed_and_revoked_host_cannot(self):
        self.register()
        self.enroll()
        self.write(host_enrollment.revoke, 'a')
        self.remove_service()
        self.assert_refused('revoked', OTHER)

    def test_unknown_host(self):
        self.assertRaises(
            exception.HostNotFound, self.write, host_enrollment.revoke, 'a'
        )


class SenderKeysTest(EnrollmentTestCase):
    """What a conductor knows of the keys."""

    def test_services_share_the_key_of_the_control_plane(self):
        first, second = SenderKeys(self.database), SenderKeys(self.database)
        self.assertEqual(first.control_plane_key(), second.control_plane_key())

    def test_a_revocation_counts_within_a_second(self):
        now = 1000.0
        self.patch(clock, 'monotonic', lambda: now)
        keys = SenderKeys(self.database)
        self.enroll()
        self.assertEqual(KEY, keys.host_key('a'))
        self.write(host_enrollment.revoke, 'a')
        now += 1.1
        error = self.assertRaises(exception.MessageRefused, keys.host_key, 'a')
        self.assertIn('revoked', str(error))

    def test_an_enrollment_counts_at_once(self):
        keys = SenderKeys(self.database)
        self.assertRaises(exception.MessageRefused, keys.host_key, 'a')
        self.enroll()
        self.assertEqual(KEY, keys.host_key('a'))

    def test_time_is_that_of_the_database(self):
        ahead = datetime.timedelta(hours=5)
        now = clock.now() + ahead
        self.patch(message_keys, 'get_now', lambda connection: now)
        keys = SenderKeys(self.database)
        self.assertAlmostEqual(now.timestamp(), keys.now(), delta=5)

    def test_time_goes_on_without_the_database(self):
        keys = SenderKeys(self.database)
        before, began = keys.now(), clock.monotonic()

        def fail(connection):
            raise exception.Unavailable(what='The database', reason='down')

        self.patch(message_keys, 'get_now', fail)
        self.patch(clock, 'monotonic', lambda: began + 1000)
        self.assertAlmostEqual(before + 1000, keys.now(), delta=5)

    def test_a_message_of_one_use(self):
        first, second = SenderKeys(self.database), SenderKeys(self.database)
        soon = clock.now().timestamp() + 60
        self.assertTrue(first.use_once('d1', soon))
        self.assertFalse(first.use_once('d1', soon))
        self.assertFalse(second.use_once('d1', soon))
        self.assertTrue(second.use_once('d2', soon))
        later = clock.now() + datetime.timedelta(seconds=61)
        self.patch(clock, 'now', lambda: later)
        # Then the message itself is too old; its record is removed.
        self.assertTrue(second.use_once('d3', later.timestamp() + 60))
        self.assertTrue(second.use_once('d1', later.timestamp() + 60))
