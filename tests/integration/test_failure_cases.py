# SPDX-License-Identifier: Apache-2.0
"""Known failure cases of other compute services, one test each.

Real processes over RabbitMQ and MariaDB; the hosts are in a process of their
own. Each test stops the service at one point with a slow hypervisor call and
kills it there. Then it checks three witnesses: the database, the hypervisor
and a consumer of notifications.
"""

import datetime
import subprocess

import sqlalchemy as sa

from minova import clock
from minova.db import tables
from tests.fixtures import servers
from tests.integration.test_cluster import ClusterTestCase

#: Longer than any test: the caller of such a call gets killed.
_FOREVER = 60
_DOWN_TIME = 3


class FailureCaseTestCase(ClusterTestCase):
    """One conductor, two computes and a server on one of them."""

    options = {'conductor': {'service_down_time': _DOWN_TIME}}

    def setUp(self):
        super().setUp()
        self.start(conductors=1, computes=2)

    def boot(self):
        """Create a server; store its host and the other host."""
        self.uuid = self.user.boot()
        self.source = self.user.host(self.uuid)
        (self.dest,) = {'n0', 'n1'} - {self.source}

    def compute(self, host):
        return self.service('compute', host)

    def wait_for_task_state(self, host, call):
        """Wait until a host is in the call with the injected delay."""
        self.wait_for(
            lambda: [host, call, self.uuid] in self.world.calls_in_progress()
        )

    def kill(self, *hosts):
        """Kill computes at once; clear the delays."""
        for host in hosts:
            self.compute(host).kill()
        self.world.clear_faults()

    def restart(self, *hosts):
        for host in hosts:
            self.compute(host).start()

    def timeline(self):
        """Return the timeline of the server."""
        return subprocess.check_output(
            [*self.manage, 'timeline', self.uuid], text=True
        )

    def assert_waits_for(self, text):
        """Wait until the operation shows and logs its wait for the host."""
        self.wait_for(
            lambda: any(text in line for line in self.invariants.unsettled())
        )
        self.assertIn(f'waits for: {text}', self.timeline())

    def assert_at(self, host, status='ACTIVE', flavor=None):
        """The server is on this host only, and usable."""
        server = self.user.wait(self.uuid, status)
        self.assertEqual(host, server['OS-EXT-SRV-ATTR:host'])
        if flavor is not None:
            shown = self.user.show(self.uuid)['flavor']
            self.assertEqual(flavor, shown['id'])
        self.assert_invariants(self.uuid)
        running = [] if status == 'SHUTOFF' else [host]
        self.assertEqual(running, self.world.running(self.uuid))

    def held(self):
        """Return the hosts with an allocation of the server."""
        t = tables.allocations
        query = sa.select(t.c.host).where(t.c.instance_uuid == self.uuid)
        rows = self.database.read(lambda c: c.execute(query).scalars().all())
        return sorted(rows)


class ResizeTest(FailureCaseTestCase):
    """Hosts crash during a resize to another host."""

    def setUp(self):
        super().setUp()
        self.boot()

    def assert_resized(self):
        """The server is at the destination and can be confirmed."""
        self.assert_at(self.dest, 'VERIFY_RESIZE', 'big')
        self.user.act(self.uuid, 'confirmResize')
        self.assert_at(self.dest, 'ACTIVE', 'big')
        self.assertEqual([self.dest], self.held())

    def test_source_killed_while_sending_disks(self):
        self.world.inject_delay(self.source, 'send_disks', _FOREVER)
        self.user.resize(self.uuid, 'big')
        self.wait_for_task_state(self.source, 'send_disks')
        self.kill(self.source)
        # The call fails again after the restart.
        self.world.inject_fault(self.source, 'send_disks', 'the disk is full')
        self.restart(self.source)
        self.assert_at(self.source, 'ACTIVE', 'small')
        self.assertEqual([self.source], self.held())
        self.assertRegex(self.timeline(), 'because: .*the disk is full')
        self.user.resize(self.uuid, 'big')
        self.assert_resized()

    def test_source_killed_and_the_resize_goes_on(self):
        self.world.inject_delay(
            self.source, 'send_disks', _FOREVER, after=True
        )
        self.user.resize(self.uuid, 'big')
        self.wait_for_task_state(self.source, 'send_disks')
        self.kill(self.source)
        self.assert_waits_for(f'host {self.source} to return')
        self.restart(self.source)
        self.assert_resized()

    def test_destination_killed_in_finish_resize(self):
        self.world.inject_delay(self.dest, 'start', _FOREVER)
        self.user.resize(self.uuid, 'big')
        self.wait_for_task_state(self.dest, 'start')
        self.kill(self.dest)
        server = self.user.show(self.uuid)
        self.assertEqual('resize_finish', server['OS-EXT-STS:task_state'])
        self.assert_waits_for(f'host {self.dest} to return')
        self.restart(self.dest)
        self.assert_resized()

    def test_both_killed_while_sending_disks(self):
        self.world.inject_delay(self.source, 'send_disks', _FOREVER)
        self.user.resize(self.uuid, 'big')
        self.wait_for_task_state(self.source, 'send_disks')
        self.kill(self.source, self.dest)
        self.restart(self.dest, self.source)
        self.assert_resized()


class LiveMigrationTest(FailureCaseTestCase):
    """Hosts crash during a live migration."""

    def setUp(self):
        super().setUp()
        self.boot()
        self.boots = self.world.guest(self.source, self.uuid)['boot']

    def assert_migrated(self):
        """The guest is at the destination and was never stopped."""
        self.assert_at(self.dest)
        self.assertEqual([self.dest], self.held())
        guest = self.world.guest(self.dest, self.uuid)
        self.assertEqual(self.boots, guest['boot'])

    def migrate(self, seconds):
        """Begin a migration that takes ``seconds``; wait until it runs."""
        self.world.set_migration_seconds(seconds)
        self.user.live_migrate(self.uuid)
        self.wait_for(
            lambda: (self.world.guest(self.source, self.uuid) or {}).get(
                'migration'
            )
        )

    def migrate_unresponsive(self):
        """Begin a migration whose outcome the source does not receive."""
        self.migrate(2)
        self.world.inject_delay(
            self.source, 'migration_status', _FOREVER, after=True
        )
        self.wait_for(lambda: self.world.running(self.uuid) == [self.dest])

    def test_source_killed_during_migration(self):
        self.migrate(6)
        self.kill(self.source)
        self.assertEqual([self.source], self.world.running(self.uuid))
        self.restart(self.source)
        self.assert_migrated()

    def test_source_killed_after_switchover(self):
        self.migrate_unresponsive()
        self.kill(self.source)
        self.assertEqual(self.source, self.user.host(self.uuid))
        self.restart(self.source)
        self.assert_migrated()

    def test_source_stays_away(self):
        self.migrate_unresponsive()
        self.kill(self.source)
        self.assert_waits_for(f'host {self.source} to return')
        server = self.user.show(self.uuid)
        self.assertEqual('migrating', server['OS-EXT-STS:task_state'])
        self.restart(self.source)
        self.assert_migrated()

    def test_both_killed_during_migration(self):
        self.migrate(2)
        self.kill(self.source, self.dest)
        self.wait_for(lambda: self.world.running(self.uuid) == [self.dest])
        self.restart(self.dest, self.source)
        self.assert_migrated()


class SpawnTest(FailureCaseTestCase):
    """A host crashes during a create."""

    def setUp(self):
        super().setUp()
        for host in ('n0', 'n1'):
            self.world.inject_delay(host, 'start', _FOREVER)
        self.uuid = self.user.create()
        self.wait_for(self.world.calls_in_progress)
        ((self.host, _, _),) = self.world.calls_in_progress()
        self.kill(self.host)

    def test_host_restarts(self):
        self.restart(self.host)
        self.assert_at(self.host)

    def test_host_stays_down(self):
        self.assert_waits_for(f'host {self.host} to return')
        server = self.user.show(self.uuid)
        self.assertEqual('BUILD', server['status'])
        self.assertEqual('spawning', server['OS-EXT-STS:task_state'])
        # After half an hour the operation stops waiting for it.
        t = tables.operations
        late = clock.now() - datetime.timedelta(seconds=1)
        self.database.write(
            lambda c: c.execute(
                sa.update(t)
                .where(t.c.instance_uuid == self.uuid)
                .values(deadline=late)
            )
        )
        self.wait_for(lambda: self.user.show(self.uuid)['status'] == 'ERROR')
        fault = self.user.show(self.uuid)['fault']
        self.assertIn(f'Host {self.host} went down', fault['message'])
        self.user.delete(self.uuid)
        self.restart(self.host)
        self.assert_invariants(self.uuid)
        self.assertEqual([], self.held())


class StopWithoutBrokerTest(ClusterTestCase):
    """Operations that begin without a broker run when it returns."""

    options = {'oslo_messaging_rabbit': {'amqp_durable_queues': 'true'}}
    durable = True

    def make_broker(self):
        self.broker = self.useFixture(servers.RabbitMQ())
        return self.broker.url

    def test_five_of_five(self):
        self.start(conductors=1, computes=2)
        uuids = [self.user.boot() for _ in range(5)]
        self.broker.kill()
        back = clock.monotonic() + 20
        for uuid in uuids:
            began = clock.monotonic()
            self.user.act(uuid, 'os-stop')
            self.assertLess(clock.monotonic() - began, 2)
            clock.sleep(1)
        clock.sleep(max(0, back - clock.monotonic()))
        for uuid in uuids:
            server = self.user.show(uuid)
            self.assertEqual('powering-off', server['OS-EXT-STS:task_state'])
        self.broker.start()
        for uuid in uuids:
            self.user.wait(uuid, 'SHUTOFF')
        for uuid in uuids:
            self.assert_invariants(uuid)
