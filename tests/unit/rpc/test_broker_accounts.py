# SPDX-License-Identifier: Apache-2.0
"""The permissions of broker accounts, as RabbitMQ evaluates them."""

import re
import uuid

from minova.flows import interfaces
from minova.rpc import broker_accounts
from minova.rpc import routes
from tests import base

_NOTIFICATIONS = broker_accounts.Notifications(
    'nova', ('notifications.info', 'notifications.error')
)
_SERVICES = [
    service
    for service, account in broker_accounts.ACCOUNTS.items()
    if not account.per_host
]


def make(*services, host=None, notifications=_NOTIFICATIONS):
    return broker_accounts.make_permissions(services, host, notifications)


def matches(pattern, names):
    """Return the names that a regular expression of RabbitMQ matches."""
    return [name for name in names if re.search(pattern, name)]


class ComputeTest(base.TestCase):
    """The account of a compute is limited to its host."""

    HOST = 'kvm1.example.org'

    def setUp(self):
        super().setUp()
        self.permissions = make('compute', host=self.HOST)
        self.reply = routes.new_reply_queue('compute', self.HOST)
        self.own = [f'compute.{self.HOST}', self.reply]

    def foreign(self):
        process = uuid.uuid4()
        return [
            'compute.kvm2.example.org',
            'compute.kvm1',
            f'compute.{self.HOST}.attacker',
            f'x.compute.{self.HOST}',
            # A dot of the name is no wildcard.
            'compute.kvm1xexample.org',
            f'reply_compute.kvm1.{process}',
            f'reply_compute.kvm2.example.org.{process}',
            f'reply_conductor.c1.{process}',
            'conductor',
            'conductor.c1',
            'notifications.info',
            'nova',
            'amq.default',
            'amq.direct',
            '',
        ]

    def test_own_queues(self):
        for pattern in (
            self.permissions.configure,
            self.permissions.write,
            self.permissions.read,
        ):
            self.assertEqual(self.own, matches(pattern, self.own))
            self.assertEqual([], matches(pattern, self.foreign()))

    def test_the_exchange_is_not_configured(self):
        self.assertEqual(
            [], matches(self.permissions.configure, ['amq.topic'])
        )
        self.assertEqual(['amq.topic'], list(self.permissions.topics))

    def test_publishes_to_conductors_and_peers(self):
        write, _ = self.permissions.topics['amq.topic']
        allowed = [
            'conductor',
            'compute_peer.kvm2.example.org',
            f'compute.{self.HOST}',
            f'reply_api.a.{uuid.uuid4()}',
        ]
        self.assertEqual(allowed, matches(write, allowed))
        refused = ['compute.kvm2.example.org', 'conductor.c1', 'compute', '#']
        self.assertEqual([], matches(write, refused))

    def test_binds_no_wildcard(self):
        _, read = self.permissions.topics['amq.topic']
        keys = [*self.own, f'compute_peer.{self.HOST}']
        self.assertEqual(keys, matches(read, keys))
        wildcards = ['#', '*', 'compute.#', 'compute.*', 'compute.*.*.org']
        self.assertEqual([], matches(read, [*wildcards, *self.foreign()]))

    def test_needs_its_host(self):
        self.assertRaises(ValueError, make, 'compute')
        self.assertRaises(ValueError, make, 'api', 'compute')


class AccountsTest(base.TestCase):
    """All accounts."""

    def test_only_tools_write_to_any_queue(self):
        writers = [
            service
            for service in _SERVICES
            if matches(make(service).write, ['amq.default'])
        ]
        self.assertEqual(['manage'], writers)

    def test_only_consumers_read_notifications(self):
        readers = [
            service
            for service in _SERVICES
            if matches(make(service).read, _NOTIFICATIONS.keys)
        ]
        self.assertEqual(['consumer'], readers)

    def test_publishers_of_notifications(self):
        publishers = [
            service
            for service in _SERVICES
            if matches(make(service).write, ['nova'])
        ]
        self.assertEqual(['conductor', 'manage'], publishers)

    def test_no_account_configures_the_exchange(self):
        for service in _SERVICES:
            self.assertEqual(
                [], matches(make(service).configure, ['amq.topic'])
            )

    def test_queue_of_a_consumer(self):
        names = broker_accounts.Notifications(
            'nova', _NOTIFICATIONS.keys, ('billing',)
        )
        permissions = make('consumer', notifications=names)
        for pattern in (permissions.configure, permissions.read):
            self.assertEqual(
                ['billing'], matches(pattern, ['billing', *names.keys])
            )

    def test_services_with_one_account(self):
        both = make('api', 'novncproxy')
        replies = [
            routes.new_reply_queue(name, 'c1')
            for name in ('api', 'novncproxy')
        ]
        self.assertEqual(replies, matches(both.read, replies))

    def test_shell_quotes(self):
        first, *topics = (
            broker_accounts.as_shell(command)
            for command in broker_accounts.commands(
                'minova-api', '/', make('api')
            )
        )
        self.assertTrue(
            first.startswith("rabbitmqctl set_permissions -p / minova-api '^(")
        )
        self.assertEqual(1, len(topics))


class PeerMethodsTest(base.TestCase):
    """What a compute may ask another one."""

    def test_peer_methods(self):
        self.assertEqual(
            {'check_can_live_migrate_source', 'guest_power_state'}
            | set(interfaces.COMPUTE.steps),
            interfaces.COMPUTE.peer_methods(),
        )
