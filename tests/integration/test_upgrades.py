# SPDX-License-Identifier: Apache-2.0
"""Mixed releases, and rolling restarts under load."""

import contextlib
import itertools
import json
import queue
import subprocess
import threading
import time
import urllib.error

import kombu

from minova.rpc.routes import EXCHANGE
from tests.fixtures.user import User
from tests.integration import test_cluster

#: The RPC versions of the previous release.
OLD = {'upgrade_levels': {'conductor': '1.5', 'compute': '1.0'}}
OLDER = {'upgrade_levels': {'conductor': '1.4', 'compute': '1.0'}}


class PinnedTest(test_cluster.ClusterTestCase):
    """Each service in turn is pinned to the previous release, and older."""

    def setUp(self):
        super().setUp()
        self.received = []
        self.connection = kombu.Connection(
            self.broker_url.replace('rabbit://', 'amqp://')
        )
        self.addCleanup(self.connection.release)

    def record_messages(self):
        """Copy each message between services from now on."""
        exchange = kombu.Exchange(EXCHANGE, 'topic')
        everything = kombu.Queue(
            'overheard', exchange, '#', exclusive=True, auto_delete=True
        )
        self.tape = everything(self.connection.channel())
        self.tape.declare()

    def messages(self):
        """Return the messages since the last call."""
        found = []
        while (message := self.tape.get(no_ack=True)) is not None:
            body = message.payload
            if isinstance(body, str):
                body = json.loads(body)
            said = json.loads(body['oslo.message'])
            if 'method' in said and said['method'] != 'ping':
                found.append((message.delivery_info['routing_key'], said))
        return found

    def log_text(self, messages, method):
        return [one for _, one in messages if one['method'] == method]

    def run_flows(self):
        """Each kind of migration, then delete."""
        user = self.user
        uuid = user.boot()
        for action, value, decision in (
            ('resize', {'flavorRef': 'big'}, 'revertResize'),
            ('migrate', None, 'confirmResize'),
        ):
            user.act(uuid, action, value)
            user.wait(uuid, 'VERIFY_RESIZE')
            user.act(uuid, decision)
            user.wait(uuid, 'ACTIVE')
            self.settled(uuid)
        source = user.host(uuid)
        old = User(user.url, 'admin:admin', '2.30')
        old.live_migrate(uuid, None, True)
        user.wait(uuid, 'ACTIVE')
        self.assertNotEqual(source, user.host(uuid))
        for action, status in (('os-stop', 'SHUTOFF'), ('os-start', 'ACTIVE')):
            user.act(uuid, action)
            user.wait(uuid, status)
        user.delete(uuid)
        self.assert_invariants(uuid)
        return self.messages()

    def test_each_in_turn(self):
        self.start(conductors=1, computes=2)
        # Long enough for a progress report.
        self.world.set_migration_seconds(2.5)
        self.record_messages()
        self._pinned('api-api', OLDER)
        said = self.run_flows()
        requests = self.log_text(said, 'migrate_server')
        self.assertEqual(['1.4'] * 3, [one['version'] for one in requests])
        for one in requests:
            self.assertNotIn('minova_object', json.dumps(one['args']))
            self.assertEqual('active', one['args']['instance']['vm_state'])
        self.assertTrue(self.log_text(said, 'report_progress'))
        self._pinned('api-api', {})
        for name in ('compute-n0', 'compute-n1'):
            self._pinned(name, OLD)
        said = self.run_flows()
        requests = self.log_text(said, 'migrate_server')
        self.assertEqual(['1.6'] * 3, [one['version'] for one in requests])
        for one in requests:
            sent = one['args']['instance']
            self.assertEqual('Instance', sent['minova_object.name'])
        self.assertTrue(self.log_text(said, 'report_progress'))
        self.assert_oldest(said)
        for name in ('compute-n0', 'compute-n1'):
            self._pinned(name, OLDER)
        self._pinned('conductor-c0', OLD)
        said = self.run_flows()
        self.assertTrue(self.log_text(said, 'report_progress'))
        self.assert_oldest(said)

    def assert_oldest(self, messages):
        """Other calls use the oldest version that has the method."""
        newer = {
            (one['method'], one['version'])
            for _, one in messages
            if one['version'] != '1.0'
        }
        self.assertLessEqual(newer, {('migrate_server', '1.6')})

    def _pinned(self, name, pins):
        """Restart a service with these pins."""
        service = self.cluster.services[name]
        times = service.log_text().count('is ready') + 1
        self.assertEqual(0, service.terminate())
        groups = self.cluster.options(name.partition('-')[2], **pins)
        if not pins:
            groups.pop('upgrade_levels', None)
        service.configure(groups)
        service.start()
        service.wait_for('is ready', times)
        if name.startswith('api'):
            self.user.url = f'{service.newest_url()}/v2.1'


class Client(User):
    """A client that retries at another API, as a load balancer does."""

    def __init__(self, urls, *args, **options):
        super().__init__(urls[0], *args, **options)
        self._urls = urls
        self.retried = 0

    def request(self, method, path, body=None):
        until = time.monotonic() + 30
        for url in itertools.cycle(self._urls):
            self.url = url
            try:
                return super().request(method, path, body)
            except urllib.error.URLError as error:
                refused = isinstance(error.reason, ConnectionRefusedError)
                if not refused or time.monotonic() > until:
                    raise
            self.retried += 1
            time.sleep(0.05)
        raise AssertionError('unreachable')


class RollingTest(test_cluster.ClusterTestCase):
    """Each service restarts while clients send requests."""

    clients = 3
    # The scheduler keeps using a host that restarts.
    options = {'conductor': {'service_down_time': 60}}

    def test_rolling_restart(self):
        self.start(conductors=2, computes=3)
        first = self.user.url
        second = self.cluster.start_api('api2')
        urls = [first, f'{second.url}/v2.1']
        failed, done = queue.SimpleQueue(), queue.SimpleQueue()
        over = threading.Event()

        def work(number):
            client = Client(urls[:: 1 if number % 2 else -1], 'admin:admin')
            client._image = self.user._image
            with contextlib.ExitStack() as emitted:
                emitted.callback(done.put, None)
                try:
                    while not over.is_set():
                        done.put(self.run_lifecycle(client))
                except Exception as error:
                    failed.put(error)

        threads = [
            threading.Thread(target=work, args=(number,))
            for number in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        self.addCleanup(over.set)
        self._restart_all()
        over.set()
        for thread in threads:
            thread.join(120)
        errors = []
        while not failed.empty():
            errors.append(failed.get())
        self.assertEqual([], errors)
        uuids = []
        while not done.empty():
            uuids.append(done.get())
        uuids = [uuid for uuid in uuids if uuid]
        self.assertGreaterEqual(len(uuids), self.clients)
        for uuid in uuids:
            self.assert_invariants(uuid)
            self.assert_in_order(uuid)

    def _restart_all(self):
        """Wait for each restart before the next one."""
        for name, service in self.cluster.services.items():
            times = service.log_text().count('is ready') + 1
            self.assertEqual(0, service.terminate(), name)
            if name.startswith('api'):
                # The address stays the same for the load balancer.
                url = service.newest_url()
                groups = self.cluster.options(name.partition('-')[2])
                groups['api']['osapi_compute_listen_port'] = url.rpartition(
                    ':'
                )[2]
                service.configure(groups)
            service.start()
            service.wait_for('is ready', times)

    def run_lifecycle(self, client):
        """Create, use and delete one server; return its id."""
        uuid = client.create()
        try:
            return self._live(client, uuid)
        except Exception as error:
            line = subprocess.run(
                [*self.manage, 'timeline', uuid],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            raise AssertionError(f'{error}\n{line}') from error

    def _live(self, client, uuid):
        client.wait(uuid, 'ACTIVE')
        for action, value, status in (
            ('os-stop', None, 'SHUTOFF'),
            ('os-start', None, 'ACTIVE'),
            ('resize', {'flavorRef': 'big'}, 'VERIFY_RESIZE'),
            ('confirmResize', None, 'ACTIVE'),
            ('migrate', None, 'VERIFY_RESIZE'),
            ('revertResize', None, 'ACTIVE'),
        ):
            client.act(uuid, action, value)
            client.wait(uuid, status)
        source = client.host(uuid)
        client.live_migrate(uuid)
        server = client.wait(uuid, 'ACTIVE')
        assert server['OS-EXT-SRV-ATTR:host'] != source
        actions = client.request('GET', f'/servers/{uuid}/os-instance-actions')
        for one in actions['instanceActions']:
            assert one['message'] is None, one
        client.delete(uuid)
        return uuid
