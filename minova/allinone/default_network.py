# SPDX-License-Identifier: Apache-2.0
"""The network of an empty cloud."""

from typing import Final

from minova.conf import CONF
from minova.db.connections.engine import Database
from minova.db.queries import networks
from minova.network import definition

#: openstacksdk takes the addresses of a network of this name for private ones.
NAME: Final = 'private'
#: Enough addresses for a cloud of fake hosts. It is QEMU's user network, which
#: needs nothing on the host.
CIDR: Final = '10.0.0.0/16'


def create_default_network(database: Database) -> None:
    """Create the network, unless there is one or the options define some."""
    if CONF.network.network or database.read(networks.list_all):
        return
    definition.create(database, definition.define(NAME, user=True, cidr=CIDR))
