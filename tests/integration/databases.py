# SPDX-License-Identifier: Apache-2.0
"""The databases of tests that run on each kind: mixins of test cases.

``url`` returns the URL of a new database, which is dropped after the test.
"""

import os
import uuid

from tests.fixtures import servers


class OnSqlite:
    """SQLite, in a file."""

    def url(self):
        path = os.path.join(self.directory, 'minova.sqlite')
        return f'sqlite:///{path}'


class OnMariaDB:
    """MariaDB, with the pure-Python driver."""

    driver = 'pymysql'

    def url(self):
        return _new(self, servers.MariaDB, self.driver)


class OnMySQLClient(OnMariaDB):
    """MariaDB, with the C driver."""

    driver = 'mysqldb'


class OnPostgreSQL:
    """PostgreSQL."""

    def url(self):
        return _new(self, servers.PostgreSQL)


def _new(test, kind, *driver):
    server = servers.shared(kind)
    name = f'{test.id().rpartition(".")[2][:24]}_{uuid.uuid4().hex}'
    test.addCleanup(server.drop, name)
    return server.url(name, *driver)
