# SPDX-License-Identifier: Apache-2.0
"""The host networks and bridges of a guest, and its DHCP reservations.

A nic on a libvirt network gets its address from the DHCP server of the
network, if there is one. The host reserves the address that Minova assigned: a
``<host>`` element in the ``<dhcp>`` of the network names the MAC, the address
and the guest (https://libvirt.org/formatnetwork.html). Reservations
belong to a host, like definitions and disks: they are created before the guest
starts and removed with the guest. Each function reads both the live and the
persistent configuration of the network and changes what is missing, since
others may have changed one of the two.

A nic on a bridge needs the bridge only; a nic on QEMU's user network needs
nothing. The operator creates bridges, networks and their DHCP servers.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import ipaddress
import re
import socket
from typing import Any
from typing import Final
from typing import NamedTuple
import urllib.parse
from xml.etree import ElementTree

import libvirt

from minova import exception
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import guest_failed
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.errors import translate_errors

Nic = dict[str, Any]

#: The name of a reservation of ours: the uuid of the guest and the end of the
#: MAC, because a guest may have several and names are unique. The DHCP server
#: sends it to the guest as a host name, so it has the form of one.
_RESERVATION_NAME: Final = re.compile(
    r'minova-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9a-f]{6}'
)


class Reservation(NamedTuple):
    """An address that a libvirt network reserves for a MAC."""

    mac: str
    name: str
    address: str

    @property
    def guest(self) -> str | None:
        """The uuid of the guest; None for a reservation of others."""
        found = _RESERVATION_NAME.fullmatch(self.name)
        return found[1] if found else None

    def collides(self, other: 'Reservation') -> bool:
        """Return whether a network rejects both reservations together."""
        return any(
            mine == its and mine != ''
            for mine, its in zip(self, other, strict=True)
        )

    def xml(self) -> str:
        """Return the element for libvirt."""
        values = {'mac': self.mac, 'name': self.name, 'ip': self.address}
        given = {name: value for name, value in values.items() if value}
        element = ElementTree.Element('host', given)
        return ElementTree.tostring(element, encoding='unicode')


class NetworkConfig(NamedTuple):
    """The live or the persistent configuration of a network."""

    network: libvirt.virNetwork
    #: The flags to read and to change the configuration.
    read_flags: int
    update_flags: int

    def reservations(self) -> list[Reservation]:
        """Return the reservations."""
        try:
            text = self.network.XMLDesc(self.read_flags)
        except libvirt.libvirtError as error:
            # libvirt's test driver has one configuration.
            if not has_error_code(error, libvirt.VIR_ERR_INVALID_ARG):
                raise
            text = self.network.XMLDesc()
        root = ElementTree.fromstring(text)  # noqa: S314
        return [
            Reservation(
                mac=host.get('mac', '').lower(),
                name=host.get('name', ''),
                address=host.get('ip', ''),
            )
            for host in root.iterfind('ip/dhcp/host')
        ]

    def update(self, command: int, what: Reservation) -> None:
        """Change a reservation."""
        self.network.update(
            command,
            libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
            -1,
            what.xml(),
            self.update_flags,
        )


def network_configs(network: libvirt.virNetwork) -> list[NetworkConfig]:
    """Return the configurations of a network: one or two."""
    found = []
    if network.isActive():
        now = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        found.append(NetworkConfig(network, 0, now))
    if network.isPersistent():
        later = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
        found.append(
            NetworkConfig(network, libvirt.VIR_NETWORK_XML_INACTIVE, later)
        )
    return found


def ensure_reservations(
    connection: Connection, uuid: str, nics: Iterable[Nic]
) -> None:
    """Require the networks of a guest's nics; reserve their addresses.

    Raises GuestFailed with what is missing or in the way. The reservations
    that were made stay; ``remove_reservations`` removes them.
    """
    nics = list(nics)
    _require_bridges(connection, uuid, nics)
    conn = connection.get()
    for nic in nics:
        name = nic.get('libvirt_network')
        if name is not None:
            with translate_errors(uuid):
                network = _network(conn, uuid, name)
                for wanted in _required_reservations(network, uuid, nic):
                    for config in network_configs(network):
                        _reserve(config, uuid, wanted)


def remove_reservations(
    connection: Connection, uuid: str, mac: str | None = None
) -> None:
    """Remove all reservations of a guest, or those for one MAC."""
    with translate_errors(uuid):
        for config in _all_configs(connection):
            for found in config.reservations():
                if found.guest == uuid and mac in (None, found.mac):
                    _remove(config, uuid, found)


def guests_with_reservations(connection: Connection) -> set[str]:
    """Return the uuids of the guests with reservations on the host."""
    try:
        return {
            found.guest
            for config in _all_configs(connection)
            for found in config.reservations()
            if found.guest is not None
        }
    except libvirt.libvirtError as error:
        raise exception.GuestFailed(
            f'libvirt at {connection.uri}: the networks cannot be read: '
            f'{error}'
        ) from error


# -- bridges -----------------------------------------------------------------


def _require_bridges(
    connection: Connection, uuid: str, nics: Iterable[Nic]
) -> None:
    """Raise GuestFailed for a bridge that the host lacks.

    Works for a libvirt on this machine only; with another one the start of
    the guest fails.
    """
    uri = urllib.parse.urlsplit(connection.uri)
    if uri.scheme not in ('qemu', 'kvm') or uri.netloc or uri.query:
        return
    known = {name for _, name in socket.if_nameindex()}
    for nic in nics:
        bridge = nic.get('bridge')
        if bridge is not None and bridge not in known:
            raise _guest_failed(
                uuid,
                f'the host has no bridge {bridge}, which network '
                f'{nic["label"]} needs; create the bridge, or place the '
                'server on a host that has it',
            )


# -- networks of libvirt -----------------------------------------------------


def _networks(connection: Connection) -> list[libvirt.virNetwork]:
    try:
        return list(connection.get().listAllNetworks())
    except libvirt.libvirtError as error:
        # A libvirt without networks has no reservations.
        if has_error_code(error, libvirt.VIR_ERR_NO_SUPPORT):
            return []
        raise


def _all_configs(connection: Connection) -> Iterator[NetworkConfig]:
    for network in _networks(connection):
        yield from network_configs(network)


def _network(
    conn: libvirt.virConnect, uuid: str, name: str
) -> libvirt.virNetwork:
    """Return a network that is active."""
    try:
        network = conn.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if has_error_code(error, libvirt.VIR_ERR_NO_NETWORK):
            raise _guest_failed(
                uuid,
                f"the host's libvirt has no network {name}; define it there "
                '(virsh net-define), or place the server on a host that has '
                'it',
            ) from error
        raise
    if not network.isActive():
        raise _guest_failed(
            uuid,
            f"network {name} of the host's libvirt is not active; start it "
            f'(virsh net-start {name}; virsh net-autostart {name})',
        )
    return network


def _required_reservations(
    network: libvirt.virNetwork, uuid: str, nic: Nic
) -> Iterator[Reservation]:
    """Yield the reservations that a nic needs."""
    root = ElementTree.fromstring(network.XMLDesc())  # noqa: S314
    subnets = [
        (_subnet(element), element.find('dhcp') is not None)
        for element in root.findall('ip')
        if element.get('family', 'ipv4') == 'ipv4'
    ]
    for given in nic['addresses']:
        if given['version'] != 4:
            continue
        address = ipaddress.ip_address(given['address'])
        fitting = [dhcp for subnet, dhcp in subnets if address in subnet]
        if subnets and not fitting:
            has = ', '.join(str(subnet) for subnet, _ in subnets)
            raise _guest_failed(
                uuid,
                f"network {network.name()} of the host's libvirt has {has}, "
                f'and {address} of network {nic["label"]} is outside of it; '
                'configure the same CIDR for both',
            )
        if any(fitting):
            mac = nic['mac'].lower()
            name = f'minova-{uuid}-{mac.replace(":", "")[6:]}'
            yield Reservation(mac, name, str(address))


def _subnet(element: ElementTree.Element) -> ipaddress.IPv4Network:
    mask = element.get('netmask') or element.get('prefix') or '32'
    text = f'{element.get("address")}/{mask}'
    return ipaddress.IPv4Network(text, strict=False)


# -- reservations ------------------------------------------------------------


def _reserve(config: NetworkConfig, uuid: str, wanted: Reservation) -> None:
    """Make a reservation; replace an outdated one of ours."""
    present = config.reservations()
    if wanted in present:
        return
    for found in present:
        if not found.collides(wanted):
            continue
        if found.guest is None:
            raise _guest_failed(
                uuid,
                f"network {config.network.name()} of the host's libvirt "
                f'reserves {found.address or found.name} for '
                f'{found.mac or "another"}, which collides with '
                f'{wanted.address} for {wanted.mac}; remove the reservation '
                '(virsh net-update), or assign other addresses',
            )
        # The database assigns an address to one guest at a time: the other
        # guest is gone and its reservation is left over.
        _remove(config, uuid, found)
    config.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, wanted)


def _remove(config: NetworkConfig, uuid: str, found: Reservation) -> None:
    try:
        config.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, found)
    except libvirt.libvirtError as error:
        # The reservation may have been removed meanwhile.
        if found in config.reservations():
            raise guest_failed(uuid, error) from error


def _guest_failed(uuid: str, reason: str) -> exception.GuestFailed:
    return exception.GuestFailed(instance_id=uuid, reason=f'{reason}.')
