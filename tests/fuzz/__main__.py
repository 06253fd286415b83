# SPDX-License-Identifier: Apache-2.0
"""Fuzz an all-in-one with requests to every endpoint.

Starts an all-in-one in a directory of its own, or takes a running one with
``--url`` and the password of admin in OS_PASSWORD. The exit code is 0 if no
reply was wrong, no memory grew, everything could be deleted and the audit
found nothing. A failure names the seed and the number of its request.
"""

import minova  # noqa: F401, I001  keeps eventlet out, so before all others

import argparse
import math
import os
import shutil
import sys
import tempfile
import time

from minova import service
from tests.fuzz import process
from tests.fuzz.campaign import Campaign
from tests.fuzz.generator import ACTORS


def _arguments():
    parser = argparse.ArgumentParser('fuzz', description=__doc__)
    parser.add_argument('--requests', type=int, default=100000)
    parser.add_argument('--seed', default=None)
    parser.add_argument('--first', type=int, default=0, metavar='NUMBER')
    parser.add_argument('--threads', type=int, default=4)
    parser.add_argument(
        '--patience',
        type=float,
        default=5,
        metavar='SECONDS',
        help='a slower reply is a failure (%(default)s)',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=math.inf,
        help='stop then, if not all requests were sent',
    )
    parser.add_argument('--url', help='a running all-in-one')
    parser.add_argument('--pid', type=int, help='its process, for the memory')
    return parser.parse_args()


def fuzz(arguments, seed, url, password, memory):
    """Run all requests; return the report."""
    campaign = Campaign(url, password, seed, arguments.patience, memory)
    campaign.run(
        arguments.first,
        arguments.requests,
        arguments.threads,
        arguments.minutes * 60,
    )
    campaign.finish()
    return campaign.report


def _fuzz_own(arguments, seed, directory):
    started = process.Process(directory)
    with started.started() as (url, password):
        report = fuzz(arguments, seed, url, password, started.memory)
        report.failures += started.complaints()
        if found := started.audit():
            report.failures.append(found)
    return report


def main():
    """Fuzz and print the report."""
    arguments = _arguments()
    seed = arguments.seed or str(time.time_ns())
    service.configure(['--config-file=/dev/null'], 'fuzz')
    directory = tempfile.mkdtemp(prefix='minova-fuzz-')
    print(f'The seed is {seed}; the log is in {directory}.', flush=True)
    if arguments.url:
        report = fuzz(
            arguments,
            seed,
            arguments.url.rstrip('/'),
            os.environ['OS_PASSWORD'],
            (lambda: process.resident(arguments.pid))
            if arguments.pid
            else None,
        )
    else:
        report = _fuzz_own(arguments, seed, directory)
    for line in report.lines(ACTORS):
        print(line)
    if report.failures:
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == '__main__':
    sys.exit(main())
