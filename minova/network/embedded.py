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
from minova.db import networks
from minova.db import ports
from minova.db.engine import Connection
from minova.db.networks import Network
from minova.db.ports import Port
from minova.network import Chosen
from minova.network import Nic
from minova.network import Wanted

#: The first half of every MAC: the range that OpenStack clouds use, of those
#: that are locally administered.
_MAC_PREFIX: Final = 'fa:16:3e'

#: Up to this size a pool is looked at as a whole.
_SMALL: Final = 1024
#: Of a larger one so many addresses are tried, and again, before it is.
_TRIES: Final = (16, 128)


class Embedded:
    """Networks and ports in the database; see ``network.Networks``."""

    def choose(
        self,
        connection: Connection,
        project_id: str,
        wanted: Sequence[Wanted] | None,
    ) -> list[Chosen]:
        """Find the networks and lock them."""
        if wanted is None:
            return _the_only_one(connection, project_id)
        if not wanted:
            return []
        named = {one.network_id for one in wanted}
        found = {
            network.id: network
            for network in networks.of_project(connection, project_id, named)
        }
        for one in wanted:
            if one.network_id not in found:
                raise exception.NetworkNotFound(network_id=one.network_id)
        return [
            Chosen(
                found[one.network_id],
                _usable(found[one.network_id], one.address),
                one.tag,
            )
            for one in wanted
        ]

    def allocate(
        self,
        connection: Connection,
        chosen: Sequence[Chosen],
        instance_uuids: Sequence[str],
    ) -> list[list[Nic]]:
        """Write ports with addresses that are free."""
        if not chosen:
            return [[] for _ in instance_uuids]
        addresses = [
            iter(found)
            for found in _addresses(connection, chosen, len(instance_uuids))
        ]
        plugs = [
            (uuid, one, next(free))
            for uuid in instance_uuids
            for one, free in zip(chosen, addresses, strict=True)
        ]
        macs = _macs(connection, [(c.network, a) for _, c, a in plugs])
        made: list[Port] = []
        given: dict[str, list[Nic]] = {uuid: [] for uuid in instance_uuids}
        for (uuid, one, address), mac in zip(plugs, macs, strict=True):
            port = _port(one.network, uuid, address, mac)
            made.append(port)
            given[uuid].append(nic(one.network, port, one.tag))
        ports.insert(connection, made)
        return list(given.values())

    def release(self, connection: Connection, instance_uuid: str) -> None:
        """Delete the rows."""
        ports.release(connection, instance_uuid)


def nic(network: Network, port: Port, tag: str | None = None) -> Nic:
    """Return what an instance keeps of a port and of its network."""
    version = network.subnet.version
    found: Nic = {
        'id': port.id,
        'mac': port.mac,
        'label': network.name,
        'network_id': network.id,
        'mtu': network.mtu,
        **_plug(network),
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


def _plug(network: Network) -> Nic:
    if network.kind == networks.BRIDGE:
        return {'bridge': network.device}
    if network.kind == networks.LIBVIRT:
        return {'libvirt_network': network.device}
    return {'user': True}


def _port(
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


def _macs(
    connection: Connection, plugs: Sequence[tuple[Network, str]]
) -> list[str]:
    """Return a MAC for each address: the one it had the last time.

    A DHCP server keeps an address for the MAC to which it gave it last,
    after the guest is gone too, until the lease ends: it would give another
    one to whoever has the address next. Neighbours have it in mind likewise.
    """
    found: list[str] = []
    first = {_mac(*plug, 0) for plug in plugs}
    taken = ports.macs_taken(connection, first)
    for plug in plugs:
        for number in itertools.count():
            mac = _mac(*plug, number)
            if number:
                # Hardly ever: another address has led to the same.
                taken |= ports.macs_taken(connection, [mac])
            if mac not in taken:
                break
        taken.add(mac)
        found.append(mac)
    return found


def _mac(network: Network, address: str, number: int) -> str:
    text = f'{network.id} {address} {number}'
    digits = hashlib.sha256(text.encode()).hexdigest()
    return ':'.join((_MAC_PREFIX, *(digits[at : at + 2] for at in (0, 2, 4))))


# -- which networks ----------------------------------------------------------


def _the_only_one(connection: Connection, project_id: str) -> list[Chosen]:
    found = networks.of_project(connection, project_id, most=2)
    if len(found) > 1:
        raise exception.NetworkAmbiguous()
    return [Chosen(network) for network in found]


def _usable(network: Network, address: str | None) -> str | None:
    """Return an address as it is written here; AddressNotUsable if not."""
    if address is None:
        return None
    found = ipaddress.ip_address(address)
    if found not in network.subnet:
        raise _not_usable(found, network, f'it is not in {network.cidr}')
    if str(found) == network.gateway:
        raise _not_usable(found, network, 'it is the gateway')
    if not is_host(network.subnet, found):
        raise _not_usable(found, network, f'it is {network.cidr} itself')
    return str(found)


def _not_usable(
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


def _addresses(
    connection: Connection, chosen: Sequence[Chosen], count: int
) -> list[list[str]]:
    """Return ``count`` addresses for each nic, all different."""
    found: list[list[str]] = [[] for _ in chosen]
    for network in {one.network.id: one.network for one in chosen}.values():
        mine = [
            number
            for number, one in enumerate(chosen)
            if one.network.id == network.id
        ]
        named = [
            (number, address)
            for number in mine
            if (address := chosen[number].address) is not None
        ]
        _require_free(connection, network, [a for _, a in named], count)
        for number, address in named:
            found[number] = [address]
        open_ = [n for n in mine if chosen[n].address is None]
        free = _free(
            connection,
            network,
            len(open_) * count,
            {address for _, address in named},
        )
        for place, number in enumerate(open_):
            found[number] = free[place * count : (place + 1) * count]
    return found


def _require_free(
    connection: Connection, network: Network, named: list[str], count: int
) -> None:
    """Raise AddressInUse for a named address that is not free, or twice."""
    if not named:
        return
    used = ports.taken(connection, network.id, named)
    for number, address in enumerate(named):
        if address in used or address in named[:number] or count > 1:
            raise exception.AddressInUse(address=address, network=network.name)


def _free(
    connection: Connection, network: Network, count: int, but: set[str]
) -> list[str]:
    """Return so many free addresses of the pool, in no order.

    In no order, so that what was given back rests: neighbours may still have
    it in mind.
    """
    if not count:
        return []
    but = but | {network.gateway or ''}
    first = ipaddress.ip_address(network.pool_first)
    size = int(ipaddress.ip_address(network.pool_last)) - int(first) + 1
    if size > _SMALL:
        for tries in _TRIES:
            tried = {
                str(first + min(int(clock.uniform(0, size)), size - 1))
                for _ in range(count + tries)
            }
            found = sorted(
                tried - but - ports.taken(connection, network.id, tried)
            )
            if len(found) >= count:
                return _some(found, count)
        if size > 1 << 20:
            # So dense a pool has never been; to list it would take for ever.
            raise exception.NoMoreAddresses(network=network.name)
    used = ports.taken(connection, network.id) | but
    every = (str(first + number) for number in range(size))
    found = [address for address in every if address not in used]
    if len(found) < count:
        raise exception.NoMoreAddresses(network=network.name)
    return _some(found, count)


def _some(found: list[str], count: int) -> list[str]:
    """Return ``count`` of them, by chance."""
    chosen = []
    for _ in range(count):
        last = len(found) - 1
        number = min(int(clock.uniform(0, len(found))), last)
        # The last one takes the place of the one that is taken.
        found[number], found[last] = found[last], found[number]
        chosen.append(found.pop())
    return chosen
