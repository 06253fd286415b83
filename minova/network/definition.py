# SPDX-License-Identifier: Apache-2.0
"""Networks: validation, creation, deletion, and creation from options.

Operators create networks with ``minova-manage network`` or the option
``[network] network``. An error text names the invalid setting.
"""

from collections.abc import Sequence
import ipaddress
import re
from typing import Final

from oslo_db import exception as db_exception
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.networks import Address
from minova.db.queries.networks import Cidr
from minova.db.queries.networks import Network
from minova.network.embedded import is_host

LOG = logging.getLogger(__name__)

#: The default CIDR of QEMU's user network, and its host numbers for the
#: gateway, the DNS server and the first DHCP address:
#: https://wiki.qemu.org/Documentation/Networking.
USER_CIDR: Final = '10.0.2.0/24'
_USER_GATEWAY: Final = 2
_USER_DNS: Final = 3
_USER_POOL_FIRST: Final = 15

#: The minimum MTU of IPv4 and IPv6, and the maximum of a device.
_MIN_MTU: Final = {4: 68, 6: 1280}
_MAX_MTU: Final = 65535

#: A name of a network device in Linux, at most 15 characters long.
_DEVICE_PATTERN: Final = re.compile(r'[^\s/:]{1,15}')
_NAME_PATTERN: Final = re.compile(
    r'[^\x00-\x1f\x7f\s](?:[^\x00-\x1f\x7f]*\S)?'
)

#: The value for a network without a gateway.
NO_GATEWAY: Final = 'none'
#: The number of servers that an error text names.
_MAX_SERVERS_NAMED: Final = 5


def define(
    name: str,
    *,
    cidr: str | None = None,
    bridge: str | None = None,
    libvirt_network: str | None = None,
    user: bool = False,
    gateway: str | None = None,
    dns: Sequence[str] = (),
    mtu: str | None = None,
    pool: str | None = None,
    project: str | None = None,
    port_security: bool = True,
) -> Network:
    """Return the network with these settings, or raise InvalidInput.

    The gateway defaults to the first address of the CIDR; ``none`` means no
    gateway. The pool, FIRST-LAST, defaults to all other addresses. Without
    ``port_security`` no host filters what guests send.
    """
    if not _NAME_PATTERN.fullmatch(name) or len(name) > 255:
        raise _invalid_input(
            f'{name!r} is not a valid name: use 1 to 255 printable characters'
        )
    kind, device = _parse_plug(bridge, libvirt_network, user)
    if cidr is None and kind == networks.USER:
        cidr = USER_CIDR
    subnet = _parse_subnet(cidr)
    if subnet.version == 6 and kind != networks.BRIDGE:
        raise _invalid_input(
            f'{subnet}: only a network over a bridge supports IPv6'
        )
    gateway_address = _parse_gateway(subnet, gateway, kind)
    servers = [str(_parse_address(one, 'a DNS server')) for one in dns]
    if kind == networks.USER and not servers:
        servers = [str(subnet[_USER_DNS])]
    first, last = _parse_pool(subnet, pool, gateway_address, kind)
    return Network(
        id=clock.uuid4(),
        name=name,
        project_id=project or None,
        kind=kind,
        device=device,
        cidr=str(subnet),
        gateway=gateway_address,
        dns=servers,
        mtu=_parse_mtu(mtu, subnet, kind),
        # A user network is the guest's own.
        port_security_enabled=port_security and kind != networks.USER,
        pool_first=first,
        pool_last=last,
        created_at=clock.now(),
    )


def _invalid_input(reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(f'{reason}.')


def _parse_plug(
    bridge: str | None, libvirt_network: str | None, user: bool
) -> tuple[str, str]:
    given = [
        (kind, device)
        for kind, device in (
            (networks.BRIDGE, bridge),
            (networks.LIBVIRT, libvirt_network),
            (networks.USER, '' if user else None),
        )
        if device is not None
    ]
    if len(given) != 1:
        raise _invalid_input(
            'set exactly one of bridge (a bridge of the hosts), '
            'libvirt_network (a network of their libvirt) and user (a user '
            'network of QEMU)'
        )
    kind, device = given[0]
    if kind == networks.BRIDGE and not _DEVICE_PATTERN.fullmatch(device):
        raise _invalid_input(
            f'{device!r} is not a valid bridge: use 1 to 15 characters '
            'without blanks, "/" and ":"'
        )
    if kind == networks.LIBVIRT and not (_NAME_PATTERN.fullmatch(device)):
        raise _invalid_input(
            f'{device!r} is not a valid name of a libvirt network'
        )
    return kind, device


def _parse_subnet(cidr: str | None) -> Cidr:
    try:
        found = ipaddress.ip_network(cidr or '')
    except ValueError as error:
        raise _invalid_input(
            f'{cidr or ""!r} is not a CIDR such as 192.168.1.0/24 ({error})'
        ) from error
    if found.num_addresses < 4:
        raise _invalid_input(f'{found} is too small for a gateway and guests')
    if found.is_multicast or found.is_loopback or found.is_unspecified:
        raise _invalid_input(f'{found} cannot be used on a network')
    return found


def _parse_address(text: str, role: str) -> Address:
    try:
        found = ipaddress.ip_address(text.strip())
        if found.version == 6 and found.scope_id is not None:
            raise ValueError('it has a scope id')
    except ValueError as error:
        raise _invalid_input(
            f'{text!r} is not a valid address of {role}: {error}'
        ) from error
    return found


def _parse_host_address(subnet: Cidr, text: str, role: str) -> Address:
    found = _parse_address(text, role)
    if found not in subnet or not is_host(subnet, found):
        raise _invalid_input(
            f'{found} cannot be {role}: it is not a host address of {subnet}'
        )
    return found


def _parse_gateway(subnet: Cidr, gateway: str | None, kind: str) -> str | None:
    if kind == networks.USER:
        own = str(subnet[_USER_GATEWAY])
        if gateway not in (None, own):
            raise _invalid_input(
                f'the gateway of this user network is always {own}'
            )
        return own
    if gateway == NO_GATEWAY:
        return None
    if gateway is None:
        return str(subnet[1])
    return str(_parse_host_address(subnet, gateway, 'the gateway'))


def _parse_pool(
    subnet: Cidr, pool: str | None, gateway: str | None, kind: str
) -> tuple[str, str]:
    if pool is not None:
        ends = pool.split('-')
        if len(ends) != 2:
            raise _invalid_input(
                f'{pool!r} is not a pool such as 10.0.0.10-10.0.0.99'
            )
        first, last = (
            _parse_host_address(subnet, end, 'in the pool') for end in ends
        )
    else:
        first = subnet[_USER_POOL_FIRST if kind == networks.USER else 1]
        # The last address of an IPv4 network is its broadcast address.
        last = subnet[-2 if subnet.version == 4 else -1]
    if int(first) > int(last):
        raise _invalid_input(f'the pool {first}-{last} ends before it begins')
    if str(first) == str(last) == gateway:
        raise _invalid_input(f'the pool contains the gateway, {gateway}, only')
    return str(first), str(last)


def _parse_mtu(mtu: str | None, subnet: Cidr, kind: str) -> int | None:
    if mtu is None:
        return None
    if kind == networks.USER:
        raise _invalid_input('the MTU of a user network cannot be set')
    minimum = _MIN_MTU[subnet.version]
    is_number = mtu.isascii() and mtu.isdecimal() and len(mtu) < 6
    if is_number and minimum <= int(mtu) <= _MAX_MTU:
        return int(mtu)
    raise _invalid_input(f'{mtu!r} is not an MTU from {minimum} to {_MAX_MTU}')


# -- create and delete --------------------------------------------------------


def create(database: Database, network: Network) -> None:
    """Insert a network; Conflict if its name or its addresses are in use."""

    def work(connection: Connection) -> None:
        for other in networks.list_all(connection):
            if other.name == network.name:
                raise _name_conflict(network)
            _require_no_overlap(network, other)
        networks.insert(connection, network)

    try:
        database.write(work)
    except db_exception.DBDuplicateEntry as error:
        # Another transaction inserted the name after the check.
        raise _name_conflict(network) from error


def _name_conflict(network: Network) -> exception.Conflict:
    return exception.Conflict(
        f'Network {network.name} exists; use another name.'
    )


def _require_no_overlap(network: Network, other: Network) -> None:
    if networks.USER in (network.kind, other.kind):
        # User networks are private to a guest, so their addresses may overlap.
        return
    if network.subnet.overlaps(other.subnet):
        raise exception.Conflict(
            f'{network.cidr} overlaps {other.cidr}, which is network '
            f'{other.name} ({other.id}); choose another CIDR.'
        )


def delete(database: Database, name_or_id: str) -> Network:
    """Delete the network of that id or name; Conflict if it is in use."""

    def work(connection: Connection) -> Network:
        found = find(connection, name_or_id, lock=True)
        count, some = ports.list_instances(
            connection, found.id, _MAX_SERVERS_NAMED
        )
        if count:
            users = [f'{name or "unknown"} ({uuid})' for uuid, name in some]
            if count > len(users):
                users.append(f'{count - len(users)} more')
            raise exception.Conflict(
                f'Network {found.name} is in use by: {", ".join(users)}. '
                'Delete these servers first.'
            )
        networks.delete(connection, found.id)
        return found

    return database.write(work)


def find(
    connection: Connection, name_or_id: str, lock: bool = False
) -> Network:
    """Return the network of that id or name; raise NetworkNotFound."""
    found = networks.find(connection, name_or_id, lock)
    if found is None:
        raise exception.NetworkNotFound(network_id=name_or_id)
    return found


# -- configured networks ------------------------------------------------------

_KEYS: Final = (
    'name cidr bridge libvirt_network user gateway dns mtu pool project '
    'no_port_security'
)


def parse_option(line: str) -> Network:
    """Return the network that a value of ``[network] network`` defines.

    Raises ConfigInvalid for an invalid value.
    """
    try:
        return _parse_option(line)
    except exception.InvalidInput as error:
        raise exception.ConfigInvalid(
            reason=f'[network] network = {line}: {error}'
        ) from error


def _parse_option(line: str) -> Network:
    given: dict[str, str] = {}
    for part in line.split(','):
        key, _, value = (text.strip() for text in part.partition('='))
        if key not in _KEYS.split() or key in given:
            known = ', '.join(_KEYS.split())
            raise _invalid_input(
                f'{key!r} is not one of {known}, or is repeated'
            )
        given[key] = value
    user, unfiltered = (
        _pop_flag(given, key) for key in ('user', 'no_port_security')
    )
    dns = given.pop('dns', '').split()
    name = given.pop('name', '')
    empty = [key for key, value in given.items() if not value]
    if empty:
        raise _invalid_input(f'{", ".join(empty)} has no value')
    return define(
        name, dns=dns, user=user, port_security=not unfiltered, **given
    )


def _pop_flag(given: dict[str, str], key: str) -> bool:
    value = given.pop(key, None)
    if value not in (None, '', 'yes', 'true'):
        raise _invalid_input(
            f'{key} = {value} is invalid; write "{key}" without a value'
        )
    return value is not None


def create_configured(database: Database) -> None:
    """Create the networks of ``[network] network`` that do not exist.

    Existing networks are not changed. Raises ConfigInvalid for an invalid
    value of the option.
    """
    for network in [parse_option(line) for line in CONF.network.network]:
        found = _find_by_name(database, network.name) or _create_or_find(
            database, network
        )
        if _comparable_fields(found) != _comparable_fields(network):
            LOG.warning(
                'Network %s in the database differs from [network] network; '
                'not changed',
                network.name,
            )


def _create_or_find(database: Database, network: Network) -> Network:
    try:
        create(database, network)
    except exception.Conflict as error:
        # Another conductor may have created the same network.
        found = _find_by_name(database, network.name)
        if found is None:
            raise exception.ConfigInvalid(
                reason=f'[network] network, {network.name}: {error}'
            ) from error
        return found
    LOG.info('Network %s created from [network] network', network.name)
    return network


def _find_by_name(database: Database, name: str) -> Network | None:
    return database.read(lambda connection: networks.find(connection, name))


def _comparable_fields(network: Network) -> dict[str, object]:
    ignored = {'id', 'created_at'}
    return {k: v for k, v in vars(network).items() if k not in ignored}
