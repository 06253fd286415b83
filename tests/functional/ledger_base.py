# SPDX-License-Identifier: Apache-2.0
"""The base of the tests of the ledger and of the archive."""

import itertools

import sqlalchemy as sa

from minova import clock
from minova.conf import CONF
from minova.db import tables
from minova.db.connections import engine
from minova.db.queries import archive
from minova.db.queries import outbox
from minova.notifications import ledger
from minova.rpc import memory
from minova.rpc import oslo_bus
from tests.fixtures.cloud import Cloud
from tests.fixtures.cloud import Consumer
from tests.unit.cmd.test_manage import ManageTestCase

_numbers = itertools.count()


class LedgerTestCase(ManageTestCase):
    """A cloud at rest in which operations have ended."""

    def setUp(self):
        super().setUp()
        # A few notifications fill several pages.
        self.patch(ledger, '_PAGE', 7)
        self.broker = f'ledger{next(_numbers)}'
        self.addCleanup(memory.reset, self.broker)
        self.database = engine.connect(CONF, self.url)
        self.addCleanup(self.database.dispose)

    def cloud(self):
        return Cloud(url=f'memory://{self.broker}/')

    def make_history(self):
        """Return an active server and a deleted one."""
        with self.cloud() as cloud:
            one = cloud.boot(host='a')
            cloud.begin('live_migrate', one)
            other = cloud.boot(host='b')
            cloud.begin('stop', other)
            cloud.delete(other)
        return one, other

    def rows(self, uuid):
        return self.database.read(lambda c: outbox.list_by_instance(c, uuid))

    def count(self, table):
        return self.database.read(
            lambda c: c.execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
        )

    def sizes(self):
        """Return how many rows each table and its archive have."""
        return {
            kind.table.name: (
                self.count(kind.table),
                self.count(kind.archived),
            )
            for kind in (
                *archive.ENTITY_KINDS,
                *(
                    part
                    for kind in archive.ENTITY_KINDS
                    for part in kind.children
                ),
            )
        }

    def unpublish(self, uuid, first):
        """Mark these rows as unpublished."""
        t = tables.outbox
        self.database.write(
            lambda c: c.execute(
                sa.update(t)
                .where(t.c.instance_uuid == uuid, t.c.seq >= first)
                .values(published_at=None)
            )
        )

    def list_json(self, *words):
        """Return the log of a consumer that has received everything."""
        return self.run_ok(
            'notifications', 'list', '--json', *words
        ).splitlines()

    def patch_bus(self):
        """Connect minova-manage to the broker in this process."""
        bus = oslo_bus.OsloBus
        url = f'memory://{self.broker}/'
        self.patch(oslo_bus, 'OsloBus', lambda service=None: bus(url))
        self.patch(bus, 'is_local', False)

    def start_consumer(self):
        """Return a consumer that has received all queued messages."""
        return self.useFixture(Consumer(f'memory://{self.broker}/'))

    def wait_for(self, predicate):
        for _ in range(500):
            if predicate():
                return
            clock.sleep(0.01)
        self.fail('it never came true')
