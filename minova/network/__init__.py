# SPDX-License-Identifier: Apache-2.0
"""Networks: what instances are attached to, and the addresses they have.

What the rest of Minova asks of a network service stands here and is as narrow
as that: to choose networks for a request, to give out ports in them, to take
the ports of an instance back. The one service there is, ``embedded``, keeps
all of it in Minova's own database.

==========  =================================================================
embedded    networks and ports in the database
definition  what a network may be, and the commands' and options' words for it
==========  =================================================================

A service that keeps ports elsewhere cannot give them out in a transaction of
ours. Behind this interface it chooses by asking, gives out nothing in
``allocate``, and makes its ports in a step of the create, which is recorded
and taken back like any other.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import Protocol

from minova.db.connections.engine import Connection
from minova.db.queries.networks import Network

#: A nic as ``Instance.network_info`` holds it. ``id`` is its port's, ``mac``
#: is its own for as long as the instance lives, ``label`` and ``network_id``
#: are the network's name and id, ``mtu`` is None where the host decides.
#: Exactly one of ``bridge``, ``libvirt_network`` and ``user`` says how it is
#: plugged in. ``addresses`` are told to consumers as they are, ``subnets``
#: say what a guest must know to use them; ``tag`` is there if it was given.
Nic = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class NetworkRequest:
    """One nic that a user asks for; None where he does not mind."""

    network_id: str
    address: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True)
class SelectedNetwork:
    """One nic that is to be: its network, and what was asked for."""

    network: Network
    address: str | None = None
    tag: str | None = None


class NetworkService(Protocol):
    """A network service."""

    def select(
        self,
        connection: Connection,
        project_id: str,
        requested: Sequence[NetworkRequest] | None,
    ) -> list[SelectedNetwork]:
        """Return the nics that each server of a request gets.

        ``wanted`` is what the user names, None: the one network there is, if
        there is one. Raises NetworkNotFound, AddressNotUsable or
        NetworkAmbiguous.
        """

    def allocate(
        self,
        connection: Connection,
        selected: Sequence[SelectedNetwork],
        instance_uuids: Sequence[str],
    ) -> list[list[Nic]]:
        """Give each instance its ports, in the transaction that begins it.

        Raises AddressInUse or NoMoreAddresses. The transaction is run by
        ``db.ports.allocating``.
        """

    def release(self, connection: Connection, instance_uuid: str) -> None:
        """Take the ports of an instance back; nothing when it has none.

        It is part of the transaction in which the instance ends.
        """


def load() -> NetworkService:
    """Return the network service."""
    # Not above: it is made of what is declared here.
    from minova.network import embedded

    return embedded.EmbeddedNetworks()
