#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the selection of a host among many.

    tools/bench/placement.py [--hosts 1000] [--count 200]

The hosts are rows of a SQLite database in memory. A *choice* filters and ranks
the hosts that a conductor has in its view; a *view* reads all hosts, services
and aggregates again, which a conductor does at most once in ``[scheduler]
host_state_max_age``. Times are CPU times of one thread, so that other work on
the machine changes little. The ratio is to a plain loop over as many rows,
which makes machines comparable.
"""

import argparse
import statistics
import time

from minova import clock
from minova.conductor.host_candidate import HostRequirements
from minova.conductor.scheduler import Scheduler
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import aggregates
from minova.db.queries import hosts
from minova.engine import begin
from minova.objects.flavor import Flavor
from minova.objects.host import HostReport

_CPU_INFO = {
    'arch': 'x86_64',
    'model': 'Skylake',
    'features': [f'feature{number}' for number in range(80)],
}
_KINDS = [['x86_64', 'kvm', 'hvm'], ['x86_64', 'qemu', 'hvm']]


class _AllUp:
    """The liveness of hosts that are all up."""

    def down_reason(self, service):
        return None


def _register(connection, name):
    hosts.register_service(connection, 'nova-compute', name, 'i', '1')
    hosts.save_host_report(
        connection,
        HostReport(
            host=name,
            incarnation='i',
            version='1',
            address='192.0.2.1',
            availability_zone='nova',
            hypervisor_hostname=name,
            hypervisor_type='QEMU',
            hypervisor_version=10000000,
            cpu_info=_CPU_INFO,
            supported_instances=_KINDS,
            traits=[],
            vcpus=64,
            memory_mb=262144,
            disk_gb=2000,
            reserved_memory_mb=512,
            reserved_disk_gb=0,
            cpu_allocation_ratio=4.0,
            ram_allocation_ratio=1.0,
            disk_allocation_ratio=1.0,
        ),
    )


def _fill(connection, names):
    """Register hosts in ten zones, each of an aggregate."""
    for name in names:
        _register(connection, name)
    for zone in range(10):
        number = aggregates.insert(
            connection,
            {
                'uuid': clock.uuid4(),
                'name': f'rack{zone}',
                'metadata': {'availability_zone': f'zone{zone}'},
                'notification_seq': 0,
                'created_at': clock.now(),
            },
        )
        for name in names[zone::10]:
            aggregates.add_host(connection, number, name)
    aggregates.apply_zones(connection, names)


def _requirements(specs):
    flavor = Flavor(
        id=1,
        flavorid='1',
        name='small',
        description=None,
        vcpus=2,
        memory_mb=4096,
        root_gb=20,
        ephemeral_gb=0,
        swap_mb=0,
        rxtx_factor=1.0,
        is_public=True,
        disabled=False,
        extra_specs=specs,
    )
    instance = begin.new_instance(
        get_admin_context(),
        flavor,
        display_name='server',
        hostname='server',
        reservation_id='r-1',
        image_ref='',
        image_meta={'hw_architecture': 'x86_64'},
    )
    return HostRequirements(instance, flavor)


def _measure(work, count):
    """Return the milliseconds of CPU that ``work`` needs, as a median."""
    found = []
    for _ in range(count):
        began = time.thread_time()
        work()
        found.append((time.thread_time() - began) * 1000)
    return statistics.median(found)


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000)
    parser.add_argument('--count', type=int, default=200)
    arguments = parser.parse_args()
    CONF([], project='minova')
    database = engine.connect(CONF, 'sqlite://')
    migrate.sync(database)
    names = [f'host{number:05}' for number in range(arguments.hosts)]
    database.write(lambda connection: _fill(connection, names))
    scheduler = Scheduler(database, None, _AllUp(), None)

    def refresh():
        database.read(lambda c: scheduler._refresh_view(c, True))

    refresh()
    rows = [one.row for one in scheduler._view.values()]
    loop = _measure(
        lambda: sorted(rows, key=lambda row: -row.memory_mb_used),
        arguments.count,
    )
    specs = {'capabilities:cpu_info:arch': 'x86_64'}
    cases = (
        ('choice', lambda: scheduler._rank_hosts(_requirements({}))),
        (
            'choice with capabilities',
            lambda: scheduler._rank_hosts(_requirements(specs)),
        ),
        ('view', refresh),
    )
    print(f'{arguments.hosts} hosts{"ms":>26}{"ratio":>8}')
    for name, work in cases:
        count = arguments.count if name != 'view' else 10
        found = _measure(work, count)
        print(f'{name:<30}{found:>6.2f}{found / loop:>8.0f}')


if __name__ == '__main__':
    main()
