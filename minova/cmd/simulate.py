# SPDX-License-Identifier: Apache-2.0
"""minova-simulate: the whole cloud in one process, with faults to order.

Exit codes: 0 when all invariants held, 1 when one was broken, 2 for wrong words.
"""

import argparse
from collections.abc import Iterable
import os
import sys

from minova import clock
from minova.cmd.argument_types import bounded_int
from minova.cmd.commands import Commands
from minova.conf import CONF
from minova.simulation import explore
from minova.simulation import faults
from minova.simulation import trace
from minova.simulation.faults import Fault
from minova.simulation.mutants import MUTANTS
from minova.simulation.runs import Run
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import SCENARIOS

PROG = 'minova-simulate'
_MAX_SHOWN = 10


def show_list(arguments: argparse.Namespace) -> int:
    """Print the scenarios, the faults and the campaigns."""
    print('Scenarios, with the operation that each is about:')
    for scenario in SCENARIOS.values():
        print(
            f'  {scenario.name:<24} {scenario.kind:<20} '
            f'begins {scenario.starts_from}'
        )
    print('\nFaults, ordered as NUMBER:FAULT[ WHO][:SECONDS]:')
    for name, (_, what) in faults.KINDS.items():
        print(f'  {name:<24} {what}')
    print('\nCampaigns:')
    print('  ' + ', '.join(explore.CAMPAIGNS))
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Make one run and print all that happened."""
    simulator = Simulator()
    run = simulator.run(
        SCENARIOS[arguments.scenario],
        arguments.seed,
        arguments.fault,
        verbose=True,
    )
    run.violations += simulator.diff_from_baseline(run)
    for line in trace.format_trace(run, all_points=arguments.all):
        print(line)
    return _print_violations(run)


def _print_violations(run: Run) -> int:
    for violation in run.violations:
        print(f'BROKEN: {violation}')
    if not run.violations:
        print('All invariants held.')
    return 1 if run.violations else 0


def idle(arguments: argparse.Namespace) -> int:
    """Let a cloud do what it does by itself, for hours of virtual time."""
    began = clock.monotonic()
    violations = Simulator().run_idle(arguments.hours * 3600.0, arguments.seed)
    seconds = clock.monotonic() - began
    print(f'{arguments.hours} hours were simulated in {seconds:.0f} s.')
    for violation in violations:
        print(f'BROKEN: {violation}')
    if not violations:
        print('All invariants held.')
    return 1 if violations else 0


def run_campaigns(arguments: argparse.Namespace) -> int:
    """Make every run of campaigns, and print how many of each."""
    code = 0
    print(f'{"campaign":<14}{"runs":>8}{"broken":>8}{"seconds":>9}')
    for campaign in arguments.campaign or explore.SINGLE_FAULT_CAMPAIGNS:
        runs = explore.run_campaigns(
            [campaign],
            arguments.scenario or SCENARIOS,
            arguments.seed,
            arguments.workers,
        )
        broken, count, seconds = _count(runs)
        print(f'{campaign:<14}{count:>8}{len(broken):>8}{seconds:>9.0f}')
        code = _show(broken) or code
    return code


def random_walk(arguments: argparse.Namespace) -> int:
    """Make runs with random faults."""
    runs = explore.random_walk(
        arguments.first, arguments.count, arguments.workers
    )
    broken, count, seconds = _count(runs, every=arguments.every)
    print(f'{count} schedules, {len(broken)} broken, {seconds:.0f} s')
    return _show(broken)


def _count(
    runs: Iterable[Run], every: int = 0
) -> tuple[list[Run], int, float]:
    began, count, broken = clock.monotonic(), 0, []
    for count, run in enumerate(runs, 1):
        if run.violations:
            broken.append(run)
            print(f'broken: {run}', file=sys.stderr)
        if every and count % every == 0:
            seconds = clock.monotonic() - began
            print(f'{count} done, {len(broken)} broken, {seconds:.0f} s')
            sys.stdout.flush()
    return broken, count, clock.monotonic() - began


def _show(broken: list[Run]) -> int:
    for run in broken[:_MAX_SHOWN]:
        print(f'  {run}')
        for violation in run.violations[:3]:
            print(f'    {violation}')
    if len(broken) > _MAX_SHOWN:
        print(f'  and {len(broken) - _MAX_SHOWN} more')
    sys.stdout.flush()
    return 1 if broken else 0


def run_mutants(arguments: argparse.Namespace) -> int:
    """Plant one fault after the other in our own code, and look for it."""
    simulator, missed = Simulator(), 0
    wanted = arguments.name or [one.name for one in MUTANTS]
    for one in [one for one in MUTANTS if one.name in wanted]:
        found = explore.kill_mutant(simulator, one)
        print(f'{one.name:<24} {found or "NOT FOUND"}')
        sys.stdout.flush()
        missed += found is None
    return 1 if missed else 0


def _parse_fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    command = Commands(parser).add_command

    def workers(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            '--workers',
            type=bounded_int(1, 1000),
            default=os.cpu_count(),
            help='how many processes (%(default)s)',
        )

    command('list', show_list)
    one = command('replay', replay)
    one.add_argument('scenario', choices=SCENARIOS, metavar='SCENARIO')
    one.add_argument('--seed', type=int, default=0)
    one.add_argument('--fault', type=_parse_fault, action='append', default=[])
    one.add_argument('--all', action='store_true', help='signs of life too')
    quiet = command('idle', idle)
    quiet.add_argument('--hours', type=bounded_int(1, 10000), default=24)
    quiet.add_argument('--seed', type=int, default=0)
    many = command('explore', run_campaigns)
    many.add_argument('campaign', nargs='*', choices=[[], *explore.CAMPAIGNS])
    many.add_argument(
        '--scenario', action='append', choices=SCENARIOS, metavar='SCENARIO'
    )
    many.add_argument('--seed', type=int, default=0)
    workers(many)
    more = command('random', random_walk)
    most = 10**9
    more.add_argument(
        '--first', type=bounded_int(0, most), default=0, help='its number'
    )
    more.add_argument('--count', type=bounded_int(1, most), default=1000)
    more.add_argument(
        '--every',
        type=bounded_int(0, most),
        default=0,
        help='say so after so many',
    )
    workers(more)
    judged = command('mutants', run_mutants)
    judged.add_argument(
        'name',
        nargs='*',
        choices=[[], *(one.name for one in MUTANTS)],
        help='only these',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run minova-simulate."""
    arguments = _parser().parse_args(argv)
    CONF([], project='minova', prog=PROG, default_config_files=[])
    code: int = arguments.run(arguments)
    return code


if __name__ == '__main__':
    sys.exit(main())
