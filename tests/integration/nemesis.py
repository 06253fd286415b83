# SPDX-License-Identifier: Apache-2.0
"""A cloud of real processes, its users, and somebody who breaks everything.

``python -m tests.integration.nemesis --minutes 60 --seed 1`` from the top of
the source tree. The run goes in rounds: things are broken for a while, then
all is mended, and once nothing goes on any more the laws must hold. Ends with
0 when they did each time; else with 1 and the story of each server concerned,
and what the processes logged is kept.
"""

import minova  # noqa: F401, I001  keeps eventlet out, so before all others

import argparse
import shutil
import sys
import tempfile
import time

from minova.conf import CONF
from tests.fixtures.rig_trial import RigTrial
from tests.fixtures.trial import DATABASES
from tests.fixtures.trial import Trial

#: The hosts that there are trials for.
TRIALS = {'fake': Trial, 'qemu': RigTrial}


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--round', type=float, default=3, metavar='MINUTES')
    parser.add_argument('--seed', default=None)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument(
        '--hosts',
        choices=sorted(TRIALS),
        default='fake',
        help='what guests run on: fake hosts, or libvirt with QEMU',
    )
    parser.add_argument(
        '--database', choices=sorted(DATABASES), default='mariadb'
    )
    return parser.parse_args()


def _say(text):
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()


def main():
    """Run rounds until the time is up or a law is broken."""
    arguments = _arguments()
    seed = arguments.seed or str(time.time_ns())
    CONF([], project='minova', default_config_files=[])
    directory = tempfile.mkdtemp(prefix='minova-nemesis-')
    _say(f'The seed is {seed}; logs are in {directory}.')
    with TRIALS[arguments.hosts](
        seed, arguments.database, arguments.clients, directory
    ) as trial:
        until = time.monotonic() + arguments.minutes * 60
        while (left := until - time.monotonic()) > 0:
            breaches = trial.round(min(left, arguments.round * 60))
            if breaches:
                _say(trial.report(breaches))
                return 1
            _say(
                f'{trial.nemesis.count} things were broken, '
                f'answers {trial.club.answers}: no law is broken.'
            )
    shutil.rmtree(directory)
    return 0


if __name__ == '__main__':
    sys.exit(main())
