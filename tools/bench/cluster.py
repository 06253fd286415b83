#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Minova as deployed: each service is a process of its own.

Starts RabbitMQ and MariaDB on free loopback ports, one API service, two
conductors and two computes with the fake hypervisor, measures them with
``measure.py``, and stops everything. Run it on an idle machine.

With ``--kills`` it measures the duration of creates while services are killed
and restarted one after the other.
"""

import argparse
import concurrent.futures
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

import minova  # noqa: E402  keeps eventlet out
from tests.fixtures import processes  # noqa: E402
from tests.fixtures import servers  # noqa: E402
from tests.fixtures.user import User  # noqa: E402


def memory_of(service):
    """Return the proportional memory of a service, in MiB."""
    total = 0
    for pid in processes.processes.tree(service.pid):
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            for line in file:
                if line.startswith('Pss:'):
                    total += int(line.split()[1])
    return total / 1024


@contextlib.contextmanager
def started(arguments, directory):
    """Start all; yield the cluster, its servers and a user of its API."""
    with (
        servers.RabbitMQ(prometheus=True, schedulers=None) as rabbit,
        servers.MariaDB() as mariadb,
        processes.Cluster(
            rabbit.url,
            mariadb.url('minova', arguments.mysql_driver),
            directory,
            # Guests survive the compute of their host.
            hypervisor=bool(arguments.kills),
            DEFAULT={'heartbeat_interval': 10},
            conductor={
                'sweep_interval': 10,
                'service_down_time': 60,
                'lease_time': 15,
            },
            notifications={'enabled': arguments.notifications},
        ) as cluster,
    ):
        processes.sync(directory, mariadb.url('minova'))
        for host in ('one', 'two'):
            cluster.start('conductor', host)
        for host in ('node1', 'node2'):
            cluster.start('compute', host)
        user = User(cluster.start_api().url + '/v2.1', 'admin:admin')
        user.flavor('small', 512)
        user.flavor('big', 1024)
        time.sleep(2)
        yield cluster, rabbit, mariadb, user


def run(arguments, directory):
    """Start all, measure, print."""
    with started(arguments, directory) as (cluster, rabbit, mariadb, user):
        image = user.image()
        if arguments.kills:
            for kind in ('conductor', 'compute'):
                kill(cluster, kind, arguments.kills, user)
            return 0
        command = [
            sys.executable,
            os.path.join(HERE, 'measure.py'),
            f'--url={user.url}',
            '--token=admin:admin',
            '--flavor=small',
            '--bigger=big',
            f'--image={image}',
            f'--count={arguments.count}',
            f'--many={arguments.many}',
            f'--rabbitmq={rabbit.metrics_url}',
            f'--mariadb={mariadb.url("minova")}',
        ]
        code = subprocess.call(command)
        for name, service in cluster.services.items():
            print(f'memory of {name:<24} {memory_of(service):8.1f} MiB')
        return code


def kill(cluster, kind, times, user):
    """Create and delete servers in four threads while services are killed.

    One service at a time is down for a second; the next kill follows two
    seconds after its restart.
    """
    over = threading.Event()

    def create(_):
        spans = []
        while not over.is_set():
            began = time.perf_counter()
            made = user.boot()
            spans.append(time.perf_counter() - began)
            user.delete(made)
        return spans

    found = [
        service
        for name, service in cluster.services.items()
        if name.startswith(kind)
    ]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        # Also if a service does not restart: the pool waits for the clients.
        with contextlib.ExitStack() as end:
            end.callback(over.set)
            clients = pool.map(create, range(4))
            for number in range(times):
                time.sleep(2)
                service = found[number % len(found)]
                ready = service.log_text().count('is ready.') + 1
                service.kill()
                time.sleep(1)
                service.start()
                service.wait_for('is ready.', ready)
        spans = sorted(span for mine in clients for span in mine)
    print(
        f'{kind}s killed {times} times: {len(spans)} creates, '
        f'median {statistics.median(spans):.2f} s, longest {spans[-1]:.2f} s',
        flush=True,
    )


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=25)
    parser.add_argument('--many', type=int, default=1000)
    parser.add_argument(
        '--mysql-driver',
        default='mysqldb',
        help='mysqldb (minova[mysqlclient]) or pymysql (%(default)s)',
    )
    parser.add_argument(
        '--no-notifications',
        dest='notifications',
        action='store_false',
        help='emit no notifications, to count RPC messages only',
    )
    parser.add_argument(
        '--kills',
        type=int,
        default=0,
        metavar='N',
        help='kill conductors and computes N times each; measure creates',
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='minova-bench') as directory:
        return run(arguments, directory)


if __name__ == '__main__':
    assert minova is not None
    sys.exit(main())
