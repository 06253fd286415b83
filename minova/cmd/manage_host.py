# SPDX-License-Identifier: Apache-2.0
"""minova-manage host: compute hosts."""

import argparse
import math

from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import service_liveness


def show_list(arguments: argparse.Namespace) -> int:
    """List the hosts with their state and allocated resources."""
    database = open_database()
    # Hosts first, so that the service of each is among the services read next.
    rows, services = database.read(
        lambda connection: (
            hosts.list_hosts(connection),
            hosts.list_services(connection, operations.COMPUTE_BINARY),
        )
    )
    by_host = {found.host: found for found in services}
    line = '{:<24} {:<6} {:<9} {:>15} {:>19} {:>15}'.format
    print(line('HOST', 'STATE', 'STATUS', 'VCPUS', 'MEMORY MiB', 'DISK GiB'))
    for row in rows:
        found = by_host.get(row.host)
        up = found and service_liveness.is_up(found)
        enabled = found and service_liveness.is_enabled(found)
        memory_mb = row.memory_mb - row.reserved_memory_mb
        disk_gb = row.disk_gb - row.reserved_disk_gb
        print(
            line(
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
            )
        )
    return 0


def _format_usage(used: int, capacity: float) -> str:
    """Return the allocated amount and the most that can be allocated."""
    return f'{used}/{math.floor(capacity)}'


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('host', 'compute hosts')
    group.add_command('list', show_list)
