# SPDX-License-Identifier: Apache-2.0
"""The embedded network service: ports are rows of the database.

The transaction that creates an instance also allocates its addresses, under a
lock on the network, and the transaction that deletes the instance releases
them. So no crash leaks an address, and the list of used ones is exact.
"""

from collections.abc import Sequence
import hashlib
import ipaddress
import itertools
from typing import Final

from minova import clock
from minova import exception
from minova.db.connections.engine import Connection
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.networks import Network
from minova.db.queries.ports import Port
from minova.network import NetworkRequest
from minova.network import Nic
from minova.network import port_quota
from minova.network import SelectedNetwork

#: The first half of every MAC: the locally administered range of OpenStack.
_MAC_PREFIX: Final = 'fa:16:3e'

#: Up to this size the free addresses of a pool are listed.
_SMALL_POOL: Final = 1024
#: In a larger pool this many random addresses are tried, repeatedly, before
#: they are listed.
_EXTRA_TRIES: Final = (16, 128)


class EmbeddedNetworks:
    """Networks and ports in the database; see ``network.NetworkService``."""

    def select(
        self,
        connection: Connection,
        project_id: str,
        requested: Sequence[NetworkRequest] | None,
    ) -> list[SelectedNetwork]:
        """Find the networks and lock them."""
        if requested is None:
            return _select_only_network(connection, project_id)
        if not requested:
            return []
        named = {one.network_id for one in requested}
        found = {
            network.id: network
            for network in networks.list_for_project(
                connection, project_id, named
            )
        }
        for one in requested:
            if one.network_id not in found:
                raise exception.NetworkNotFound(network_id=one.network_id)
        return [
            SelectedNetwork(
                found[one.network_id],
                _require_usable(found[one.network_id], one.address),
                one.tag,
            )
            for one in requested
        ]

    def count_that_fits(
        self,
        connection: Connection,
        project_id: str,
        port_limit: int,
        selected: Sequence[SelectedNetwork],
        minimum: int,
        maximum: int,
    ) -> int:
        """Compare the ports of the project with its limits."""
        return port_quota.count_that_fits(
            connection,
            project_id,
            port_limit,
            [one.network for one in selected],
            minimum,
            maximum,
        )

    def allocate(
        self,
        connection: Connection,
        project_id: str,
        selected: Sequence[SelectedNetwork],
        instance_uuids: Sequence[str],
    ) -> list[list[Nic]]:
        """Insert ports with free addresses."""
        if not selected:
            return [[] for _ in instance_uuids]
        addresses = [
            iter(found)
            for found in _assign_addresses(
                connection, selected, len(instance_uuids)
            )
        ]
        plugs = [
            (uuid, one, next(free))
            for uuid in instance_uuids
            for one, free in zip(selected, addresses, strict=True)
        ]
        macs = _assign_macs(connection, [(c.network, a) for _, c, a in plugs])
        made: list[Port] = []
        nics_by_instance: dict[str, list[Nic]] = {
            uuid: [] for uuid in instance_uuids
        }
        for (uuid, one, address), mac in zip(plugs, macs, strict=True):
            port = _build_port(one.network, project_id, uuid, address, mac)
            made.append(port)
            nics_by_instance[uuid].append(
                build_nic(one.network, port, one.tag)
            )
        ports.insert(connection, made)
        return list(nics_by_instance.values())

    def release(self, connection: Connection, instance_uuid: str) -> None:
        """Delete the ports."""
        ports.release(connection, instance_uuid)

    def release_port(self, connection: Connection, port_id: str) -> None:
        """Delete the port."""
        ports.release_port(connection, port_id)


def build_nic(network: Network, port: Port, tag: str | None = None) -> Nic:
    """Return the nic of an instance for a port and its network."""
    version = network.subnet.version
    found: Nic = {
        'id': port.id,
        'mac': port.mac,
        'label': network.name,
        'network_id': network.id,
        'mtu': network.mtu,
        'port_security_enabled': network.port_security_enabled,
        **_plug_fields(network),
        # Notifications contain exactly these keys.
        'addresses': [
            {
                'address': port.address,
                'type': 'fixed',
                'version': version,
                'meta': {},
                'floating_ips': [],
            }
        ],
        'subnets': [
            {
                'cidr': network.cidr,
                'gateway': network.gateway,
                'dns': network.dns,
                'version': version,
            }
        ],
    }
    return found if tag is None else found | {'tag': tag}


def _plug_fields(network: Network) -> Nic:
    if network.kind == networks.BRIDGE:
        return {'bridge': network.device}
    if network.kind == networks.LIBVIRT:
        return {'libvirt_network': network.device}
    return {'user': True}


def _build_port(
    network: Network,
    project_id: str,
    instance_uuid: str,
    address: str,
    mac: str,
) -> Port:
    return Port(
        id=clock.uuid4(),
        network_id=network.id,
        instance_uuid=instance_uuid,
        project_id=project_id,
        address=address,
        mac=mac,
        created_at=clock.now(),
    )


# -- MACs --------------------------------------------------------------------


def _assign_macs(
    connection: Connection, plugs: Sequence[tuple[Network, str]]
) -> list[str]:
    """Return a MAC for each address: always the same one.

    A DHCP server keeps an address for the MAC that leased it until the lease
    ends, even after the guest is deleted: another MAC with this address would
    get another address from it. ARP caches of neighbours work likewise.
    """
    found: list[str] = []
    first = {_derive_mac(*plug, 0) for plug in plugs}
    taken = ports.list_used_macs(connection, first)
    for plug in plugs:
        for number in itertools.count():
            mac = _derive_mac(*plug, number)
            if number:
                # Rare: two addresses have the same hash.
                taken |= ports.list_used_macs(connection, [mac])
            if mac not in taken:
                break
        taken.add(mac)
        found.append(mac)
    return found


def _derive_mac(network: Network, address: str, number: int) -> str:
    text = f'{network.id} {address} {number}'
    digits = hashlib.sha256(text.encode()).hexdigest()
    return ':'.join((_MAC_PREFIX, *(digits[at : at + 2] for at in (0, 2, 4))))


# -- networks ----------------------------------------------------------------


def _select_only_network(
    connection: Connection, project_id: str
) -> list[SelectedNetwork]:
    found = networks.list_for_project(connection, project_id, limit=2)
    if len(found) > 1:
        raise exception.NetworkAmbiguous()
    return [SelectedNetwork(network) for network in found]


def _require_usable(network: Network, address: str | None) -> str | None:
    """Return an address in canonical form, or raise AddressNotUsable."""
    if address is None:
        return None
    found = ipaddress.ip_address(address)
    if found not in network.subnet:
        raise _not_usable_error(found, network, f'it is not in {network.cidr}')
    if str(found) == network.gateway:
        raise _not_usable_error(found, network, 'it is the gateway')
    if not is_host(network.subnet, found):
        raise _not_usable_error(found, network, f'it is {network.cidr} itself')
    return str(found)


def _not_usable_error(
    address: object, network: Network, reason: str
) -> exception.AddressNotUsable:
    return exception.AddressNotUsable(
        address=str(address), network=network.name, reason=reason
    )


def is_host(subnet: networks.Cidr, address: networks.Address) -> bool:
    """Return whether an address of a subnet may belong to a host.

    The first address is the subnet itself and the last of IPv4 is broadcast,
    unless the subnet has two addresses or one (RFC 3021, RFC 6164).
    """
    if subnet.num_addresses <= 2:
        return True
    if address == subnet.network_address:
        return False
    return subnet.version == 6 or address != subnet.broadcast_address


# -- addresses ---------------------------------------------------------------


def _assign_addresses(
    connection: Connection, selected: Sequence[SelectedNetwork], count: int
) -> list[list[str]]:
    """Return ``count`` addresses for each nic, all different."""
    found: list[list[str]] = [[] for _ in selected]
    for network in {one.network.id: one.network for one in selected}.values():
        indexes = [
            number
            for number, one in enumerate(selected)
            if one.network.id == network.id
        ]
        named = [
            (number, address)
            for number in indexes
            if (address := selected[number].address) is not None
        ]
        _require_free(connection, network, [a for _, a in named], count)
        for number, address in named:
            found[number] = [address]
        unnamed = [n for n in indexes if selected[n].address is None]
        free = _pick_free(
            connection,
            network,
            len(unnamed) * count,
            {address for _, address in named},
        )
        for place, number in enumerate(unnamed):
            found[number] = free[place * count : (place + 1) * count]
    return found


def _require_free(
    connection: Connection, network: Network, named: list[str], count: int
) -> None:
    """Raise AddressInUse for a requested address in use or requested twice."""
    if not named:
        return
    used = ports.list_used_addresses(connection, network.id, named)
    for number, address in enumerate(named):
        if address in used or address in named[:number] or count > 1:
            raise exception.AddressInUse(address=address, network=network.name)


def _pick_free(
    connection: Connection, network: Network, count: int, excluded: set[str]
) -> list[str]:
    """Return ``count`` free addresses of the pool in random order.

    Random, so that released addresses rest: neighbours may have their MACs in
    a cache.
    """
    if not count:
        return []
    excluded = excluded | {network.gateway or ''}
    first = ipaddress.ip_address(network.pool_first)
    size = int(ipaddress.ip_address(network.pool_last)) - int(first) + 1
    if size > _SMALL_POOL:
        for tries in _EXTRA_TRIES:
            tried = {
                str(first + min(int(clock.uniform(0, size)), size - 1))
                for _ in range(count + tries)
            }
            found = sorted(
                tried
                - excluded
                - ports.list_used_addresses(connection, network.id, tried)
            )
            if len(found) >= count:
                return _pick_random(found, count)
        if size > 1 << 20:
            # Such a dense pool is implausible, and listing it would take too
            # long.
            raise exception.NoMoreAddresses(network=network.name)
    used = ports.list_used_addresses(connection, network.id) | excluded
    candidates = (str(first + number) for number in range(size))
    found = [address for address in candidates if address not in used]
    if len(found) < count:
        raise exception.NoMoreAddresses(network=network.name)
    return _pick_random(found, count)


def _pick_random(found: list[str], count: int) -> list[str]:
    """Return ``count`` random ones."""
    selected = []
    for _ in range(count):
        last = len(found) - 1
        number = min(int(clock.uniform(0, len(found))), last)
        # The last candidate replaces the chosen one.
        found[number], found[last] = found[last], found[number]
        selected.append(found.pop())
    return selected
