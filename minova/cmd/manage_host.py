# SPDX-License-Identifier: Apache-2.0
"""minova-manage host: compute hosts."""

import argparse
import math

from minova.cmd.commands import Commands
from minova.cmd.database import current
from minova.conf import CONF
from minova.db import hosts
from minova.db import operations


def show_list(arguments: argparse.Namespace) -> int:
    """Print the hosts, whether they are up and what of them is promised."""
    database = current()
    # Hosts first: one that registers meanwhile is not missed among services.
    rows, services = database.read(
        lambda connection: (
            hosts.hosts(connection),
            hosts.services(connection, operations.COMPUTE),
        )
    )
    by_host = {found.host: found for found in services}
    line = '{:<24} {:<6} {:<9} {:>15} {:>19} {:>15}'.format
    print(line('HOST', 'STATE', 'STATUS', 'VCPUS', 'MEMORY MiB', 'DISK GiB'))
    for row in rows:
        found = by_host.get(row.host)
        up = found and found.is_up(CONF.conductor.service_down_time)
        enabled = found and not found.disabled
        memory_mb = row.memory_mb - row.reserved_memory_mb
        disk_gb = row.disk_gb - row.reserved_disk_gb
        print(
            line(
                row.host,
                'up' if up else 'down',
                'enabled' if enabled else 'disabled',
                _of(row.vcpus_used, row.vcpus * row.cpu_ratio),
                _of(row.memory_mb_used, memory_mb * row.memory_ratio),
                _of(row.disk_gb_used, disk_gb * row.disk_ratio),
            )
        )
    return 0


def _of(used: int, most: float) -> str:
    """Return what is promised of what a claim may reach."""
    return f'{used}/{math.floor(most)}'


def add(commands: Commands) -> None:
    """Add the commands."""
    group = commands.group('host', 'compute hosts')
    group.command('list', show_list)
