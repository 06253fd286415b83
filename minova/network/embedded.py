# SPDX-License-Identifier: Apache-2.0
"""The embedded network service: ports are rows beside the instances.

An address is given out under a lock on its network and in the transaction in
which its instance begins: both are there or neither. It is taken back in the
transaction in which the instance ends. So nothing in between can lose one,
and what is in use is known exactly.
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
from minova.network import SelectedNetwork

#: The first half of every MAC: the range that OpenStack clouds use, of those
#: that are locally administered.
_MAC_PREFIX: Final = 'fa:16:3e'

#: Up to this size a pool is looked at as a whole.
_SMALL_POOL: Final = 1024
#: Of a larger one so many addresses are tried, and again, before it is.
_EXTRA_TRIES: Final = (16, 128)


class EmbeddedNetworks:
    """Networks and ports in the database; see ``network.Networks``."""

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

    def allocate(
        self,
        connection: Connection,
        selected: Sequence[SelectedNetwork],
        instance_uuids: Sequence[str],
    ) -> list[list[Nic]]:
        """Write ports with addresses that are free."""
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
            port = _build_port(one.network, uuid, address, mac)
            made.append(port)
            nics_by_instance[uuid].append(
                build_nic(one.network, port, one.tag)
            )
        ports.insert(connection, made)
        return list(nics_by_instance.values())

    def release(self, connection: Connection, instance_uuid: str) -> None:
        """Delete the rows."""
        ports.release(connection, instance_uuid)


def build_nic(network: Network, port: Port, tag: str | None = None) -> Nic:
    """Return what an instance keeps of a port and of its network."""
    version = network.subnet.version
    found: Nic = {
        'id': port.id,
        'mac': port.mac,
        'label': network.name,
        'network_id': network.id,
        'mtu': network.mtu,
        **_plug_fields(network),
        # Told to consumers with these keys, and with no others.
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
    network: Network, instance_uuid: str, address: str, mac: str
) -> Port:
    return Port(
        id=clock.uuid4(),
        network_id=network.id,
        instance_uuid=instance_uuid,
        address=address,
        mac=mac,
        created_at=clock.now(),
    )


# -- which MACs --------------------------------------------------------------


def _assign_macs(
    connection: Connection, plugs: Sequence[tuple[Network, str]]
) -> list[str]:
    """Return a MAC for each address: the one it had the last time.

    A DHCP server keeps an address for the MAC to which it gave it last,
    after the guest is gone too, until the lease ends: it would give another
    one to whoever has the address next. Neighbours have it in mind likewise.
    """
    found: list[str] = []
    first = {_derive_mac(*plug, 0) for plug in plugs}
    taken = ports.list_used_macs(connection, first)
    for plug in plugs:
        for number in itertools.count():
            mac = _derive_mac(*plug, number)
            if number:
                # Hardly ever: another address has led to the same.
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


# -- which networks ----------------------------------------------------------


def _select_only_network(
    connection: Connection, project_id: str
) -> list[SelectedNetwork]:
    found = networks.list_for_project(connection, project_id, limit=2)
    if len(found) > 1:
        raise exception.NetworkAmbiguous()
    return [SelectedNetwork(network) for network in found]


def _require_usable(network: Network, address: str | None) -> str | None:
    """Return an address as it is written here; AddressNotUsable if not."""
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
    """Tell whether an address of a subnet may be a host's.

    The first is the subnet's own name and the last of IPv4 means everybody,
    unless there are no more than these two (RFC 3021, RFC 6164).
    """
    if subnet.num_addresses <= 2:
        return True
    if address == subnet.network_address:
        return False
    return subnet.version == 6 or address != subnet.broadcast_address


# -- which addresses ---------------------------------------------------------


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
    """Raise AddressInUse for a named address that is not free, or twice."""
    if not named:
        return
    used = ports.list_used_addresses(connection, network.id, named)
    for number, address in enumerate(named):
        if address in used or address in named[:number] or count > 1:
            raise exception.AddressInUse(address=address, network=network.name)


def _pick_free(
    connection: Connection, network: Network, count: int, excluded: set[str]
) -> list[str]:
    """Return so many free addresses of the pool, in no order.

    In no order, so that what was given back rests: neighbours may still have
    it in mind.
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
            # So dense a pool has never been; to list it would take for ever.
            raise exception.NoMoreAddresses(network=network.name)
    used = ports.list_used_addresses(connection, network.id) | excluded
    candidates = (str(first + number) for number in range(size))
    found = [address for address in candidates if address not in used]
    if len(found) < count:
        raise exception.NoMoreAddresses(network=network.name)
    return _pick_random(found, count)


def _pick_random(found: list[str], count: int) -> list[str]:
    """Return ``count`` of them, by chance."""
    selected = []
    for _ in range(count):
        last = len(found) - 1
        number = min(int(clock.uniform(0, len(found))), last)
        # The last one takes the place of the one that is taken.
        found[number], found[last] = found[last], found[number]
        selected.append(found.pop())
    return selected
