#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Minova as it is deployed: every service a process of its own.

Starts RabbitMQ and MariaDB on free loopback ports, one api, two conductors and
two computes with the fake hypervisor, measures them with ``measure.py``, and
stops everything. Run it where little else runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
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


def run(arguments, directory):
    """Bring it up, measure, say what was measured."""
    with (
        servers.RabbitMQ(prometheus=True, busy_wait='none') as rabbit,
        servers.MariaDB() as mariadb,
        processes.Cluster(
            rabbit.url,
            mariadb.url('minova', arguments.mysql_driver),
            directory,
            compute={'heartbeat_interval': 10},
            conductor={
                'sweep_interval': 10,
                'service_down_time': 60,
                'lease_time': 15,
            },
            notifications={'enabled': arguments.notifications},
        ) as cluster,
    ):
        conf = os.path.join(directory, 'manage.conf')
        with open(conf, 'w', encoding='utf-8') as file:
            file.write(f'[database]\nconnection = {mariadb.url("minova")}\n')
        manage = [sys.executable, '-m', 'minova.cmd.manage']
        subprocess.check_call([*manage, '--config-file', conf, 'db', 'sync'])
        for host in ('one', 'two'):
            cluster.start('conductor', host)
        for host in ('node1', 'node2'):
            cluster.start('compute', host)
        url = cluster.start_api().url + '/v2.1'
        user = User(url, 'admin:admin')
        image = user.image()
        user.flavor('small', 512)
        user.flavor('big', 1024)
        time.sleep(2)
        command = [
            sys.executable,
            os.path.join(HERE, 'measure.py'),
            f'--url={url}',
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
        help='publish none, to count RPC messages alone',
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='minova-bench') as directory:
        return run(arguments, directory)


if __name__ == '__main__':
    assert minova is not None
    sys.exit(main())
