# SPDX-License-Identifier: Apache-2.0
"""Concurrent allocation of addresses, on every database."""

import threading

from oslo_db import exception as db_exception

from minova import clock
from minova import exception
from minova import network
from minova.conf import CONF
from minova.context import Context
from minova.context import generate_request_id
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import instances
from minova.db.queries import networks
from minova.db.queries import ports
from minova.engine import begin
from minova.engine.unit_of_work import UnitOfWork
from minova.network import definition
from minova.objects.operation_params import CreateParams
from tests import base
from tests.integration.databases import OnMariaDB
from tests.integration.databases import OnPostgreSQL
from tests.integration.databases import OnSqlite
from tests.unit.audit.row_builders import flavor


def context():
    return Context(
        user_id='user',
        project_id='project',
        roles=['member'],
        request_id=generate_request_id(),
    )


class NetworksMixin:
    """The tests for each database."""

    POOL = 20

    def setUp(self):
        super().setUp()
        self.database = engine.connect(CONF, self.url())
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)
        self.network = self.make('private', '10.0.0.0/24')

    def make(self, name, cidr):
        last = 10 + self.POOL - 1
        prefix = cidr.rpartition('.')[0]
        made = definition.define(
            name,
            cidr=cidr,
            bridge='br0',
            pool=f'{prefix}.10-{prefix}.{last}',
        )
        definition.create(self.database, made)
        return made

    def create(self, wanted=None):
        """Begin a create as the API does; return the server id."""

        def work(connection):
            service = network.load()
            chosen = service.select(connection, 'project', wanted)
            uuid = clock.uuid4()
            (nics,) = service.allocate(connection, 'project', chosen, [uuid])
            who = context()
            made = begin.new_instance(
                who,
                flavor(),
                uuid=uuid,
                network_info=nics,
                display_name='server',
                hostname='server',
                reservation_id='r-1',
                image_ref='',
            )
            begin.create(connection, who, made, 'api.api', CreateParams())
            return uuid

        return ports.write_with_retry(self.database, work)

    def delete(self, uuid):
        """End a server as a force-delete does."""
        begin.begin(
            self.database,
            context(),
            'force_delete',
            uuid,
            'api.api',
            begin.delete_params,
        )

    def held(self):
        return self.database.read(ports.list_all)

    def together(self, count, work):
        """Run ``work`` in several threads; return the errors."""
        errors = []

        def run():
            try:
                work()
            except exception.MinovaException as error:
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    def assert_whole(self, count):
        """``count`` addresses are allocated, each to its own server."""
        held = self.held()
        self.assertEqual(count, len(held))
        for name in ('address', 'mac'):
            values = {(p.network_id, getattr(p, name)) for p in held}
            self.assertEqual(count, len(values))
        for port in held:
            found = self.database.read(
                lambda c, port=port: instances.get(c, port.instance_uuid)
            )
            nics = {nic['id']: nic for nic in found.network_info}
            (address,) = nics[port.id]['addresses']
            self.assertEqual(port.address, address['address'])

    def test_the_last_addresses_go_to_as_many(self):
        made = set()

        def work():
            for _ in range(4):
                made.add(self.create())

        errors = self.together(8, work)
        self.assertEqual(self.POOL, len(made))
        self.assertTrue(errors)
        for error in errors:
            self.assertIsInstance(error, exception.NoMoreAddresses)
        self.assert_whole(self.POOL)

    def test_released_addresses_are_reused(self):
        def work():
            for _ in range(6):
                self.delete(self.create())

        self.assertEqual([], self.together(6, work))
        self.assertEqual([], self.held())

    def test_two_networks_in_either_order(self):
        other = self.make('other', '10.0.1.0/24')
        both = [network.NetworkRequest(n.id) for n in (self.network, other)]

        def work():
            for _ in range(2):
                self.create(both)
                self.create(both[::-1])

        self.assertEqual([], self.together(4, work))
        self.assert_whole(2 * 16)

    def test_an_address_that_is_named_is_one_servers(self):
        wanted = [network.NetworkRequest(self.network.id, '10.0.0.200')]
        errors = self.together(6, lambda: self.create(wanted))
        self.assertEqual(
            [exception.AddressInUse] * 5, [type(error) for error in errors]
        )
        self.assert_whole(1)

    def test_a_network_goes_or_is_used(self):
        for _ in range(4):
            found = self.database.read(networks.list_all)
            named = [network.NetworkRequest(one.id) for one in found]
            errors = []

            def go(found=found, errors=errors):
                try:
                    definition.delete(self.database, found[0].id)
                except exception.Conflict as error:
                    errors.append(error)

            deleting = threading.Thread(target=go)
            deleting.start()
            refused = self.together(4, lambda w=named: self.create(w))
            deleting.join()
            if errors:
                self.assertEqual([], refused)
                for port in self.held():
                    self.delete(port.instance_uuid)
            else:
                used = len(self.held())
                self.assertEqual((0, 4), (used, len(refused)))
                self.make('private', '10.0.0.0/24')

    # -- without the lock ----------------------------------------------------

    def test_no_two_can_have_one_address_or_mac(self):
        self.create()
        (port,) = self.held()
        for values in (
            {'mac': 'fa:16:3e:ff:ff:fe'},
            {'address': '10.0.0.250'},
        ):
            other = ports.Port(**vars(port) | {'id': clock.uuid4()} | values)
            self.assertRaises(
                db_exception.DBDuplicateEntry,
                self.database.write,
                lambda c, other=other: ports.insert(c, [other]),
            )

    def test_conflict_is_retried(self):
        # As if the lock had two holders: neither reads what the other wrote.
        seen = []
        real = ports.list_used_addresses

        def used(connection, network_id, candidates=None):
            seen.append(1)
            found = real(connection, network_id, candidates)
            return set() if len(seen) < 3 else found

        self.network = self.make('small', '10.0.2.0/24')
        wanted = [network.NetworkRequest(self.network.id)]
        for _ in range(self.POOL - 1):
            self.create(wanted)
        self.patch(ports, 'list_used_addresses', used)
        # With an empty result the code picks a used address most times.
        self.create(wanted)
        self.assert_whole(self.POOL)
        self.assertRaises(exception.NoMoreAddresses, self.create, wanted)

    def test_rollback_allocates_nothing(self):
        def fail(self, *args, **kwargs):
            raise exception.Conflict(reason='the end is refused')

        self.patch(UnitOfWork, 'flush', fail)
        self.assertRaises(exception.Conflict, self.create)
        self.assertEqual([], self.held())


class SqliteTest(OnSqlite, NetworksMixin, base.TestCase):
    """On SQLite."""


class MariaDBTest(OnMariaDB, NetworksMixin, base.TestCase):
    """On MariaDB."""


class PostgreSQLTest(OnPostgreSQL, NetworksMixin, base.TestCase):
    """On PostgreSQL."""
