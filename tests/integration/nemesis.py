# SPDX-License-Identifier: Apache-2.0
"""A cloud of real processes and clients under random faults.

Run ``python -m tests.integration.nemesis --minutes 60 --seed 1`` in the root
of the source tree. A run consists of rounds: the nemesis injects faults for
some time, clears them, waits until no operation runs, and checks the
invariants. The exit code is 0 if they hold after each round. Otherwise it is
1: the timeline of each affected server is printed and the logs are kept.
"""

import minova  # noqa: F401, I001  keeps eventlet out, so before all others

import argparse
import shutil
import sys
import tempfile
import time

from minova.conf import CONF
from tests.fixtures.rig_chaos_cloud import RigChaosCloud
from tests.fixtures.chaos_cloud import DATABASES
from tests.fixtures.chaos_cloud import ChaosCloud

#: The cloud class of each kind of hosts.
CLOUDS = {'fake': ChaosCloud, 'qemu': RigChaosCloud}


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--round', type=float, default=3, metavar='MINUTES')
    parser.add_argument('--seed', default=None)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument(
        '--hosts',
        choices=sorted(CLOUDS),
        default='fake',
        help='what guests run on: fake hosts, or libvirt with QEMU',
    )
    parser.add_argument(
        '--database', choices=sorted(DATABASES), default='mariadb'
    )
    return parser.parse_args()


def _print(text):
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()


def main():
    """Run rounds until the time is up or an invariant is violated."""
    arguments = _arguments()
    seed = arguments.seed or str(time.time_ns())
    CONF([], project='minova', default_config_files=[])
    directory = tempfile.mkdtemp(prefix='minova-nemesis-')
    _print(f'The seed is {seed}; logs are in {directory}.')
    with CLOUDS[arguments.hosts](
        seed, arguments.database, arguments.clients, directory
    ) as cloud:
        until = time.monotonic() + arguments.minutes * 60
        while (left := until - time.monotonic()) > 0:
            violations = cloud.run_round(min(left, arguments.round * 60))
            if violations:
                _print(cloud.report(violations))
                return 1
            _print(
                f'{cloud.nemesis.fault_count} faults were injected, '
                f'answers {cloud.client_pool.answers}: no violations.'
            )
    shutil.rmtree(directory)
    return 0


if __name__ == '__main__':
    sys.exit(main())
