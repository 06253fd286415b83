# SPDX-License-Identifier: Apache-2.0
"""The documented multi-node deployment as real processes over RabbitMQ.

One API service, two conductors, three computes, MariaDB, and a consumer of
notifications that uses only the documented format.
"""

import os
import signal

from testtools import content

from minova.conf import CONF
from minova.db.connections import engine
from minova.db.queries import operations
from minova.db.queries import outbox
from tests import base
from tests.fixtures import processes
from tests.fixtures import servers
from tests.fixtures.invariants import Invariants
from tests.fixtures.listener import Listener
from tests.fixtures.processes import Cluster
from tests.fixtures.servers import process
from tests.fixtures.user import User

#: The characters of each log that a failed test shows.
_LOG = 20000


class ClusterTestCase(base.TestCase):
    """Services on shared servers; each test starts its own services."""

    options: dict[str, dict[str, object]] = {}
    durable = False
    mysql_driver = 'pymysql'

    def setUp(self):
        super().setUp()
        self.broker_url = self.make_broker()
        self.database_url = self.make_database()
        self.sync()
        self.cluster = self.useFixture(
            Cluster(
                self.broker_url,
                self.database_url,
                self.directory,
                hypervisor=True,
                **self.options,
            )
        )
        self.world = self.cluster.world
        self.addOnException(self._show_logs)
        self.listener = self.useFixture(
            Listener(self.broker_url, durable=self.durable)
        )
        self.database = engine.connect(CONF, self.database_url)
        self.addCleanup(self.database.dispose)
        self.invariants = Invariants(self.database, self.world, self.listener)

    def _show_logs(self, exc_info):
        """Attach the logs of the services to a failed test."""
        for name, service in self.cluster.services.items():
            log = content.text_content(service.log_text()[-_LOG:])
            self.addDetailUniqueName(name, log)

    def name(self):
        return self.id().rpartition('.')[2][:40]

    def make_broker(self):
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, self.name())
        return broker.vhost(self.name())

    def make_database(self):
        database = servers.shared(servers.MariaDB)
        self.addCleanup(database.drop, self.name())
        return database.url(self.name(), self.mysql_driver)

    def sync(self):
        self.manage = processes.sync(self.directory, self.database_url)

    def start(self, conductors=2, computes=3):
        """Start the services; return a user of the API."""
        for number in range(conductors):
            self.cluster.start('conductor', f'c{number}', wait=False)
        for number in range(computes):
            self.cluster.start('compute', f'n{number}', wait=False)
        api = self.cluster.start_api()
        for name, service in self.cluster.services.items():
            if not name.startswith('api'):
                service.wait_for('is ready.')
        self.make_user(api.url)

    def make_user(self, url):
        """Return a user of an API with flavors and image."""
        self.user = User(f'{url}/v2.1', 'admin:admin')
        self.user.image()
        self.user.flavor('small', 512)
        self.user.flavor('big', 1024)

    def service(self, module, host):
        return self.cluster.services[f'{module}-{host}']

    def wait_for(self, true, seconds=60):
        until = base.clock.monotonic() + seconds
        while not true():
            if base.clock.monotonic() > until:
                self.fail('it never came true')
            base.clock.sleep(0.05)

    def emitted(self, uuid):
        """Return the notifications of a server when all are published."""
        self.settled(uuid)
        count = len(self.rows(uuid))
        self.wait_for(
            lambda: len(list(self.listener.event_names(uuid))) >= count
        )
        return list(self.listener.event_names(uuid))

    def rows(self, uuid):
        """Return the outbox rows of a server."""
        return self.database.read(lambda c: outbox.list_by_instance(c, uuid))

    def settled(self, uuid):
        """Wait until every operation on a server has ended."""
        self.wait_for(
            lambda: all(
                operation.finished_at
                for operation in self.database.read(
                    lambda c: operations.list_by_instance(c, uuid)
                )
            )
        )

    def assert_in_order(self, uuid):
        """The received messages are the outbox rows in order, without gaps."""
        ids = []
        for body in self.listener.of_instance(uuid):
            if body['message_id'] not in ids:
                ids.append(body['message_id'])
        rows = self.rows(uuid)
        self.assertEqual([row.message_id for row in rows], ids)
        self.assertEqual(
            list(range(1, len(rows) + 1)), [row.seq for row in rows]
        )

    def assert_invariants(self, uuid):
        """The invariants hold for a server when no operation runs."""
        self.wait_for(lambda: not self.invariants.unsettled({uuid}))
        self.wait_for(lambda: not self.invariants.unreceived())
        self.assertEqual(
            [], [str(b) for b in self.invariants.violations({uuid})]
        )


class DeploymentTest(ClusterTestCase):
    """Every flow in the whole deployment."""

    mysql_driver = 'mysqldb'

    def test_flows(self):
        self.start()
        user = self.user
        uuid = user.boot()
        source = user.host(uuid)
        user.live_migrate(uuid)
        user.wait(uuid, 'ACTIVE')
        dest = user.host(uuid)
        self.assertNotEqual(source, dest)
        self.assertEqual(
            [
                'update(None>migrating) [api.api]',
                f'live_migration.pre.start [compute.{dest}]',
                f'live_migration.pre.end [compute.{dest}]',
                f'live_migration._post.start [compute.{source}]',
                f'live_migration.post.dest.start [compute.{dest}]',
                f'update(migrating>None) [compute.{dest}]',
                f'live_migration.post.dest.end [compute.{dest}]',
                f'live_migration._post.end [compute.{source}]',
            ],
            self.emitted(uuid)[7:],
        )
        self._resize_and_confirm(uuid)
        for action, value, status in (
            ('reboot', {'type': 'SOFT'}, 'ACTIVE'),
            ('reboot', {'type': 'HARD'}, 'ACTIVE'),
            ('os-stop', None, 'SHUTOFF'),
            ('os-start', None, 'ACTIVE'),
            ('pause', None, 'PAUSED'),
            ('unpause', None, 'ACTIVE'),
        ):
            user.act(uuid, action, value)
            user.wait(uuid, status)
        self.assert_invariants(uuid)
        user.delete(uuid)
        self.assert_invariants(uuid)
        self.assert_in_order(uuid)
        one = self.listener.of_instance(uuid)[0]
        self.assertEqual('compute.instance.update', one['event_type'])
        self.assertIn('_context_request_id', one)
        self.assertEqual(
            {('notifications.info', '2.0')},
            {(key, version) for key, version, _ in self.listener.received},
        )
        for name, service in self.cluster.services.items():
            self.assertEqual(0, service.terminate(), name)

    def _resize_and_confirm(self, uuid):
        """Resize and revert, resize and confirm, migrate and confirm."""
        user = self.user
        for action, value, decision in (
            ('resize', {'flavorRef': 'big'}, 'revertResize'),
            ('resize', {'flavorRef': 'big'}, 'confirmResize'),
            ('migrate', None, 'confirmResize'),
        ):
            source = user.host(uuid)
            user.act(uuid, action, value)
            server = user.wait(uuid, 'VERIFY_RESIZE')
            self.assertNotEqual(source, server['OS-EXT-SRV-ATTR:host'])
            user.act(uuid, decision)
            server = user.wait(uuid, 'ACTIVE')
            back = server['OS-EXT-SRV-ATTR:host'] == source
            self.assertEqual(decision == 'revertResize', back)
            self.settled(uuid)


class QuorumTest(ClusterTestCase):
    """Quorum queues and PostgreSQL."""

    options = {'oslo_messaging_rabbit': {'rabbit_quorum_queue': 'true'}}
    durable = True

    def make_database(self):
        database = servers.shared(servers.PostgreSQL)
        self.addCleanup(database.drop, self.name())
        return database.url(self.name())

    def test_quorum_queues_and_postgresql(self):
        self.start(conductors=1, computes=2)
        uuid = self.user.boot()
        self.user.live_migrate(uuid)
        self.user.wait(uuid, 'ACTIVE')
        self.user.delete(uuid)
        self.settled(uuid)
        self.emitted(uuid)
        self.assert_in_order(uuid)


class KillTest(ClusterTestCase):
    """Services are killed during operations and restarted."""

    def setUp(self):
        super().setUp()
        self.start()

    def _resize_and_kill(self, method, victim, module='compute'):
        """Kill a service during a slow driver call ``method``."""
        uuid = self.user.boot()
        self.settled(uuid)
        source = self.user.host(uuid)
        others = [h for h in ('n0', 'n1', 'n2') if h != source]
        for host in (source, *others):
            self.world.inject_delay(host, method, 1.5)
        self.user.resize(uuid, 'big')
        task = {
            'send_disks': 'resize_migrating',
            'define': 'resize_finish',
        }[method]
        self.wait_for(
            lambda: self.user.show(uuid)['OS-EXT-STS:task_state'] == task
        )
        base.clock.sleep(0.5)
        name = self.user.host(uuid) if module == 'compute' else victim
        service = self.service(module, name)
        service.kill()
        self.world.clear_faults()
        service.start()
        server = self.user.wait(uuid, 'VERIFY_RESIZE')
        self.assertEqual('big', self.user.show(uuid)['flavor']['id'])
        self.assertNotEqual(source, server['OS-EXT-SRV-ATTR:host'])
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'ACTIVE')
        self.assert_invariants(uuid)
        self.assert_in_order(uuid)

    def test_source_while_sending_disks(self):
        self._resize_and_kill('send_disks', None)

    def test_destination_while_it_finishes(self):
        self._resize_and_kill('define', None)

    def test_kill_one_of_two_conductors(self):
        self._resize_and_kill('send_disks', 'c0', 'conductor')

    def test_both_conductors(self):
        uuid = self.user.boot()
        source = self.user.host(uuid)
        self.world.inject_delay(source, 'send_disks', 1.0)
        self.user.resize(uuid, 'big')
        self.wait_for(
            lambda: (
                self.user.show(uuid)['OS-EXT-STS:task_state']
                == 'resize_migrating'
            )
        )
        for name in ('c0', 'c1'):
            self.service('conductor', name).kill()
        base.clock.sleep(2)
        for name in ('c0', 'c1'):
            self.service('conductor', name).start()
        self.user.wait(uuid, 'VERIFY_RESIZE')
        self.user.act(uuid, 'revertResize')
        self.user.wait(uuid, 'ACTIVE')
        self.assertEqual(source, self.user.host(uuid))
        self.assert_invariants(uuid)

    def test_a_frozen_host_comes_back_late(self):
        uuid = self.user.boot()
        host = self.user.host(uuid)
        service = self.service('compute', host)
        self.addCleanup(service.thaw)
        service.freeze()
        self.wait_for(
            lambda: (
                [
                    s['state']
                    for s in self.user.request('GET', '/os-services')[
                        'services'
                    ]
                    if s['host'] == host
                ]
                == ['down']
            )
        )
        self.user.delete(uuid)
        self.assertEqual([host], self.world.running(uuid))
        service.thaw()
        self.settled(uuid)
        self.assertEqual([], self.world.running(uuid))
        self.assert_invariants(uuid)


class BrokerOutageTest(ClusterTestCase):
    """The broker is down during an operation and returns."""

    options = {'oslo_messaging_rabbit': {'amqp_durable_queues': 'true'}}
    durable = True

    def make_broker(self):
        self.broker = self.useFixture(servers.RabbitMQ())
        return self.broker.url

    def test_everything_arrives_in_order(self):
        self.start(conductors=2, computes=3)
        uuid = self.user.boot()
        source = self.user.host(uuid)
        self.world.inject_delay(source, 'send_disks', 2.0)
        self.user.resize(uuid, 'big')
        self.wait_for(
            lambda: (
                self.user.show(uuid)['OS-EXT-STS:task_state']
                == 'resize_migrating'
            )
        )
        other = self.user.create()
        self.broker.stop()
        # The begin of an operation needs no broker.
        began = base.clock.monotonic()
        third = self.user.create()
        self.assertLess(base.clock.monotonic() - began, 5)
        base.clock.sleep(3)
        self.broker.start()
        self.user.wait(uuid, 'VERIFY_RESIZE', 120)
        for one in (other, third):
            self.user.wait(one, 'ACTIVE', 120)
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'ACTIVE')
        for one in (uuid, other, third):
            self.assert_invariants(one)
            self.assert_in_order(one)


class SignalsTest(ClusterTestCase):
    """Start and end of processes."""

    def test_sigterm_leaves_long_steps_pending(self):
        self.start(conductors=1, computes=2)
        uuid = self.user.boot()
        host = self.user.host(uuid)
        service = self.service('compute', host)
        self.assertEqual(0, service.terminate())
        service.start()
        service.wait_for('is ready.', times=2)
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE')

    def test_sigterm_when_no_conductor_answers(self):
        patience = 60
        self.cluster.start('conductor', 'c0')
        compute = self.cluster.start(
            'compute', 'n0', DEFAULT={'rpc_response_timeout': patience}
        )
        self.service('conductor', 'c0').kill()
        # It sends heartbeats, each of which waits for an answer.
        base.clock.sleep(2)
        began = base.clock.monotonic()
        self.assertEqual(0, compute.terminate())
        self.assertLess(base.clock.monotonic() - began, patience / 2)

    def test_no_eventlet_anywhere_and_no_database_in_a_compute(self):
        self.start(conductors=1, computes=1)
        for name, service in self.cluster.services.items():
            loaded = loaded_by(service)
            self.assertNotIn('eventlet', loaded, name)
            self.assertNotIn('greenlet', loaded, name)
            if name.startswith('compute'):
                self.assertNotIn('sqlalchemy', loaded)
                self.assertNotIn('falcon', loaded)

    def test_a_worker_that_dies_is_replaced(self):
        self.start(conductors=1, computes=1)
        service = self.service('compute', 'n0')
        _, worker = process.tree(service.pid)[:2]
        os.kill(worker, signal.SIGKILL)
        service.wait_for('is ready.', times=2)
        self.user.boot()


def loaded_by(service):
    """Return the compiled modules that a service's processes have mapped.

    Python files are not mapped, but each of the packages in question brings
    extension modules, which are.
    """
    found = set()
    for pid in process.tree(service.pid):
        with open(f'/proc/{pid}/maps', encoding='utf-8') as file:
            for line in file:
                path = line.rpartition(' ')[2]
                for package in (
                    'eventlet',
                    'greenlet',
                    'sqlalchemy',
                    'falcon',
                ):
                    if f'/{package}/' in path:
                        found.add(package)
    return found
