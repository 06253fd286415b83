# SPDX-License-Identifier: Apache-2.0
"""What a network may be, and how it comes into being and goes.

Operators make networks, with ``minova-manage network`` or by naming them in
``[network] network``. What is wrong with one is said before it is made, in
words for them.
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
from minova.db import networks
from minova.db import ports
from minova.db.engine import Connection
from minova.db.engine import Database
from minova.db.networks import Address
from minova.db.networks import Cidr
from minova.db.networks import Network
from minova.network.embedded import is_host

LOG = logging.getLogger(__name__)

#: What QEMU's own network is when nothing else is said, and which of its
#: addresses are its own: https://wiki.qemu.org/Documentation/Networking.
USER_CIDR: Final = '10.0.2.0/24'
_USER_GATEWAY: Final = 2
_USER_DNS: Final = 3
_USER_FIRST: Final = 15

#: The least that IPv4 and IPv6 ask of a link, and what an MTU can be at most.
_LEAST_MTU: Final = {4: 68, 6: 1280}
_MOST_MTU: Final = 65535

#: A kernel takes no longer name of a device.
_DEVICE: Final = re.compile(r'[^\s/:]{1,15}')
_NAME: Final = re.compile(r'[^\x00-\x1f\x7f\s](?:[^\x00-\x1f\x7f]*\S)?')

#: How a network is said to have no gateway.
NO_GATEWAY: Final = 'none'
#: How many of the servers that use a network are named.
_MOST_NAMED: Final = 5


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
) -> Network:
    """Return the network that these words describe; InvalidInput if none.

    The gateway is the first address of the CIDR unless another one is named,
    or ``none``. The pool, written FIRST-LAST, is all the rest.
    """
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise _wrong(f'{name!r} is no name: 1 to 255 printable characters')
    kind, device = _plug(bridge, libvirt_network, user)
    if cidr is None and kind == networks.USER:
        cidr = USER_CIDR
    subnet = _subnet(cidr)
    if subnet.version == 6 and kind != networks.BRIDGE:
        raise _wrong(f'{subnet}: only a network over a bridge may be IPv6')
    way_out = _gateway(subnet, gateway, kind)
    servers = [str(_address(one, 'a DNS server')) for one in dns]
    if kind == networks.USER and not servers:
        servers = [str(subnet[_USER_DNS])]
    first, last = _pool(subnet, pool, way_out, kind)
    return Network(
        id=clock.uuid4(),
        name=name,
        project_id=project or None,
        kind=kind,
        device=device,
        cidr=str(subnet),
        gateway=way_out,
        dns=servers,
        mtu=_mtu(mtu, subnet, kind),
        pool_first=first,
        pool_last=last,
        created_at=clock.now(),
    )


def _wrong(reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(f'{reason}.')


def _plug(
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
        raise _wrong(
            'say how guests are plugged in, in one way: into a bridge of the '
            'hosts, a network of libvirt there, or a user network of QEMU'
        )
    kind, device = given[0]
    if kind == networks.BRIDGE and not _DEVICE.fullmatch(device):
        raise _wrong(
            f'{device!r} is no bridge: 1 to 15 characters without blanks, '
            '"/" and ":"'
        )
    if kind == networks.LIBVIRT and not (_NAME.fullmatch(device)):
        raise _wrong(f'{device!r} is no name of a libvirt network')
    return kind, device


def _subnet(cidr: str | None) -> Cidr:
    try:
        found = ipaddress.ip_network(cidr or '')
    except ValueError as error:
        raise _wrong(
            f'{cidr or ""!r} is no CIDR such as 192.168.1.0/24 ({error})'
        ) from error
    if found.num_addresses < 4:
        raise _wrong(f'{found} is too small for a gateway and guests')
    if found.is_multicast or found.is_loopback or found.is_unspecified:
        raise _wrong(f'{found} cannot be used on a network')
    return found


def _address(text: str, what: str) -> Address:
    try:
        found = ipaddress.ip_address(text.strip())
        if found.version == 6 and found.scope_id is not None:
            raise ValueError('it has a zone')
    except ValueError as error:
        raise _wrong(f'{text!r} is no address of {what}: {error}') from error
    return found


def _within(subnet: Cidr, text: str, what: str) -> Address:
    found = _address(text, what)
    if found not in subnet or not is_host(subnet, found):
        raise _wrong(f'{found} cannot be {what}: no host in {subnet} has it')
    return found


def _gateway(subnet: Cidr, gateway: str | None, kind: str) -> str | None:
    if kind == networks.USER:
        own = str(subnet[_USER_GATEWAY])
        if gateway not in (None, own):
            raise _wrong(f'the gateway of this user network is always {own}')
        return own
    if gateway == NO_GATEWAY:
        return None
    if gateway is None:
        return str(subnet[1])
    return str(_within(subnet, gateway, 'the gateway'))


def _pool(
    subnet: Cidr, pool: str | None, gateway: str | None, kind: str
) -> tuple[str, str]:
    if pool is not None:
        ends = pool.split('-')
        if len(ends) != 2:
            raise _wrong(f'{pool!r} is no pool such as 10.0.0.10-10.0.0.99')
        first, last = (_within(subnet, end, 'in the pool') for end in ends)
    else:
        first = subnet[_USER_FIRST if kind == networks.USER else 1]
        # The last of IPv4 means everybody.
        last = subnet[-2 if subnet.version == 4 else -1]
    if int(first) > int(last):
        raise _wrong(f'the pool {first}-{last} ends before it begins')
    if str(first) == str(last) == gateway:
        raise _wrong(f'the pool has only the gateway, {gateway}')
    return str(first), str(last)


def _mtu(mtu: str | None, subnet: Cidr, kind: str) -> int | None:
    if mtu is None:
        return None
    if kind == networks.USER:
        raise _wrong('the MTU of a user network cannot be chosen')
    least = _LEAST_MTU[subnet.version]
    is_one = mtu.isascii() and mtu.isdecimal() and len(mtu) < 6
    if is_one and least <= int(mtu) <= _MOST_MTU:
        return int(mtu)
    raise _wrong(f'{mtu!r} is no MTU from {least} to {_MOST_MTU}')


# -- coming and going --------------------------------------------------------


def create(database: Database, network: Network) -> None:
    """Write a new network; Conflict when it cannot be beside the others."""

    def work(connection: Connection) -> None:
        for other in networks.all_of(connection):
            if other.name == network.name:
                raise _name_is_taken(network)
            _require_apart(network, other)
        networks.insert(connection, network)

    try:
        database.write(work)
    except db_exception.DBDuplicateEntry as error:
        # Another one made it a moment ago.
        raise _name_is_taken(network) from error


def _name_is_taken(network: Network) -> exception.Conflict:
    return exception.Conflict(
        f'There is a network {network.name} already; give another name.'
    )


def _require_apart(network: Network, other: Network) -> None:
    if networks.USER in (network.kind, other.kind):
        # What a guest has for itself alone meets nobody's addresses.
        return
    if network.subnet.overlaps(other.subnet):
        raise exception.Conflict(
            f'{network.cidr} overlaps {other.cidr}, which is network '
            f'{other.name} ({other.id}); choose another CIDR.'
        )


def delete(database: Database, named: str) -> Network:
    """Remove the network of that id or name; Conflict when it is used."""

    def work(connection: Connection) -> Network:
        found = find(connection, named, lock=True)
        count, some = ports.users(connection, found.id, _MOST_NAMED)
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


def find(connection: Connection, named: str, lock: bool = False) -> Network:
    """Return the network of that id or name; NetworkNotFound without one."""
    found = networks.find(connection, named, lock)
    if found is None:
        raise exception.NetworkNotFound(network_id=named)
    return found


# -- those that the configuration names --------------------------------------

_WORDS: Final = (
    'name cidr bridge libvirt_network user gateway dns mtu pool project'
)


def of_words(line: str) -> Network:
    """Return the network that a line of the configuration describes.

    Raises ConfigInvalid.
    """
    try:
        return _of_words(line)
    except exception.InvalidInput as error:
        raise exception.ConfigInvalid(
            reason=f'[network] network = {line}: {error}'
        ) from error


def _of_words(line: str) -> Network:
    given: dict[str, str] = {}
    for part in line.split(','):
        word, _, value = (text.strip() for text in part.partition('='))
        if word not in _WORDS.split() or word in given:
            known = ', '.join(_WORDS.split())
            raise _wrong(f'{word!r} is none of {known}, or is there twice')
        given[word] = value
    user = given.pop('user', None)
    if user not in (None, '', 'yes', 'true'):
        raise _wrong(f'user = {user} means nothing; say only "user"')
    dns = given.pop('dns', '').split()
    name = given.pop('name', '')
    empty = [word for word, value in given.items() if not value]
    if empty:
        raise _wrong(f'{", ".join(empty)} has no value')
    return define(name, dns=dns, user=user is not None, **given)


def make_configured(database: Database) -> None:
    """Make the networks that the configuration names and that are missing.

    One that is there stays as it is. Raises ConfigInvalid for one that cannot
    be made.
    """
    for wanted in [of_words(line) for line in CONF.network.network]:
        found = _named(database, wanted.name) or _made(database, wanted)
        if _content(found) != _content(wanted):
            LOG.warning(
                'Network %s is in the database and differs from what '
                '[network] network says of it; it stays as it is.',
                wanted.name,
            )


def _made(database: Database, wanted: Network) -> Network:
    try:
        create(database, wanted)
    except exception.Conflict as error:
        # Perhaps another conductor has just made the very same.
        found = _named(database, wanted.name)
        if found is None:
            raise exception.ConfigInvalid(
                reason=f'[network] network, {wanted.name}: {error}'
            ) from error
        return found
    LOG.info('Network %s is made, as configured.', wanted.name)
    return wanted


def _named(database: Database, name: str) -> Network | None:
    return database.read(lambda connection: networks.find(connection, name))


def _content(network: Network) -> dict[str, object]:
    own = {'id', 'created_at'}
    return {k: v for k, v in vars(network).items() if k not in own}
