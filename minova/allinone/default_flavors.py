# SPDX-License-Identifier: Apache-2.0
"""The flavors of an empty cloud."""

from minova import clock
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import flavors

#: Name, vCPUs, MiB, GiB; the ids start at 1.
FLAVORS = (
    ('m1.nano', 1, 64, 1),
    ('m1.tiny', 1, 512, 1),
    ('m1.small', 1, 2048, 20),
    ('m1.medium', 2, 4096, 40),
    ('m1.large', 4, 8192, 80),
)


def create_default_flavors(database: Database) -> None:
    """Create the flavors in a database without flavors."""

    def work(connection: Connection) -> None:
        if flavors.list_all(connection):
            return
        for number, (name, vcpus, memory_mb, root_gb) in enumerate(FLAVORS, 1):
            flavors.insert(
                connection,
                {
                    'flavorid': str(number),
                    'name': name,
                    'description': None,
                    'vcpus': vcpus,
                    'memory_mb': memory_mb,
                    'root_gb': root_gb,
                    'ephemeral_gb': 0,
                    'swap_mb': 0,
                    'rxtx_factor': 1.0,
                    'is_public': True,
                    'disabled': False,
                    'extra_specs': {},
                    'created_at': clock.now(),
                },
            )

    database.write(work)
