# SPDX-License-Identifier: Apache-2.0
"""minova-simulate: a simulated cloud with injected faults.

Exit codes: 0 all invariants held, 1 an invariant was violated, 2 invalid
arguments.
"""

import argparse
from collections.abc import Iterable
import os
import sys

from minova import clock
from minova.cmd import commands
from minova.cmd.argument_types import bounded_int
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
#: Seconds for one run, and for the runs of hours or days.
_RUN_TIMEOUT = 600
_CAMPAIGN_TIMEOUT = 7 * 24 * 3600


def show_list(arguments: argparse.Namespace) -> int:
    """List the scenarios, the faults and the campaigns."""
    print('Scenarios, each with its operation and the initial server:')
    for scenario in SCENARIOS.values():
        print(
            f'  {scenario.name:<28} {scenario.kind:<20} {scenario.starts_from}'
        )
    print('\nFaults, in the form POINT:FAULT[ PROCESS][:SECONDS]:')
    for name, (_, description) in faults.KINDS.items():
        print(f'  {name:<24} {description}')
    print('\nCampaigns:')
    print('  ' + ', '.join(explore.CAMPAIGNS))
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Repeat one run and print its trace."""
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
        print(f'VIOLATED: {violation}')
    if not run.violations:
        print('All invariants held.')
    return 1 if run.violations else 0


def idle(arguments: argparse.Namespace) -> int:
    """Run a cloud without requests for hours of virtual time."""
    began = clock.monotonic()
    violations = Simulator().run_idle(arguments.hours * 3600.0, arguments.seed)
    seconds = clock.monotonic() - began
    print(f'{arguments.hours} hours were simulated in {seconds:.0f} s.')
    for violation in violations:
        print(f'VIOLATED: {violation}')
    if not violations:
        print('All invariants held.')
    return 1 if violations else 0


def run_campaigns(arguments: argparse.Namespace) -> int:
    """Run campaigns and print the number of runs and violations of each."""
    campaigns = arguments.campaign or explore.SINGLE_FAULT_CAMPAIGNS
    began = clock.monotonic()
    counts = dict.fromkeys(campaigns, 0)
    violated: dict[str, list[Run]] = {name: [] for name in campaigns}
    for campaign, run in explore.run_campaigns(
        campaigns,
        arguments.scenario or SCENARIOS,
        arguments.seed,
        arguments.workers,
    ):
        counts[campaign] += 1
        if run.violations:
            violated[campaign].append(run)
            print(f'violated: {run}', file=sys.stderr)
    print(f'{"campaign":<16}{"runs":>8}{"violated":>10}')
    for campaign, count in counts.items():
        print(f'{campaign:<16}{count:>8}{len(violated[campaign]):>10}')
        _show(violated[campaign])
    print(f'{sum(counts.values())} runs in {clock.monotonic() - began:.0f} s')
    return 1 if any(violated.values()) else 0


def random_walk(arguments: argparse.Namespace) -> int:
    """Run schedules with random faults."""
    runs = explore.random_walk(
        arguments.first, arguments.count, arguments.workers
    )
    violated, count, seconds = _count(runs, every=arguments.every)
    print(f'{count} schedules, {len(violated)} violated, {seconds:.0f} s')
    return _show(violated)


def _count(
    runs: Iterable[Run], every: int = 0
) -> tuple[list[Run], int, float]:
    began, count, violated = clock.monotonic(), 0, []
    for count, run in enumerate(runs, 1):
        if run.violations:
            violated.append(run)
            print(f'violated: {run}', file=sys.stderr)
        if every and count % every == 0:
            seconds = clock.monotonic() - began
            print(f'{count} done, {len(violated)} violated, {seconds:.0f} s')
            sys.stdout.flush()
    return violated, count, clock.monotonic() - began


def _show(violated: list[Run]) -> int:
    for run in violated[:_MAX_SHOWN]:
        print(f'  {run}')
        for violation in run.violations[:3]:
            print(f'    {violation}')
    if len(violated) > _MAX_SHOWN:
        print(f'  and {len(violated) - _MAX_SHOWN} more')
    sys.stdout.flush()
    return 1 if violated else 0


def run_mutants(arguments: argparse.Namespace) -> int:
    """Run the campaigns of each mutant; exit with 1 if one survives."""
    simulator, survivors = Simulator(), 0
    wanted = arguments.name or [mutant.name for mutant in MUTANTS]
    for mutant in [one for one in MUTANTS if one.name in wanted]:
        found = explore.kill_mutant(simulator, mutant)
        print(f'{mutant.name:<28} {found or "SURVIVED"}')
        sys.stdout.flush()
        survivors += found is None
    return 1 if survivors else 0


def _parse_fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    command = commands.Commands(parser).add_command
    command('list', show_list)
    _add_replay(command('replay', replay, timeout=_RUN_TIMEOUT))
    idle_parser = command('idle', idle, timeout=_CAMPAIGN_TIMEOUT)
    idle_parser.add_argument(
        '--hours',
        type=bounded_int(1, 10000),
        default=24,
        help='virtual hours, 1 to 10000 (%(default)s)',
    )
    _add_seed(idle_parser)
    _add_explore(command('explore', run_campaigns, timeout=_CAMPAIGN_TIMEOUT))
    _add_random(command('random', random_walk, timeout=_CAMPAIGN_TIMEOUT))
    command('mutants', run_mutants, timeout=_CAMPAIGN_TIMEOUT).add_argument(
        'name',
        nargs='*',
        choices=[[], *(mutant.name for mutant in MUTANTS)],
        metavar='MUTANT',
        help='only these mutants',
    )
    return parser


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('scenario', choices=SCENARIOS, metavar='SCENARIO')
    _add_seed(parser)
    parser.add_argument(
        '--fault',
        type=_parse_fault,
        action='append',
        default=[],
        help='a fault, as POINT:FAULT[ PROCESS][:SECONDS]; repeatable',
    )
    parser.add_argument(
        '--all', action='store_true', help='also print heartbeats'
    )


def _add_explore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'campaign',
        nargs='*',
        choices=[[], *explore.CAMPAIGNS],
        metavar='CAMPAIGN',
        help='a campaign of the list; by default all with one fault per run',
    )
    parser.add_argument(
        '--scenario',
        action='append',
        choices=SCENARIOS,
        metavar='SCENARIO',
        help='only this scenario; repeatable',
    )
    _add_seed(parser)
    _add_workers(parser)


def _add_random(parser: argparse.ArgumentParser) -> None:
    highest = 10**9
    parser.add_argument(
        '--first',
        type=bounded_int(0, highest),
        default=0,
        help='the number of the first schedule (%(default)s)',
    )
    parser.add_argument(
        '--count',
        type=bounded_int(1, highest),
        default=1000,
        help='the number of schedules (%(default)s)',
    )
    parser.add_argument(
        '--every',
        type=bounded_int(0, highest),
        default=0,
        help='print the progress after each N schedules; 0: never',
        metavar='N',
    )
    _add_workers(parser)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='the seed of the order of events (%(default)s)',
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workers',
        type=bounded_int(1, 1000),
        default=os.cpu_count(),
        help='the number of processes (%(default)s)',
    )


def main(argv: list[str] | None = None) -> int:
    """Run minova-simulate."""
    arguments = _parser().parse_args(argv)
    CONF([], project='minova', prog=PROG, default_config_files=[])
    return commands.run(PROG, arguments)


if __name__ == '__main__':
    sys.exit(main())
