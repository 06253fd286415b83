# SPDX-License-Identifier: Apache-2.0
"""The database of a simulation."""

from minova.conf import CONF
from minova.db.connections import engine
from minova.simulation.database import Storage
from tests import base


class StorageTest(base.TestCase):
    """One in-memory database per process."""

    def test_connection_is_not_recycled(self):
        storage = Storage(CONF)
        self.addCleanup(storage.database.dispose)
        # The pool compares the age of a connection with this.
        self.assertEqual(-1, storage.database.engine.pool._recycle)
        file = engine.connect(CONF, f'sqlite:///{self.directory}/minova')
        self.addCleanup(file.dispose)
        self.assertEqual(3600, file.engine.pool._recycle)
