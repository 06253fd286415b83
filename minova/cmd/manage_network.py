# SPDX-License-Identifier: Apache-2.0
"""minova-manage network: the networks that servers are attached to."""

import argparse
import ipaddress

from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.connections.engine import Connection
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.networks import Network
from minova.network import definition

_LINE = '{:<36}  {:<20}  {:<18}  {:<24}  {:>11}  {}'.format
_PORT = '{:<39}  {:<17}  {:<36}  {}'.format
_ATTACHMENTS = {
    networks.BRIDGE: 'bridge {}',
    networks.LIBVIRT: 'libvirt network {}',
    networks.USER: 'user network of QEMU',
}


def create(arguments: argparse.Namespace) -> int:
    """Make a network."""
    network = definition.define(
        arguments.name,
        cidr=arguments.cidr,
        bridge=arguments.bridge,
        libvirt_network=arguments.libvirt_network,
        user=arguments.user,
        gateway=arguments.gateway,
        dns=arguments.dns,
        mtu=arguments.mtu,
        pool=arguments.pool,
        project=arguments.project,
    )
    definition.create(open_database(), network)
    print(f'Network {network.name} is made: {network.id}')
    return 0


def show_list(arguments: argparse.Namespace) -> int:
    """Print the networks, and how many addresses of each are in use."""
    rows, used = open_database().read(
        lambda connection: (
            networks.list_all(connection),
            ports.count_by_network(connection),
        )
    )
    print(_LINE('ID', 'NAME', 'CIDR', 'BY', 'IN USE', 'PROJECT'))
    for network in rows:
        print(
            _LINE(
                network.id,
                network.name,
                network.cidr,
                _describe_attachment(network),
                f'{used.get(network.id, 0)}/{_pool_size(network)}',
                network.project_id or 'all',
            )
        )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print a network and who has which of its addresses."""

    def read(connection: Connection) -> tuple[Network, list[ports.Port]]:
        found = definition.find(connection, arguments.network)
        return found, ports.list_all(connection, found.id)

    network, held = open_database().read(read)
    for name, value in (
        ('id', network.id),
        ('name', network.name),
        ('project', network.project_id or 'all'),
        ('by', _describe_attachment(network)),
        ('cidr', network.cidr),
        ('gateway', network.gateway or 'none'),
        ('dns', ' '.join(network.dns) or 'none'),
        ('mtu', network.mtu or "the host's"),
        ('pool', f'{network.pool_first}-{network.pool_last}'),
        ('in use', f'{len(held)} of {_pool_size(network)}'),
        ('made', f'{network.created_at:%Y-%m-%d %H:%M:%S} UTC'),
    ):
        print(f'{name:<8} {value}')
    if held:
        print()
        print(_PORT('ADDRESS', 'MAC', 'INSTANCE', 'SINCE (UTC)'))
    for port in sorted(held, key=lambda p: ipaddress.ip_address(p.address)):
        print(
            _PORT(
                port.address,
                port.mac,
                port.instance_uuid,
                f'{port.created_at:%Y-%m-%d %H:%M:%S}',
            )
        )
    return 0


def delete(arguments: argparse.Namespace) -> int:
    """Delete a network that no server uses."""
    gone = definition.delete(open_database(), arguments.network)
    print(f'Network {gone.name} is deleted: {gone.id}')
    return 0


def _describe_attachment(network: Network) -> str:
    return _ATTACHMENTS[network.kind].format(network.device)


def _pool_size(network: Network) -> int:
    """Return how many addresses the pool has to give out."""
    first, last = (
        ipaddress.ip_address(end)
        for end in (network.pool_first, network.pool_last)
    )
    size = int(last) - int(first) + 1
    gateway = network.gateway and ipaddress.ip_address(network.gateway)
    return size - bool(gateway and int(first) <= int(gateway) <= int(last))


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('network', 'networks of servers')
    parser = group.add_command('create', create)
    parser.add_argument('name', help='what users see; no other one has it')
    plug = parser.add_mutually_exclusive_group(required=True)
    plug.add_argument(
        '--bridge', metavar='NAME', help='a bridge that every host has'
    )
    plug.add_argument(
        '--libvirt-network',
        metavar='NAME',
        help="a network that every host's libvirt has",
    )
    plug.add_argument(
        '--user',
        action='store_true',
        help="QEMU's user network: for trials, each guest is alone on it",
    )
    parser.add_argument(
        '--cidr',
        help=f'its addresses; with --user {definition.USER_CIDR} by default',
    )
    parser.add_argument(
        '--gateway',
        metavar='ADDRESS',
        help='the way out, or "none"; by default the first of the CIDR',
    )
    parser.add_argument(
        '--dns',
        action='append',
        default=[],
        metavar='ADDRESS',
        help='a DNS server; may be given again',
    )
    parser.add_argument('--mtu', help="the links' MTU; by default the host's")
    parser.add_argument(
        '--pool',
        metavar='FIRST-LAST',
        help='what is given out; by default all but the gateway',
    )
    parser.add_argument(
        '--project',
        metavar='ID',
        help='the only one that may use it; by default all',
    )
    group.add_command('list', show_list)
    for name, run in (('show', show), ('delete', delete)):
        command = group.add_command(name, run)
        command.add_argument('network', help='its id or name')
