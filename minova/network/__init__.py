# SPDX-License-Identifier: Apache-2.0
"""Networks: the interface of the network service.

The interface is narrow: select networks for a request, allocate ports in them,
release the ports of an instance. Its only implementation, ``embedded``, keeps
networks and ports in Minova's database.

============  ===============================================================
definition    networks: validation, creation, deletion, creation from options
embedded      the embedded network service: ports and addresses
port_quota    how many ports a project may have, in all and in one network
routes        Networking v2.0 over HTTP, for clients: networks and ports
quota_routes  Networking v2.0 over HTTP: the quota of ports
============  ===============================================================

A service that keeps ports elsewhere cannot allocate them in Minova's
transaction. Behind this interface it checks in ``select``, allocates nothing
in ``allocate``, and creates its ports in a step of the create, which is
recorded and undone like any other step.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import Protocol
import uuid

from minova.db.connections.engine import Connection
from minova.db.queries.networks import Network

#: A nic in ``Instance.network_info``. ``id`` is its port, ``mac`` stays the
#: same for the lifetime of the instance, ``label`` and ``network_id`` are the
#: network's name and id, ``mtu`` is None where the host decides. Exactly one
#: of ``bridge``, ``libvirt_network`` and ``user`` is the attachment. Hosts
#: filter what the guest sends unless ``port_security_enabled`` is false.
#: Notifications contain ``addresses`` unchanged; ``subnets`` has the settings
#: that a guest needs; ``tag`` is present if the user set it.
Nic = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class NetworkRequest:
    """A requested nic; None for values that the user does not set."""

    network_id: str
    address: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True)
class SelectedNetwork:
    """A nic to be created: its network and the requested values."""

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

        ``requested`` is the user's list; None selects the only network, if
        there is exactly one. Raises NetworkNotFound, AddressNotUsable or
        NetworkAmbiguous.
        """

    def count_that_fits(
        self,
        connection: Connection,
        project_id: str,
        port_limit: int,
        selected: Sequence[SelectedNetwork],
        minimum: int,
        maximum: int,
    ) -> int:
        """Return for how many servers a project may have the ports.

        At most ``maximum``; ``port_limit`` is the limit of the project's
        ports, -1 for none. Raises PortLimitExceeded or NetworkShareExceeded if
        fewer than ``minimum`` servers fit.
        """

    def allocate(
        self,
        connection: Connection,
        project_id: str,
        selected: Sequence[SelectedNetwork],
        instance_uuids: Sequence[str],
    ) -> list[list[Nic]]:
        """Allocate ports for instances, in the transaction that creates them.

        Raises AddressInUse or NoMoreAddresses. ``ports.write_with_retry`` runs
        the transaction.
        """

    def release(self, connection: Connection, instance_uuid: str) -> None:
        """Release the ports of an instance, if it has any.

        This is part of the transaction that deletes the instance.
        """

    def release_port(self, connection: Connection, port_id: str) -> None:
        """Release one port of an instance.

        This is part of the transaction that removes its NIC.
        """


def get_subnet_id(network_id: str) -> str:
    """Return the id of the only subnet of a network."""
    return str(uuid.uuid5(uuid.UUID(network_id), 'subnet'))


def load() -> NetworkService:
    """Return the network service."""
    # Here because the module imports this one.
    from minova.network import embedded

    return embedded.EmbeddedNetworks()
