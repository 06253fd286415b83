# SPDX-License-Identifier: Apache-2.0
"""The ledger over RabbitMQ, MariaDB and PostgreSQL, as an operator uses it."""

from concurrent import futures
import json
import subprocess

import kombu

from minova import exception
from minova.db.queries import archive
from minova.db.queries.ledger import Scope
from minova.notifications import ledger
from minova.notifications import retention
from minova.notifications import verify
from minova.rpc.oslo_bus import OsloBus
from tests import base
from tests.fixtures import servers
from tests.integration.test_cluster import ClusterTestCase


class LedgerMixin:
    """verify finds the gaps of a consumer, and replay fills them."""

    def sync(self):
        super().sync()
        conf = self.manage[-1].partition('=')[2]
        with open(conf, 'a', encoding='utf-8') as file:
            file.write(f'[DEFAULT]\ntransport_url = {self.broker_url}\n')
            for group, options in self.options.items():
                file.write(f'[{group}]\n')
                for name, value in options.items():
                    file.write(f'{name} = {value}\n')

    def run_it(self, *words, lines=None):
        """Run minova-manage; return its exit code and output."""
        text = None if lines is None else ''.join(f'{x}\n' for x in lines)
        done = subprocess.run(
            [*self.manage, *words],
            input=text,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def found(self, lines):
        """Return the findings of a log by kind."""
        report = verify.verify(
            lines, ledger.read_entries(self.database, Scope()), Scope()
        )
        return {
            kind: [(finding.instance, finding.seq) for finding in found]
            for kind, found in report.findings()
            if found
        }

    def queued(self, name, **declared):
        """Consume and return the messages of a queue."""
        url = self.broker_url.replace('rabbit://', 'amqp://')
        found = []
        with kombu.Connection(url) as connection:
            channel = connection.channel()
            _, count, consumers = channel.queue_declare(name, **declared)
            self.assertEqual(0, consumers)
            for _ in range(count):
                message = channel.basic_get(name, no_ack=True)
                found.append(message.body)
        return found

    def lived(self):
        """Create, migrate and delete servers; return them."""
        self.start(conductors=1, computes=2)
        one, other, third = (self.user.create() for _ in range(3))
        for uuid in (one, other, third):
            self.user.wait(uuid, 'ACTIVE')
        self.user.live_migrate(one)
        self.user.resize(other, 'big')
        self.user.wait(other, 'VERIFY_RESIZE')
        self.user.act(other, 'confirmResize')
        self.user.wait(one, 'ACTIVE')
        self.user.wait(other, 'ACTIVE')
        self.user.delete(third)
        self.user.delete(other)
        for uuid in (one, other, third):
            self.emitted(uuid)
        return one, other, third

    def test_ledger(self):
        one, other, third = self.lived()
        log = [json.dumps(body) for _, _, body in self.listener.received]
        self.assertEqual({}, self.found(log))
        self._find_what_is_wrong(other, log)
        self._replay(other, third, log)
        self._archive(one, other, log)

    def _find_what_is_wrong(self, uuid, log):
        own = [n for n, line in enumerate(log) if f'"{uuid}"' in line]
        broken = list(log)
        body = json.loads(log[own[7]])
        body['payload']['memory_mb'] = 1
        broken[own[7]] = json.dumps(body)
        broken[own[4]], broken[own[5]] = log[own[5]], log[own[4]]
        broken.append(log[own[0]])
        del broken[own[2]]
        self.assertEqual(
            {
                'missing': [(uuid, 3)],
                'out of order': [(uuid, 5)],
                'altered': [(uuid, 8)],
            },
            self.found(broken),
        )

    def _replay(self, one, other, log):
        # Replay to a new queue, and to a declared one.
        own = [line for line in log if f'"{one}"' in line]
        code, out = self.run_it(
            'notifications', 'replay', '--instance', one, '--to-queue', 'heal'
        )
        self.assertEqual(
            (0, f'{len(own)} notifications were replayed.\n'), (code, out)
        )
        declared = {'durable': self.durable, 'auto_delete': False}
        healed = self.queued('heal', arguments=self.arguments, **declared)
        self.assertEqual(len(own), len(healed))
        code, out = self.run_it(
            'notifications', 'verify', '-', '--instance', one, lines=healed
        )
        self.assertEqual(0, code, out)
        exclusive = {'durable': True, 'arguments': {'x-max-length': 3}}
        self.queued('odd', auto_delete=False, **exclusive)
        code, _ = self.run_it(
            'notifications', 'replay', '--instance', other,
            '--to-queue', 'odd',
        )  # fmt: skip
        self.assertEqual(0, code)
        self.assertEqual(
            3, len(self.queued('odd', auto_delete=False, **exclusive))
        )
        # Other consumers got no replayed message; --all goes to all.
        self.assertEqual(len(log), len(self.listener.received))
        # Pages that split servers, in the order of the database.
        self.patch(ledger, '_PAGE', 7)
        code, out = self.run_it('notifications', 'replay', '--all')
        self.assertEqual(0, code, out)
        self.wait_for(lambda: len(self.listener.received) == 2 * len(log))
        again = [json.dumps(body) for _, _, body in self.listener.received]
        self.assertEqual({}, self.found(again))

    def _archive(self, one, other, log):
        # Two archive commands at once while the services run.
        self.user.act(one, 'reboot', {'type': 'HARD'})
        now = base.clock.now()

        def work():
            return list(retention.run(self.database, now, 7, purge=False))

        with futures.ThreadPoolExecutor(2) as pool:
            pairs = [pool.submit(work) for _ in range(2)]
            went = [counts for one in pairs for counts in one.result()]
        self.assertEqual(2, sum(c.get('instances', 0) for c in went), went)
        self.user.wait(one, 'ACTIVE')
        self.emitted(one)
        code, out = self.run_it('archive', '--older-than', '0')
        self.assertEqual(0, code, out)
        left = self.database.read(
            lambda c: [
                archive._count_rows(c, kind.table, ())
                for kind in archive.ENTITY_KINDS
            ]
        )
        self.assertEqual([0, 0, 1, 0], left)
        code, out = self.run_it('timeline', other)
        self.assertEqual(0, code)
        self.assertIn('the deleted server itself', out)
        whole = [
            json.dumps(body)
            for _, _, body in self.listener.received[len(log) :]
        ]
        self.assertEqual({}, self.found(whole))
        code, out = self.run_it(
            'notifications', 'replay', '--all', '--to-queue', 'archived'
        )
        self.assertEqual(
            (0, f'{len(whole)} notifications were replayed.\n'), (code, out)
        )
        declared = {'durable': self.durable, 'auto_delete': False}
        again = self.queued('archived', arguments=self.arguments, **declared)
        self.assertEqual({}, self.found(again))
        code, out = self.run_it('archive', '--older-than', '0', '--purge')
        self.assertEqual(0, code, out)
        self.assertIn(f'{len(whole)} notifications\n', out)


class MariaDBTest(LedgerMixin, ClusterTestCase):
    """MariaDB and the default queues."""

    arguments = None


class PostgreSQLTest(LedgerMixin, ClusterTestCase):
    """PostgreSQL and quorum queues."""

    options = {'oslo_messaging_rabbit': {'rabbit_quorum_queue': 'true'}}
    durable = True
    arguments = {'x-queue-type': 'quorum'}

    def make_database(self):
        database = servers.shared(servers.PostgreSQL)
        self.addCleanup(database.drop, self.name())
        return database.url(self.name())


class QueueTest(base.TestCase):
    """A named queue when its broker stops."""

    def setUp(self):
        super().setUp()
        self.broker = self.useFixture(servers.RabbitMQ())
        self.bus = OsloBus(self.broker.url)
        self.addCleanup(self.bus.close)
        self.url = self.broker.url.replace('rabbit://', 'amqp://')

    def refused(self, send):
        error = self.assertRaises(
            exception.Unavailable, send, {}, {'message_id': 'two'}
        )
        return str(error)

    def test_the_queue_goes(self):
        with self.bus.named_queue('mine') as queue:
            queue.send({}, {'message_id': 'one'})
            with kombu.Connection(self.url) as connection:
                connection.channel().queue_delete('mine')
            self.assertIn('the queue was deleted', self.refused(queue.send))

    def test_the_broker_goes_and_comes_back(self):
        with self.bus.named_queue('mine') as queue:
            self.broker.stop()
            self.assertIn('The queue mine', self.refused(queue.send))
        self.assertRaises(exception.Unavailable, self.bus.named_queue, 'mine')
        self.broker.start()
        with self.bus.named_queue('mine') as queue:
            queue.send({'user_id': 'me'}, {'message_id': 'three'})
        with kombu.Connection(self.url) as connection:
            message = connection.channel().basic_get('mine', no_ack=True)
        self.assertEqual(2, message.properties['delivery_mode'])
        said = json.loads(json.loads(message.body)['oslo.message'])
        self.assertEqual('three', said['message_id'])
        self.assertEqual('me', said['_context_user_id'])
