# SPDX-License-Identifier: Apache-2.0
"""Concurrent claims of the members of a server group, on every database."""

import collections
import threading

from minova import clock
from minova import exception
from minova.conductor.scheduler import Scheduler
from minova.conf import CONF
from minova.context import Context
from minova.context import generate_request_id
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import hosts
from minova.db.queries import server_groups
from minova.engine import begin
from minova.engine import conductor_steps
from minova.objects.host import HostReport
from minova.objects.operation_params import CreateParams
from minova.objects.request_spec import RequestSpec
from tests import base
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite
from tests.unit.audit.row_builders import flavor

SERVERS = 50
HOSTS = 10


class AllUp:
    """The liveness of hosts that are all up."""

    def down_reason(self, service):
        return None


class CloudMixin:
    """A database with hosts whose services do not run."""

    hosts = HOSTS

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url())
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        for number in range(self.hosts):
            self.database.write(
                lambda c, number=number: self.register(c, f'host{number:02}')
            )

    def register(self, connection, name):
        hosts.register_service(connection, 'nova-compute', name, 'i', '1')
        hosts.save_host_report(connection, self.report(name))

    def run_at_once(self, steps):
        """Select a host in each step; return the texts of NoValidHost."""
        ready = threading.Barrier(len(steps))
        failed = []

        def run(step):
            scheduler = Scheduler(self.database, None, AllUp(), None)
            ready.wait()
            try:
                conductor_steps.run(self.database, step, scheduler, 'c')
            except exception.NoValidHost as error:
                failed.append(str(error))

        threads = [threading.Thread(target=run, args=(s,)) for s in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return failed

    def report(self, name):
        return HostReport(
            host=name,
            incarnation='i',
            version='1',
            address='192.0.2.1',
            availability_zone='nova',
            hypervisor_hostname=name,
            hypervisor_type='fake',
            hypervisor_version=1,
            cpu_info={},
            supported_instances=[['x86_64', 'kvm', 'hvm']],
            traits=[],
            numa_cells=[],
            vcpus=1000,
            pcpus=0,
            memory_mb=1000000,
            disk_gb=100000,
            reserved_memory_mb=0,
            reserved_disk_gb=0,
            cpu_allocation_ratio=1.0,
            ram_allocation_ratio=1.0,
            disk_allocation_ratio=1.0,
        )


class ServerGroupsMixin(CloudMixin):
    """Fifty creates at once, by as many conductors."""

    def make_group(self, policy, **rules):
        uuid = clock.uuid4()
        self.database.write(
            lambda c: server_groups.insert(
                c,
                {
                    'uuid': uuid,
                    'project_id': 'project',
                    'user_id': 'user',
                    'name': 'group',
                    'policy': policy,
                    'rules': rules,
                    'notification_seq': 0,
                    'claims': 0,
                    'created_at': clock.now(),
                },
            )
        )
        return uuid

    def begin_create(self, group):
        """Begin a create of a member; return the step of the conductor."""
        context = Context(
            user_id='user',
            project_id='project',
            request_id=generate_request_id(),
        )
        made = begin.new_instance(
            context,
            flavor(),
            display_name='server',
            hostname='server',
            reservation_id='r-1',
            image_ref='',
            request_spec=RequestSpec(group=group),
        )

        def work(connection):
            begun = begin.create(
                connection, context, made, 'api.api', CreateParams()
            )
            found = server_groups.lock(connection, group)
            server_groups.add_members(connection, found, [made.uuid])
            return begun

        return self.database.write(work).first_step

    def place_all(self, group):
        """Select hosts for fifty servers at once; count them by host."""
        failed = self.run_at_once(
            [self.begin_create(group) for _ in range(SERVERS)]
        )
        rows = self.database.read(hosts.list_allocations)
        self.assertEqual(SERVERS, len(rows) + len(failed))
        return collections.Counter(row['host'] for row in rows), failed

    def test_anti_affinity(self):
        placed, failed = self.place_all(self.make_group('anti-affinity'))
        self.assertEqual([1] * HOSTS, list(placed.values()))
        for text in failed:
            self.assertIn('it has 1 of at most 1 servers of', text)

    def test_rules(self):
        group = self.make_group('anti-affinity', max_server_per_host=3)
        placed, _ = self.place_all(group)
        self.assertEqual([3] * HOSTS, list(placed.values()))

    def test_affinity(self):
        placed, failed = self.place_all(self.make_group('affinity'))
        self.assertEqual([SERVERS], list(placed.values()))
        self.assertEqual([], failed)


class SqliteTest(ServerGroupsMixin, OnSqlite, base.TestCase):
    """SQLite."""


class MariaDBTest(ServerGroupsMixin, OnMariaDB, base.TestCase):
    """MariaDB."""


class PostgreSQLTest(ServerGroupsMixin, OnPostgreSQL, base.TestCase):
    """PostgreSQL."""
