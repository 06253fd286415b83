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
from minova.network import port_quota

_LINE = '{:<36}  {:<20}  {:<18}  {:<24}  {:>11}  {}'.format
_PORT = '{:<39}  {:<17}  {:<36}  {}'.format
_ATTACHMENTS = {
    networks.BRIDGE: 'bridge {}',
    networks.LIBVIRT: 'libvirt network {}',
    networks.USER: 'QEMU user network',
}


def create(arguments: argparse.Namespace) -> int:
    """Create a network."""
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
        port_security=arguments.port_security,
    )
    definition.create(open_database(), network)
    print(f'Network {network.name} is created: {network.id}')
    return 0


def show_list(arguments: argparse.Namespace) -> int:
    """List the networks, with their used addresses."""
    rows, used = open_database().read(
        lambda connection: (
            networks.list_all(connection),
            ports.count_by_network(connection),
        )
    )
    print(_LINE('ID', 'NAME', 'CIDR', 'ATTACHMENT', 'IN USE', 'PROJECT'))
    for network in rows:
        print(
            _LINE(
                network.id,
                network.name,
                network.cidr,
                _describe_attachment(network),
                f'{used.get(network.id, 0)}/{port_quota.pool_size(network)}',
                network.project_id or 'all',
            )
        )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print a network and its used addresses with their instances."""

    def read(connection: Connection) -> tuple[Network, list[ports.Port]]:
        found = definition.find(connection, arguments.network)
        return found, ports.list_all(connection, found.id)

    network, used = open_database().read(read)
    for name, value in (
        ('id', network.id),
        ('name', network.name),
        ('project', network.project_id or 'all'),
        ('attached', _describe_attachment(network)),
        ('cidr', network.cidr),
        ('gateway', network.gateway or 'none'),
        ('dns', ' '.join(network.dns) or 'none'),
        ('mtu', network.mtu or 'of the host'),
        ('filter', 'yes' if network.port_security_enabled else 'no'),
        ('pool', f'{network.pool_first}-{network.pool_last}'),
        ('in use', f'{len(used)} of {port_quota.pool_size(network)}'),
        ('created', f'{network.created_at:%Y-%m-%d %H:%M:%S} UTC'),
    ):
        print(f'{name:<8} {value}')
    if used:
        print()
        print(_PORT('ADDRESS', 'MAC', 'INSTANCE', 'SINCE (UTC)'))
    for port in sorted(used, key=lambda p: ipaddress.ip_address(p.address)):
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
    network = definition.delete(open_database(), arguments.network)
    print(f'Network {network.name} is deleted: {network.id}')
    return 0


def _describe_attachment(network: Network) -> str:
    return _ATTACHMENTS[network.kind].format(network.device)


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('network', 'networks of servers')
    parser = group.add_command('create', create)
    parser.add_argument('name', help='its unique name, which users see')
    attachment = parser.add_mutually_exclusive_group(required=True)
    attachment.add_argument(
        '--bridge', metavar='NAME', help='a bridge that exists on every host'
    )
    attachment.add_argument(
        '--libvirt-network',
        metavar='NAME',
        help='a libvirt network that exists on every host',
    )
    attachment.add_argument(
        '--user',
        action='store_true',
        help="QEMU's user network, separate for each guest; for trials",
    )
    parser.add_argument(
        '--cidr',
        help=f'its addresses; with --user {definition.USER_CIDR} by default',
    )
    parser.add_argument(
        '--gateway',
        metavar='ADDRESS',
        help='the default gateway, or "none"; by default the first address '
        'of the CIDR',
    )
    parser.add_argument(
        '--dns',
        action='append',
        default=[],
        metavar='ADDRESS',
        help='a DNS server; repeatable',
    )
    parser.add_argument(
        '--mtu', help='its MTU in bytes; by default that of the host'
    )
    parser.add_argument(
        '--pool',
        metavar='FIRST-LAST',
        help='the addresses to allocate; by default all but the gateway',
    )
    parser.add_argument(
        '--project',
        metavar='ID',
        help='the only project that may use it; by default every project',
    )
    parser.add_argument(
        '--no-port-security',
        dest='port_security',
        action='store_false',
        help='let guests send with any address, as routers do; by default '
        'hosts filter what guests send',
    )
    group.add_command('list', show_list)
    for name, run in (('show', show), ('delete', delete)):
        command = group.add_command(name, run)
        command.add_argument('network', help='its id or name')
