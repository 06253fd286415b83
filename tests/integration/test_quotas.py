# SPDX-License-Identifier: Apache-2.0
"""Concurrent requests at a limit, on every database."""

import threading

from minova import clock
from minova import exception
from minova import network
from minova.conf import CONF
from minova.context import Context
from minova.context import generate_request_id
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import instances
from minova.db.queries import key_pairs
from minova.db.queries import ports
from minova.db.queries import quota_usage
from minova.engine import begin
from minova.network import definition
from minova.objects.operation_params import CreateParams
from minova.objects.operation_params import ResizeParams
from minova.quotas import checks
from minova.quotas import limits
from tests import base
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite
from tests.unit.audit.row_builders import flavor

PROJECT = 'project'
USER = 'user'


def context():
    return Context(
        user_id=USER,
        project_id=PROJECT,
        roles=['member'],
        request_id=generate_request_id(),
    )


class QuotasMixin:
    """The tests for each database."""

    THREADS = 20

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url())
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        self.config('quota', instances=-1, cores=-1, ram=-1, ports=-1)
        self.config('quota', shared_network_percent=100)

    def create(self, minimum=1, maximum=1, wanted=(), size=None):
        """Begin creates as the API does; return the ids of the servers."""
        size = size or flavor()

        def work(connection):
            quota = checks.ServerQuota(connection, PROJECT, USER)
            count = quota.count_that_fits(size, minimum, maximum)
            service = network.load()
            chosen = service.select(connection, PROJECT, wanted)
            count = service.count_that_fits(
                connection, PROJECT, quota.ports, chosen, minimum, count
            )
            uuids = [clock.uuid4() for _ in range(count)]
            nics = service.allocate(connection, PROJECT, chosen, uuids)
            for uuid, own in zip(uuids, nics, strict=True):
                who = context()
                made = begin.new_instance(
                    who,
                    size,
                    uuid=uuid,
                    network_info=own,
                    display_name='server',
                    hostname='server',
                    reservation_id='r-1',
                    image_ref='',
                )
                begin.create(connection, who, made, 'api.api', CreateParams())
            return uuids

        return ports.write_with_retry(self.database, work)

    def free(self, uuid):
        """Make a server active, as if it had been built."""
        values = {'vm_state': 'active', 'task_state': None, 'task_id': None}

        def work(connection):
            found = instances.get(connection, uuid)
            instances.update(
                connection, uuid, values, found.generation, found.task_id
            )

        self.database.write(work)

    def resize(self, uuid, new):
        def prepare(connection, instance):
            checks.ServerQuota(connection, PROJECT, USER).require_resize(
                instance.flavor, new
            )
            return ResizeParams(flavor=new)

        begin.begin(
            self.database, context(), 'resize', uuid, 'api.api', prepare
        )

    def delete_all(self):
        """Force-delete every server."""
        used = self.used().instances
        found = self.database.read(
            lambda c: [
                row[0]
                for row in c.exec_driver_sql(
                    "SELECT uuid FROM instances WHERE vm_state != 'deleted'"
                )
            ]
        )
        self.assertEqual(used, len(found))
        for uuid in found:
            begin.begin(
                self.database,
                context(),
                'force_delete',
                uuid,
                'api.api',
                begin.delete_params,
            )
        self.assertEqual(quota_usage.QuotaUsage(0, 0, 0), self.used())

    def used(self):
        return self.database.read(lambda c: quota_usage.get_usage(c, PROJECT))

    def together(self, work, items=None):
        """Run ``work`` in threads that start at once; count the successes."""
        items = range(self.THREADS) if items is None else items
        ready = threading.Barrier(len(items))
        results = []

        def run(item):
            ready.wait()
            try:
                work(item)
                results.append(None)
            except exception.MinovaException as error:
                results.append(error)

        threads = [threading.Thread(target=run, args=(i,)) for i in items]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(items), len(results))
        for error in results:
            if error is not None:
                self.assertIsInstance(error, exception.Forbidden, error)
        return results.count(None)

    def test_the_last_place(self):
        self.config('quota', instances=3)
        for _ in range(3):
            self.create(2, 2)
            self.assertEqual(1, self.together(lambda _: self.create()))
            self.assertEqual(3, self.used().instances)
            self.delete_all()

    def test_the_first_place_of_a_project(self):
        # There is no row to lock yet.
        self.config('quota', instances=1)
        self.assertEqual(1, self.together(lambda _: self.create()))
        self.assertEqual(1, self.used().instances)

    def test_cores_of_several_servers(self):
        self.config('quota', cores=30)
        size = flavor(vcpus=2)
        self.together(lambda n: self.create(1, n % 4 + 1, size=size))
        self.assertEqual(30, self.used().cores)

    def test_resizes_and_creates(self):
        small, large = flavor(), flavor(vcpus=2)
        for _ in range(2):
            self.config('quota', cores=-1)
            uuids = self.create(10, 10, size=small)
            for uuid in uuids:
                self.free(uuid)
            self.config('quota', cores=14)

            def work(uuid, small=small, large=large):
                if uuid is None:
                    self.create(size=small)
                else:
                    self.resize(uuid, large)

            done = self.together(work, [*uuids, *([None] * 10)])
            self.assertEqual(4, done)
            self.assertEqual(14, self.used().cores)
            self.delete_all()

    def test_ports(self):
        made = definition.define('private', cidr='10.0.0.0/24', bridge='br0')
        definition.create(self.database, made)
        wanted = [network.NetworkRequest(made.id)]
        for options in ({'ports': 5}, {'shared_network_percent': 2}):
            self.config('quota', ports=-1, shared_network_percent=100)
            self.config('quota', **options)
            allowed = options.get('ports', 6)
            self.create(allowed - 1, allowed - 1, wanted=wanted)
            done = self.together(lambda _: self.create(wanted=wanted))
            self.assertEqual(1, done)
            held = self.database.read(ports.list_all)
            self.assertEqual(allowed, len(held))
            self.delete_all()

    def test_key_pairs(self):
        self.config('quota', key_pairs=3)

        def work(number):
            def insert(connection):
                checks.require_key_pair(connection, PROJECT, USER)
                key_pairs.insert(
                    connection,
                    {
                        'user_id': USER,
                        'name': f'key{number}',
                        'type': 'ssh',
                        'public_key': 'x',
                        'fingerprint': 'x',
                        'created_at': clock.now(),
                    },
                )

            self.database.write(insert)

        self.assertEqual(3, self.together(work))

    def test_a_limit_is_lowered_or_used(self):
        for _ in range(3):
            self.create(2, 2)

            def work(number):
                if number:
                    self.create()
                    return
                try:
                    self.database.write(
                        lambda c: limits.change_limits(
                            c, PROJECT, None, {'instances': 2}
                        )
                    )
                except exception.InvalidInput as error:
                    raise exception.Forbidden from error

            done = self.together(work, range(6))
            limited = self.database.read(
                lambda c: limits.get_limits(c, PROJECT)
            )['instances']
            if limited == 2:
                self.assertEqual((1, 2), (done, self.used().instances))
            else:
                self.assertEqual((5, 7), (done, self.used().instances))
            self.database.write(
                lambda c: limits.reset_limits(c, PROJECT, limits.RESOURCES)
            )
            self.delete_all()

    def test_limits_of_users(self):
        def change(connection):
            for user in (None, USER, 'other'):
                limits.change_limits(
                    connection, PROJECT, user, {'cores': 4}, force=True
                )
            limits.change_class(
                connection, 'default', {'ram': 4096, 'cores': 9}
            )

        self.database.write(change)
        self.database.write(change)
        found = self.database.read(
            lambda c: limits.get_limits(c, PROJECT, USER)
        )
        self.assertEqual((4, 4096), (found['cores'], found['ram']))
        self.assertEqual(1, self.together(lambda _: self.create(4, 4)))


class SqliteTest(OnSqlite, QuotasMixin, base.TestCase):
    """On SQLite."""


class MariaDBTest(OnMariaDB, QuotasMixin, base.TestCase):
    """On MariaDB."""


class PostgreSQLTest(OnPostgreSQL, QuotasMixin, base.TestCase):
    """On PostgreSQL."""
