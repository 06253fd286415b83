# SPDX-License-Identifier: Apache-2.0
"""minova-manage host: compute hosts and their keys."""

import argparse
import math
import sys

from minova import exception
from minova.cmd.argument_types import bounded_int
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.queries import hosts
from minova.db.queries import message_keys
from minova.db.queries import operations
from minova.db.queries.message_keys import HostKey
from minova.engine import host_enrollment
from minova.engine import service_liveness
from minova.rpc import signing

#: Hours for which a token is valid, by default and at most.
_DEFAULT_HOURS = 24
_MAX_HOURS = 24 * 365

_LINE = '{:<24} {:<6} {:<9} {:>15} {:>19} {:>15} {}'.format


def show_list(arguments: argparse.Namespace) -> int:
    """List the hosts with their state, key and allocated resources."""
    database = open_database()
    # Hosts first, so that the service of each is among the services read next.
    rows, services, keys = database.read(
        lambda connection: (
            hosts.list_hosts(connection),
            hosts.list_services(connection, operations.COMPUTE_BINARY),
            message_keys.list_host_keys(connection),
        )
    )
    by_host = {found.host: found for found in services}
    key_by_host = {found.host: found for found in keys}
    print(
        _LINE(
            'HOST',
            'STATE',
            'STATUS',
            'VCPUS',
            'MEMORY MiB',
            'DISK GiB',
            'KEY',
        )
    )
    for row in rows:
        found = by_host.get(row.host)
        up = found and service_liveness.is_up(found)
        enabled = found and service_liveness.is_enabled(found)
        memory_mb = row.memory_mb - row.reserved_memory_mb
        disk_gb = row.disk_gb - row.reserved_disk_gb
        print(
            _LINE(
                row.host,
                'up' if up else 'down',
                'enabled' if enabled else 'disabled',
                _format_usage(
                    row.vcpus_used, row.vcpus * row.cpu_allocation_ratio
                ),
                _format_usage(
                    row.memory_mb_used, memory_mb * row.ram_allocation_ratio
                ),
                _format_usage(
                    row.disk_gb_used, disk_gb * row.disk_allocation_ratio
                ),
                _key_state(key_by_host.pop(row.host, None)),
            )
        )
    # Hosts that have not registered, or whose service was deleted.
    for host, key in key_by_host.items():
        print(_LINE(host, '-', '-', '-', '-', '-', _key_state(key)))
    return 0


def _key_state(found: HostKey | None) -> str:
    """Return whether the messages of a host are accepted, in one word."""
    if found is None:
        return 'none'
    if found.revoked_at is not None:
        return 'revoked'
    return 'enrolled' if found.public_key is not None else 'awaited'


def _format_usage(used: int, capacity: float) -> str:
    """Return the allocated amount and the most that can be allocated."""
    return f'{used}/{math.floor(capacity)}'


def enroll(arguments: argparse.Namespace) -> int:
    """Let a host have a key: print a token for it, or take its public key."""
    host, replace = arguments.host, arguments.replace
    database = open_database()
    if arguments.key is not None:
        public_key = _read_key(arguments.key)
        database.write(
            lambda connection: host_enrollment.enroll_key(
                connection, host, public_key, replace
            )
        )
        print(f'Host {host} has the key {signing.fingerprint(public_key)}.')
        return 0
    token = database.write(
        lambda connection: host_enrollment.issue_token(
            connection, host, arguments.valid_for * 3600, replace
        )
    )
    # The token alone on stdout, so that it can be sent to a file.
    print(token)
    print(
        f'Write this token to the file enrollment-token in the state '
        f'directory of host {host}, for its account only. Its compute '
        f'service uses the token within {arguments.valid_for} h, once.',
        file=sys.stderr,
    )
    return 0


def _read_key(path: str) -> str:
    try:
        with open(path, encoding='ascii') as file:
            return signing.check_public_key(file.read(1000))
    except (OSError, ValueError) as error:
        raise exception.ConfigInvalid(
            reason=f'--key {path}: no public key of a host: {error}'
        ) from error


def revoke(arguments: argparse.Namespace) -> int:
    """Refuse every message of a host from now on."""
    host = arguments.host
    open_database().write(
        lambda connection: host_enrollment.revoke(connection, host)
    )
    print(
        f'The key of host {host} is revoked. The host counts as down after '
        '[conductor] service_down_time and gets no new servers; its guests '
        f'continue to run. To accept it again: minova-manage host enroll '
        f'{host}'
    )
    return 0


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('host', 'compute hosts and their keys')
    group.add_command('list', show_list)
    parser = group.add_command('enroll', enroll)
    parser.add_argument('host', metavar='HOST', help='the name of the host')
    parser.add_argument(
        '--key',
        metavar='FILE',
        help='the public key of the host, compute-HOST.pub of its state '
        'directory; without it a token is printed, with which the host may '
        'show a key once',
    )
    parser.add_argument(
        '--replace',
        action='store_true',
        help='end the key that the host has, as after a new installation',
    )
    parser.add_argument(
        '--valid-for',
        type=bounded_int(1, _MAX_HOURS),
        default=_DEFAULT_HOURS,
        metavar='HOURS',
        help='the hours for which the token is valid (%(default)s)',
    )
    parser = group.add_command('revoke', revoke)
    parser.add_argument('host', metavar='HOST', help='the name of the host')
