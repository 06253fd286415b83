# SPDX-License-Identifier: Apache-2.0
"""Campaigns: a fault at every point, pairs of crashes, random schedules.

A *campaign* makes its plans from a run without faults: the points depend on
the scenario and the seed alone.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
import gc
import itertools
import multiprocessing
from multiprocessing import pool as pools
import os
import random
from typing import Final

from minova.conf import CONF
from minova.simulation import faults
from minova.simulation.cloud import CONDUCTORS
from minova.simulation.cloud import HOSTS
from minova.simulation.faults import Fault
from minova.simulation.faults import Point
from minova.simulation.mutants import Mutant
from minova.simulation.runs import Run
from minova.simulation.runs import Simulator
from minova.simulation.scenarios import Scenario
from minova.simulation.scenarios import SCENARIOS

#: Seconds until a killed process restarts: soon, and after it counts as down.
RESTART_SOON: Final = 2.0
RESTART_LATE: Final = 150.0
#: Seconds for which a hypervisor is away: more than the deadline of a stop.
HYPERVISOR_AWAY: Final = 900.0
#: The scenarios of the campaign of pairs of crashes.
PAIRED_SCENARIOS: Final = (
    'resize',
    'live_migrate',
    'create',
    'delete',
    'confirm_resize',
    'revert_resize',
)
#: Parts of the names of points that belong to no operation.
_ROUTINE: Final = (
    'ping',
    'heartbeat',
    'Relay.',
    'acquire.renew',
    'enroll',
    'control_plane_key',
    'register',
    'check_health',
)
#: The points after which a process has had its effect outside of itself, and
#: those before it has the next one.
_AFTER_EFFECT: Final = frozenset(
    {
        'answered',
        'committed',
        'effected',
        'imaged',
        'published',
        'receive',
        'sent',
    }
)
_BEFORE_EFFECT: Final = frozenset(
    {'call', 'commit', 'effect', 'image', 'publish', 'send'}
)
#: The points of the calls of a hypervisor.
_HYPERVISOR_POINTS: Final = ('call', 'effect', 'effected')


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run to make."""

    scenario: str
    seed: int
    faults: tuple[Fault, ...]


def is_routine(point: Point) -> bool:
    """Tell whether a point belongs to no operation."""
    return any(part in point.what for part in _ROUTINE)


# -- plans -------------------------------------------------------------------


def _points(
    simulator: Simulator, scenario: Scenario, seed: int
) -> list[Point]:
    run = simulator.baseline(scenario, seed)
    if run.violations:
        raise AssertionError(
            f'{scenario.name} violates an invariant without a fault: '
            f'{run.violations}'
        )
    return run.points


def _plan_each_point(
    kind: str,
    seconds: float,
    at: Callable[[Point], bool],
    simulator: Simulator,
    scenario: Scenario,
    seed: int,
) -> Iterator[Plan]:
    """Yield a plan for each point: one fault of the point's process."""
    for point in _points(simulator, scenario, seed):
        if at(point):
            fault = Fault(point.number, kind, None, seconds)
            yield Plan(scenario.name, seed, (fault,))


def is_equivalent(point: Point, before: Point) -> bool:
    """Tell whether a crash at a point leaves what one at ``before`` leaves.

    ``before`` is the point before, by number. Both are of one process and one
    instant, and after the first the process has no effect outside of itself
    until it has passed the second. The other processes pass no point between,
    so they have no effect either. A crash loses the memory of the process; the
    rest (rows, messages, guests, disks, images, notifications, time) is equal
    at both points. The user's requests run in the api: one may begin there
    between two points, so each of its points counts.
    """
    return (
        point.process == before.process != 'api'
        and point.time == before.time
        and before.kind in _AFTER_EFFECT
        and point.kind in _BEFORE_EFFECT
        and not is_routine(before)
    )


def _plan_crashes(
    simulator: Simulator, scenario: Scenario, seed: int
) -> Iterator[Plan]:
    """Yield a crash at each point, except at equivalent ones."""
    before = None
    for point in _points(simulator, scenario, seed):
        equivalent = before is not None and is_equivalent(point, before)
        if not is_routine(point) and not equivalent:
            fault = Fault(point.number, 'crash', None, RESTART_SOON)
            yield Plan(scenario.name, seed, (fault,))
        before = point


def _belongs_to_operation(point: Point) -> bool:
    return not is_routine(point)


def _allows_pause(point: Point) -> bool:
    """Tell whether a process may pause here: not during a host change."""
    return not is_routine(point) and point.kind not in ('effect', 'effected')


def _is_sent(point: Point) -> bool:
    return point.kind == 'send' and not is_routine(point)


def _is_commit(point: Point) -> bool:
    return point.kind == 'commit' and not is_routine(point)


def _is_at_hypervisor(point: Point) -> bool:
    return point.process in HOSTS and point.kind in _HYPERVISOR_POINTS


def _is_call(point: Point) -> bool:
    return point.kind == 'call'


def _is_at_image_service(point: Point) -> bool:
    return point.kind in ('image', 'imaged')


def _plan_other_crashes(
    simulator: Simulator, scenario: Scenario, seed: int
) -> Iterator[Plan]:
    """Yield a crash of each other process, at every third point."""
    processes = ('api', *CONDUCTORS, *HOSTS)
    for point in _points(simulator, scenario, seed)[::3]:
        for process in processes:
            if process != point.process and not is_routine(point):
                fault = Fault(point.number, 'crash', process, RESTART_SOON)
                yield Plan(scenario.name, seed, (fault,))


def _plan_pairs(
    simulator: Simulator, scenario: Scenario, seed: int
) -> Iterator[Plan]:
    """Yield a crash at every point, each with a second crash later."""
    if scenario.name not in PAIRED_SCENARIOS:
        return
    points = [
        p for p in _points(simulator, scenario, seed) if not is_routine(p)
    ]
    for first in points:
        crash = Fault(first.number, 'crash', None, RESTART_SOON)
        after = simulator.run(scenario, seed, (crash,)).points
        for second in after[first.number :: 5]:
            if not is_routine(second):
                again = Fault(second.number, 'crash', None, RESTART_SOON)
                yield Plan(scenario.name, seed, (crash, again))


def random_plan(number: int) -> Plan:
    """Return the plan of a random schedule, drawn from its number."""
    draw = random.Random(f'schedule {number}')
    scenario = draw.choice(sorted(SCENARIOS))
    found = []
    for _ in range(draw.choice((1, 1, 2, 3, 4))):
        point = draw.randrange(1, 400)
        kind = draw.choice(sorted(faults.KINDS))
        target = None
        if kind in ('crash', 'pause', 'skew') and draw.random() < 0.5:
            target = draw.choice(('api', *CONDUCTORS, *HOSTS))
        if kind in ('host_lost', 'hypervisor'):
            target = draw.choice(HOSTS)
        seconds = draw.choice((0.5, RESTART_SOON, 20.0, RESTART_LATE))
        if kind == 'skew':
            seconds *= draw.choice((1, -1))
        if kind == 'stale_process':
            seconds = RESTART_LATE
        found.append(Fault(point, kind, target, seconds))
    return Plan(scenario, number, tuple(found))


_PlanMaker = Callable[[Simulator, Scenario, int], Iterator[Plan]]

#: The campaigns by name.
CAMPAIGNS: Final[dict[str, _PlanMaker]] = {
    'crash': _plan_crashes,
    'crash-each': functools.partial(
        _plan_each_point, 'crash', RESTART_SOON, _belongs_to_operation
    ),
    'crash-late': functools.partial(
        _plan_each_point, 'crash', RESTART_LATE, _belongs_to_operation
    ),
    'crash-other': _plan_other_crashes,
    'pause': functools.partial(
        _plan_each_point, 'pause', RESTART_SOON * 10, _allows_pause
    ),
    'pause-late': functools.partial(
        _plan_each_point, 'pause', RESTART_LATE, _allows_pause
    ),
    'stale_process': functools.partial(
        _plan_each_point, 'stale_process', RESTART_LATE, _allows_pause
    ),
    'drop': functools.partial(
        _plan_each_point, 'drop', RESTART_SOON, _is_sent
    ),
    'duplicate': functools.partial(
        _plan_each_point, 'duplicate', RESTART_SOON, _is_sent
    ),
    'delay': functools.partial(
        _plan_each_point, 'delay', RESTART_SOON, _is_sent
    ),
    'deadlock': functools.partial(
        _plan_each_point, 'deadlock', RESTART_SOON, _is_commit
    ),
    'commit_unknown': functools.partial(
        _plan_each_point, 'commit_unknown', RESTART_SOON, _is_commit
    ),
    'database': functools.partial(
        _plan_each_point, 'database', 30.0, _is_commit
    ),
    'broker': functools.partial(_plan_each_point, 'broker', 30.0, _is_sent),
    'fail': functools.partial(
        _plan_each_point, 'fail', RESTART_SOON, _is_call
    ),
    'disk_full': functools.partial(
        _plan_each_point, 'disk_full', RESTART_SOON, _is_call
    ),
    'hypervisor': functools.partial(
        _plan_each_point, 'hypervisor', 30.0, _is_at_hypervisor
    ),
    'hypervisor-late': functools.partial(
        _plan_each_point, 'hypervisor', HYPERVISOR_AWAY, _is_at_hypervisor
    ),
    **{
        kind: functools.partial(
            _plan_each_point, kind, RESTART_SOON, _is_at_image_service
        )
        for kind in ('image_fail', 'image_late', 'image_lost')
    },
    'pairs': _plan_pairs,
}


#: The campaigns with one fault per run; 'crash' is a part of 'crash-each'.
SINGLE_FAULT_CAMPAIGNS: Final = tuple(
    name for name in CAMPAIGNS if name not in ('crash', 'pairs')
)


def kill_mutant(simulator: Simulator, mutant: Mutant) -> str | None:
    """Run the campaigns of a mutant; return the violation that detects it.

    None: the mutant has survived.
    """
    for campaign, name in itertools.product(
        mutant.campaigns, mutant.scenarios
    ):
        scenario = SCENARIOS[name]
        # The baseline is a run of the original code.
        simulator.baseline(scenario, 0)
        plans = list(CAMPAIGNS[campaign](simulator, scenario, 0))
        with mutant.applied():
            for count, plan in enumerate(plans, 1):
                run = simulator.run(scenario, plan.seed, plan.faults)
                found = run.violations + simulator.diff_from_baseline(run)
                if found:
                    return f'{campaign} of {name}, run {count}: {found[0]}'
    return None


# -- runs in worker processes ------------------------------------------------

#: Runs per job: a job makes one run without faults beside them.
_JOB_SIZE: Final = 60

_simulator: Simulator | None = None


def _start_pool(workers: int) -> pools.Pool:
    """Start the processes of the workers, each on one core.

    A worker and the children that it forks run in turns; on one core nothing
    moves between the caches of two.
    """
    context = multiprocessing.get_context('spawn')
    allowed = sorted(os.sched_getaffinity(0))
    cores = context.SimpleQueue()
    for number in range(workers):
        cores.put(allowed[number % len(allowed)])
    return context.Pool(workers, _stay_on_core, (cores,))


def _stay_on_core(cores: 'multiprocessing.SimpleQueue[int]') -> None:
    os.sched_setaffinity(0, {cores.get()})


def _get_simulator() -> Simulator:
    global _simulator
    if _simulator is None:
        # A spawned process does not inherit the configuration.
        CONF([], project='minova', default_config_files=[])
        _simulator = Simulator()
        _simulator.run(SCENARIOS['create'])
        # The objects created so far live as long as the process.
        gc.collect()
        gc.freeze()
    return _simulator


def _run(plan: Plan) -> Run:
    simulator = _get_simulator()
    run = simulator.run(SCENARIOS[plan.scenario], plan.seed, plan.faults)
    run.violations += simulator.diff_from_baseline(run)
    run.points = run.points[-1:]  # keeps the pickled result small
    return run


#: The plans of one scenario, each with its campaign, and the baseline.
_Job = tuple[list[tuple[str, Plan]], Run]


def _run_job(job: _Job) -> list[tuple[str, Run]]:
    plans, baseline = job
    simulator = _get_simulator()
    simulator.add_baseline(baseline)
    runs = simulator.run_each(
        SCENARIOS[baseline.scenario],
        baseline.seed,
        [plan.faults for _, plan in plans],
    )
    for run in runs:
        run.violations += simulator.diff_from_baseline(run)
    return [(name, run) for (name, _), run in zip(plans, runs, strict=True)]


def _make_job(arguments: tuple[tuple[str, ...], str, int]) -> _Job:
    """Return the plans of campaigns for a scenario, and its baseline."""
    campaigns, name, seed = arguments
    simulator, scenario = _get_simulator(), SCENARIOS[name]
    plans = [
        (campaign, plan)
        for campaign in campaigns
        for plan in CAMPAIGNS[campaign](simulator, scenario, seed)
    ]
    baseline = simulator.baseline(scenario, seed)
    return plans, dataclasses.replace(baseline, points=[], log_lines=[])


def run_campaigns(
    campaigns: Iterable[str],
    scenarios: Iterable[str],
    seed: int = 0,
    workers: int = 1,
) -> Iterator[tuple[str, Run]]:
    """Make all runs of campaigns in ``workers`` processes.

    Yields each run with its campaign.
    """
    names = tuple(campaigns)
    with _start_pool(workers) as pool:
        jobs = pool.map(
            _make_job, [(names, scenario, seed) for scenario in scenarios], 1
        )
        parts = [
            (plans[start : start + _JOB_SIZE], baseline)
            for plans, baseline in jobs
            for start in range(0, len(plans), _JOB_SIZE)
        ]
        for runs in pool.imap_unordered(_run_job, parts):
            yield from runs


def random_walk(first: int, count: int, workers: int = 1) -> Iterator[Run]:
    """Make ``count`` runs of random schedules, from the number ``first``."""
    with _start_pool(workers) as pool:
        numbers = range(first, first + count)
        yield from pool.imap_unordered(_run, map(random_plan, numbers), 8)
