# SPDX-License-Identifier: Apache-2.0
"""The network of a guest in the form of ``network_data.json``.

A *link* is a device, identified by its MAC; a *network* is one address of a
link with its mask, routes and name servers. A device uses DHCP when its
address is in no subnet, or when it is on the hypervisor's own network
(``user``).
"""

from collections.abc import Iterable
import ipaddress
from typing import Any

Json = dict[str, Any]

#: The destination of the default route, by IP version.
_DEFAULT_ROUTE = {
    4: ('0.0.0.0', '0.0.0.0'),  # noqa: S104  nothing listens there
    6: ('::', '::'),
}


def network_data(nics: Iterable[Json]) -> Json:
    """Return the document for these devices, in their order."""
    links: list[Json] = []
    networks: list[Json] = []
    servers: dict[str, None] = {}
    for nic in nics:
        link = _link(nic)
        links.append(link)
        for found in _networks(nic):
            number = f'network{len(networks)}'
            networks.append({'id': number, 'link': link['id'], **found})
        for subnet in nic.get('subnets') or []:
            servers |= dict.fromkeys(subnet.get('dns') or [])
    return {
        'links': links,
        'networks': networks,
        'services': _services(servers),
    }


def _link(nic: Json) -> Json:
    # cloud-init uses the id as a device name when it finds no MAC, and
    # such a name has at most 15 characters.
    link = {
        'id': f'tap{nic["id"][:11]}',
        'vif_id': nic['id'],
        'type': 'phy',
        'ethernet_mac_address': nic['mac'].lower(),
    }
    if nic.get('mtu'):
        link['mtu'] = nic['mtu']
    return link


def _networks(nic: Json) -> list[Json]:
    addresses = nic.get('addresses') or []
    if not addresses and nic.get('user'):
        return [_dhcp_network(nic, 4)]
    return [_address_network(nic, address) for address in addresses]


def _address_network(nic: Json, given: Json) -> Json:
    address = ipaddress.ip_address(given['address'])
    for subnet in nic.get('subnets') or []:
        range_ = ipaddress.ip_network(subnet['cidr'], strict=False)
        if address in range_:
            return _static_network(nic, address, range_, subnet)
    return _dhcp_network(nic, address.version)


def _static_network(
    nic: Json,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    range_: ipaddress.IPv4Network | ipaddress.IPv6Network,
    subnet: Json,
) -> Json:
    routes = []
    if subnet.get('gateway'):
        destination, mask = _DEFAULT_ROUTE[address.version]
        routes.append(
            {
                'network': destination,
                'netmask': mask,
                'gateway': subnet['gateway'],
            }
        )
    return {
        'type': f'ipv{address.version}',
        'network_id': nic.get('network_id'),
        'ip_address': str(address),
        'netmask': str(range_.netmask),
        'routes': routes,
        'services': _services(subnet.get('dns') or []),
    }


def _dhcp_network(nic: Json, version: int) -> Json:
    return {
        'type': f'ipv{version}_dhcp',
        'network_id': nic.get('network_id'),
    }


def _services(servers: Iterable[str]) -> list[Json]:
    return [{'type': 'dns', 'address': server} for server in servers]
