# SPDX-License-Identifier: Apache-2.0
"""Each service with an account of its own at the broker, and an attacker.

The attacker has the account of the compute n0, and knows the names of all
queues.
"""

import json
import shlex
import uuid

import amqp
import kombu

from minova import exception
from minova.context import get_admin_context
from minova.db.queries import instances
from minova.engine.sender_keys import SenderKeys
from minova.rpc import broker_accounts
from minova.rpc import conductor
from minova.rpc.compute import ComputeClients
from minova.rpc.oslo_bus import OsloBus
from minova.rpc.routes import EXCHANGE
from tests.integration import test_cluster

_PASSWORD = 'secret'
_NOTIFICATIONS = 'notifications.info'


class BrokerAccountsTestCase(test_cluster.ClusterTestCase):
    """Starts services, each with the account of the documentation."""

    def make_broker(self):
        self.broker = test_cluster.servers.shared(
            test_cluster.servers.RabbitMQ
        )
        url = super().make_broker()
        for service, host in (
            ('api', None),
            ('conductor', None),
            ('compute', 'n0'),
            ('compute', 'n1'),
            ('novncproxy', None),
            ('manage', None),
            ('consumer', None),
        ):
            self.make_account(service, host)
        self.admin_url = url
        return url

    def make_account(self, service, host):
        """Make an account with the printed commands."""
        name = self.account(service, host)
        permissions = broker_accounts.make_permissions(
            [service],
            host,
            broker_accounts.Notifications(
                'nova', (_NOTIFICATIONS, 'notifications.error')
            ),
        )
        self.broker.add_user(name, _PASSWORD)
        self.addCleanup(self.broker.delete_user, name)
        for command in broker_accounts.commands(
            name, self.name(), permissions
        ):
            program, method, *arguments = shlex.split(
                broker_accounts.as_shell(command)
            )
            self.assertEqual('rabbitmqctl', program)
            getattr(self.broker, method)(*arguments)

    def account(self, service, host=None):
        return '-'.join(filter(None, (self.name(), service, host)))

    def url_of(self, service, host=None):
        login = f'{self.account(service, host)}:{_PASSWORD}'
        return self.admin_url.replace('guest:guest', login)

    def start_with_accounts(self):
        def route(name):
            service, _, host = name.partition('-')
            host = host if service == 'compute' else None
            return self.url_of(service, host), self.database_url

        self.cluster._route = route
        self.start(conductors=1, computes=2)

    def bus(self, service):
        made = OsloBus(self.url_of(service), service=service)
        self.addCleanup(made.close)
        return made

    def connect(self, service, host=None):
        """Return a connection that waits for each confirmation."""
        connection = kombu.Connection(
            self.url_of(service, host).replace('rabbit://', 'amqp://'),
            transport_options={'confirm_publish': True},
        )
        self.addCleanup(connection.release)
        return connection


class ServicesTest(BrokerAccountsTestCase):
    """The permissions are sufficient."""

    def test_flows(self):
        self.start_with_accounts()
        user = self.user
        server = user.boot()
        source = user.host(server)
        user.live_migrate(server)
        user.wait(server, 'ACTIVE')
        self.assertNotEqual(source, user.host(server))
        for decision in ('revertResize', 'confirmResize'):
            user.resize(server, 'big')
            user.wait(server, 'VERIFY_RESIZE')
            user.act(server, decision)
            user.wait(server, 'ACTIVE')
            self.settled(server)
        self.read_console(server)
        self.check_tools(server)
        user.delete(server)
        self.assert_invariants(server)
        self.assert_in_order(server)
        self.check_notifications()
        for name, service in self.cluster.services.items():
            log = service.log_text()
            self.assertNotIn('ACCESS_REFUSED', log, name)
            self.assertNotIn('AccessRefused', log, name)
            self.assertNotIn('request discarded', log, name)
            self.assertEqual(0, service.terminate(), name)

    def read_console(self, server):
        """The api reaches a compute, and the console proxy a conductor."""
        self.user.act(server, 'os-getConsoleOutput', {})
        proxy = conductor.client(self.bus('novncproxy'), None)
        self.assertRaises(
            exception.ConsoleTokenNotFound,
            proxy.check_console,
            get_admin_context(),
            token='unknown',
        )

    def check_tools(self, server):
        """minova-manage reaches computes."""
        signer = SenderKeys(self.database).signer('manage')
        computes = ComputeClients(self.bus('manage'), signer)
        found = computes.for_host(self.user.host(server)).list_host_contents(
            get_admin_context()
        )
        self.assertIn(server, [artifact.uuid for artifact in found])

    def check_notifications(self):
        """minova-manage replays to a topic and to a queue."""
        bus = self.bus('manage')
        body = {'event_type': 'compute.instance.exists', 'payload': {}}
        bus.publish('nova', _NOTIFICATIONS, {}, body)
        with bus.named_queue(_NOTIFICATIONS) as queue:
            queue.send({}, body)
        exchange = kombu.Exchange('nova', 'topic', durable=False)
        queue = kombu.Queue(
            _NOTIFICATIONS, exchange, _NOTIFICATIONS, durable=False
        )
        bound = queue(self.connect('consumer').channel())
        bound.declare()
        self.assertIsNotNone(bound.get(no_ack=True))


class AttackerTest(BrokerAccountsTestCase):
    """The permissions of a compute are necessary, and no more."""

    def setUp(self):
        super().setUp()
        self.start_with_accounts()
        self.connection = self.connect('compute', 'n0')
        self.server = self.user.boot()
        while self.user.host(self.server) != 'n1':
            self.user.live_migrate(self.server, 'n1')
            self.user.wait(self.server, 'ACTIVE')
        self.settled(self.server)

    def test_attacks(self):
        self.check_refused()
        self.check_bypasses()
        self.check_answers()
        self.check_message_arrives()

    # -- what RabbitMQ refuses -----------------------------------------------

    def check_refused(self):
        replies = [
            name
            for name in self.broker.queues(self.name())
            if name.startswith('reply_') and '.n0.' not in name
        ]
        self.assertNotEqual([], replies)
        foreign = [
            'compute.n1',
            'conductor',
            'conductor.c0',
            _NOTIFICATIONS,
            *replies,
        ]
        for queue in foreign:
            for attempt in (
                lambda c, q=queue: c.basic_consume(q),
                lambda c, q=queue: c.basic_get(q),
                lambda c, q=queue: c.queue_purge(q),
                lambda c, q=queue: c.queue_delete(q),
                lambda c, q=queue: c.queue_declare(q),
                lambda c, q=queue: c.queue_unbind(q, EXCHANGE, q),
                lambda c, q=queue: c.queue_bind(q, EXCHANGE, 'conductor'),
                lambda c, q=queue: self.publish(c, '', q),
            ):
                self.assert_refused(queue, attempt)
        for key in (
            *foreign,
            '#',
            '*',
            'compute.*',
            'compute.#',
            'conductor.*',
            'compute_peer.n1',
            'compute_peer.*',
            'reply_conductor.#',
        ):
            self.assert_refused(
                key, lambda c, k=key: c.queue_bind('compute.n0', EXCHANGE, k)
            )
        for key in ('compute.n1', 'conductor.c0', _NOTIFICATIONS, 'other'):
            self.assert_refused(
                key, lambda c, k=key: self.publish(c, EXCHANGE, k)
            )
        for name, attempt in {
            'another queue': lambda c: c.queue_declare('spy'),
            'another exchange': lambda c: c.exchange_declare('spy', 'fanout'),
            'notifications': lambda c: self.publish(c, 'nova', _NOTIFICATIONS),
            'the exchange': lambda c: c.exchange_delete(EXCHANGE),
            'of notifications': lambda c: c.exchange_delete('nova'),
            'read the exchange': lambda c: c.queue_bind(
                'compute.n0', 'nova', _NOTIFICATIONS
            ),
        }.items():
            self.assert_refused(name, attempt)

    def assert_refused(self, what, attempt):
        channel = self.connection.channel()
        try:
            attempt(channel)
        except amqp.AccessRefused:
            return
        self.fail(f'{what}: not refused')

    def publish(self, channel, exchange, key, body=None, **properties):
        channel.basic_publish(
            amqp.Message(
                body or self.make_removal(),
                content_type='application/json',
                content_encoding='utf-8',
                **properties,
            ),
            exchange=exchange,
            routing_key=key,
        )

    def make_removal(self):
        """Return a request to remove the guest of the server."""
        found = self.database.read(
            lambda connection: instances.get(connection, self.server)
        )
        return self.make_body(
            'destroy_unknown_guest',
            {
                'instance_uuid': self.server,
                'generation': found.generation,
            },
        )

    def make_body(self, method, arguments=None, **fields):
        body = {
            'method': method,
            'args': arguments or {},
            'version': '1.0',
            '_unique_id': uuid.uuid4().hex,
            **fields,
            **{
                f'_context_{name}': value
                for name, value in get_admin_context().to_dict().items()
            },
        }
        return json.dumps(
            {'oslo.version': '2.0', 'oslo.message': json.dumps(body)}
        )

    # -- what RabbitMQ lets pass ---------------------------------------------

    def check_bypasses(self):
        """A compute discards a message for which the sender had no right."""
        compute = self.service('compute', 'n1')
        for attack, reason in (
            (self.copy_message, 'its routing key is another one'),
            (self.copy_secretly, 'its routing key is another one'),
            (self.dead_letter, 'it is a dead letter of another queue'),
            (self.send_as_peer, "may not call 'destroy_unknown_guest'"),
        ):
            seen = compute.log_text().count(reason)
            channel = self.connection.channel()
            try:
                attack(channel)
            except amqp.AccessRefused:
                # RabbitMQ 4 checks the routing keys in these headers.
                self.assertIn(attack, (self.copy_message, self.copy_secretly))
            else:
                channel.close()
                compute.wait_for(reason, times=seen + 1)
            self.assertEqual(['n1'], self.world.running(self.server))

    def copy_message(self, channel):
        headers = {'CC': ['compute.n1']}
        self.publish(
            channel, EXCHANGE, 'compute.n0', application_headers=headers
        )

    def copy_secretly(self, channel):
        headers = {'BCC': ['compute.n1']}
        self.publish(
            channel, EXCHANGE, 'compute.n0', application_headers=headers
        )

    def dead_letter(self, channel):
        name = f'reply_compute.n0.{uuid.uuid4()}'
        channel.queue_declare(
            name,
            arguments={
                'x-message-ttl': 0,
                'x-dead-letter-exchange': EXCHANGE,
                'x-dead-letter-routing-key': 'compute.n1',
            },
        )
        channel.queue_bind(name, EXCHANGE, name)
        self.publish(channel, EXCHANGE, name)

    def send_as_peer(self, channel):
        self.publish(channel, EXCHANGE, 'compute_peer.n1')

    def check_answers(self):
        """A conductor sends an answer to a reply queue only."""
        service = self.service('conductor', 'c0')
        for queue in ('compute.n1', _NOTIFICATIONS):
            with self.connection.channel() as channel:
                self.publish(
                    channel,
                    EXCHANGE,
                    'conductor',
                    self.make_body('ping', _msg_id='1', _reply_q=queue),
                )
            service.wait_for(f"its queue '{queue}' is no reply queue")

    def check_message_arrives(self):
        """The same message with the right key reaches the next check."""
        connection = kombu.Connection(
            self.admin_url.replace('rabbit://', 'amqp://'),
            transport_options={'confirm_publish': True},
        )
        with connection, connection.channel() as channel:
            self.publish(channel, EXCHANGE, 'compute.n1')
        self.service('compute', 'n1').wait_for(
            'Message destroy_unknown_guest in the name of'
        )
