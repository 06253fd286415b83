# SPDX-License-Identifier: Apache-2.0
"""Concurrent claims of the last dedicated CPUs, on every database."""

from minova.context import Context
from minova.context import generate_request_id
from minova.db.queries import hosts
from minova.db.queries import placements
from minova.engine import begin
from minova.numa import host_cells
from minova.numa.placement import Placement
from minova.objects.operation_params import CreateParams
from minova.objects.request_spec import RequestSpec
from tests import base
from tests.integration import test_server_groups
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite
from tests.unit.audit.row_builders import flavor

SERVERS = 20
PCPUS = 5


class NumaClaimsMixin(test_server_groups.CloudMixin):
    """Twenty creates at once for five CPUs of one host."""

    hosts = 1

    def report(self, name):
        cells = host_cells.assign_cpus(
            host_cells.divide(16, 100000, 2), '0-2,8-9', '3-7,10-15'
        )
        return (
            super()
            .report(name)
            .replace(
                numa_cells=[cell.to_json() for cell in cells], pcpus=PCPUS
            )
        )

    def begin_create(self):
        context = Context(
            user_id='user',
            project_id='project',
            request_id=generate_request_id(),
        )
        pinned = flavor().replace(
            vcpus=1, extra_specs={'hw:cpu_policy': 'dedicated'}
        )
        made = begin.new_instance(
            context,
            pinned,
            display_name='server',
            hostname='server',
            reservation_id='r-1',
            image_ref='',
            request_spec=RequestSpec(),
        )
        return self.database.write(
            lambda connection: begin.create(
                connection, context, made, 'api.api', CreateParams()
            )
        ).first_step

    def test_last_cpus(self):
        failed = self.run_at_once(
            [self.begin_create() for _ in range(SERVERS)]
        )
        placed = self.database.read(placements.list_placements)
        cpus = [
            cpu
            for one in placed
            for cpu in Placement.from_json(one.placement).pcpus
        ]
        self.assertEqual([0, 1, 2, 8, 9], sorted(cpus))
        (row,) = self.database.read(hosts.list_hosts)
        self.assertEqual(PCPUS, row.pcpus_used)
        self.assertEqual(SERVERS - PCPUS, len(failed))
        for text in failed:
            self.assertIn('dedicated CPUs', text)


class SqliteTest(NumaClaimsMixin, OnSqlite, base.TestCase):
    """SQLite."""


class MariaDBTest(NumaClaimsMixin, OnMariaDB, base.TestCase):
    """MariaDB."""


class PostgreSQLTest(NumaClaimsMixin, OnPostgreSQL, base.TestCase):
    """PostgreSQL."""
