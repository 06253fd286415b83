# SPDX-License-Identifier: Apache-2.0
"""Many runs: every point of every operation, pairs of them, random schedules.

A *campaign* is a list of plans, made from a run without faults: what points
there are depends on the scenario and the seed alone.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
import gc
import itertools
import multiprocessing
import random
from typing import Final

from minova.conf import CONF
from minova.simulation import faults
from minova.simulation.cloud import CONDUCTORS
from minova.simulation.cloud import HOSTS
from minova.simulation.faults import Fault
from minova.simulation.faults import Point
from minova.simulation.planted import Planted
from minova.simulation.runs import Rig
from minova.simulation.runs import Run
from minova.simulation.scenarios import Scenario
from minova.simulation.scenarios import SCENARIOS

#: Seconds until what crashed is started again: at once, and late enough for
#: everybody to take it for down.
SOON: Final = 2.0
LATE: Final = 150.0
#: What a pair of crashes is made of: these operations, and every so many-th
#: point for the second.
PAIRED: Final = (
    'resize',
    'live_migrate',
    'create',
    'delete',
    'confirm_resize',
    'revert_resize',
)
#: What happens all the time, whatever a user asks for.
_ROUTINE: Final = ('ping', 'beat', 'Relay.', 'take.renew', 'register')


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run that is to be made."""

    scenario: str
    seed: int
    faults: tuple[Fault, ...]


def is_routine(point: Point) -> bool:
    """Tell whether a point belongs to no operation."""
    return any(word in point.what for word in _ROUTINE)


# -- what is to be run -------------------------------------------------------


def _points(rig: Rig, scenario: Scenario, seed: int) -> list[Point]:
    run = rig.usual(scenario, seed)
    if run.violations:
        raise AssertionError(
            f'{scenario.name} is not lawful without faults: {run.violations}'
        )
    return run.points


def _every(
    kind: str,
    seconds: float,
    at: Callable[[Point], bool],
    rig: Rig,
    scenario: Scenario,
    seed: int,
) -> Iterator[Plan]:
    """Yield a plan for each point: one fault, of the point's process."""
    for point in _points(rig, scenario, seed):
        if at(point):
            fault = Fault(point.number, kind, None, seconds)
            yield Plan(scenario.name, seed, (fault,))


def _is_own(point: Point) -> bool:
    return not is_routine(point)


def _is_switching(point: Point) -> bool:
    """Tell whether a process may stop here: not in a change on a host."""
    return not is_routine(point) and point.kind not in ('effect', 'effected')


def _is_sent(point: Point) -> bool:
    return point.kind == 'send' and not is_routine(point)


def _is_commit(point: Point) -> bool:
    return point.kind == 'commit' and not is_routine(point)


def _is_call(point: Point) -> bool:
    return point.kind == 'call'


def _others(rig: Rig, scenario: Scenario, seed: int) -> Iterator[Plan]:
    """Yield a crash of everybody else, at every third point."""
    everybody = ('api', *CONDUCTORS, *HOSTS)
    for point in _points(rig, scenario, seed)[::3]:
        for who in everybody:
            if who != point.process and not is_routine(point):
                fault = Fault(point.number, 'crash', who, SOON)
                yield Plan(scenario.name, seed, (fault,))


def _pairs(rig: Rig, scenario: Scenario, seed: int) -> Iterator[Plan]:
    """Yield crashes at every point, each with a second one later on."""
    if scenario.name not in PAIRED:
        return
    points = [p for p in _points(rig, scenario, seed) if not is_routine(p)]
    for first in points:
        crash = Fault(first.number, 'crash', None, SOON)
        after = rig.run(scenario, seed, (crash,)).points
        for second in after[first.number :: 5]:
            if not is_routine(second):
                again = Fault(second.number, 'crash', None, SOON)
                yield Plan(scenario.name, seed, (crash, again))


def at_random(number: int) -> Plan:
    """Return the plan of a random schedule: all from its number."""
    draw = random.Random(f'schedule {number}')
    scenario = draw.choice(sorted(SCENARIOS))
    found = []
    for _ in range(draw.choice((1, 1, 2, 3, 4))):
        at = draw.randrange(1, 400)
        kind = draw.choice(sorted(faults.KINDS))
        who = None
        if kind in ('crash', 'pause', 'skew') and draw.random() < 0.5:
            who = draw.choice(('api', *CONDUCTORS, *HOSTS))
        if kind == 'gone':
            who = draw.choice(HOSTS)
        seconds = draw.choice((0.5, SOON, 20.0, LATE))
        if kind == 'skew':
            seconds *= draw.choice((1, -1))
        if kind == 'twin':
            seconds = LATE
        found.append(Fault(at, kind, who, seconds))
    return Plan(scenario, number, tuple(found))


_Make = Callable[[Rig, Scenario, int], Iterator[Plan]]

#: What may be explored, by name.
CAMPAIGNS: Final[dict[str, _Make]] = {
    'crash': functools.partial(_every, 'crash', SOON, _is_own),
    'crash-late': functools.partial(_every, 'crash', LATE, _is_own),
    'crash-other': _others,
    'pause': functools.partial(_every, 'pause', SOON * 10, _is_switching),
    'pause-late': functools.partial(_every, 'pause', LATE, _is_switching),
    'twin': functools.partial(_every, 'twin', LATE, _is_switching),
    'lose': functools.partial(_every, 'lose', SOON, _is_sent),
    'twice': functools.partial(_every, 'twice', SOON, _is_sent),
    'late': functools.partial(_every, 'late', SOON, _is_sent),
    'deadlock': functools.partial(_every, 'deadlock', SOON, _is_commit),
    'doubt': functools.partial(_every, 'doubt', SOON, _is_commit),
    'database': functools.partial(_every, 'database', 30.0, _is_commit),
    'broker': functools.partial(_every, 'broker', 30.0, _is_sent),
    'fail': functools.partial(_every, 'fail', SOON, _is_call),
    'pairs': _pairs,
}


#: Those with one fault each.
SINGLE: Final = tuple(name for name in CAMPAIGNS if name != 'pairs')


def find(rig: Rig, fault: Planted) -> str | None:
    """Look for a planted fault; return what gave it away, None: nothing."""
    for campaign, name in itertools.product(fault.campaigns, fault.scenarios):
        scenario = SCENARIOS[name]
        # What should happen is found out before.
        rig.usual(scenario, 0)
        made = list(CAMPAIGNS[campaign](rig, scenario, 0))
        with fault.planted():
            for count, plan in enumerate(made, 1):
                run = rig.run(scenario, plan.seed, plan.faults)
                found = run.violations + rig.differences(run)
                if found:
                    return f'{campaign} of {name}, run {count}: {found[0]}'
    return None


# -- running it --------------------------------------------------------------

_rig: Rig | None = None


def _own_rig() -> Rig:
    global _rig
    if _rig is None:
        # A process of a pool knows nothing of what its maker has read.
        CONF([], project='minova', default_config_files=[])
        _rig = Rig()
        _rig.run(SCENARIOS['create'])
        # What is there now stays: it need not be looked through for garbage.
        gc.collect()
        gc.freeze()
    return _rig


def _run(plan: Plan) -> Run:
    rig = _own_rig()
    run = rig.run(SCENARIOS[plan.scenario], plan.seed, plan.faults)
    run.violations += rig.differences(run)
    run.points = run.points[-1:]  # it goes from one process to another
    return run


def plans(campaign: str, scenario: str, seed: int) -> list[Plan]:
    """Return the plans of a campaign for one scenario."""
    make = CAMPAIGNS[campaign]
    return list(make(_own_rig(), SCENARIOS[scenario], seed))


def _plans(asked: tuple[str, str, int]) -> list[Plan]:
    return plans(*asked)


def carry_out(
    campaigns: Iterable[str],
    scenarios: Iterable[str],
    seed: int = 0,
    workers: int = 1,
) -> Iterator[Run]:
    """Make all runs of campaigns, in as many processes."""
    asked = [
        (campaign, scenario, seed)
        for campaign, scenario in itertools.product(campaigns, scenarios)
    ]
    with multiprocessing.get_context('spawn').Pool(workers) as pool:
        for found in pool.imap(_plans, asked):
            yield from pool.imap_unordered(_run, found, 8)


def wander(first: int, count: int, workers: int = 1) -> Iterator[Run]:
    """Make so many random runs."""
    with multiprocessing.get_context('spawn').Pool(workers) as pool:
        numbers = range(first, first + count)
        yield from pool.imap_unordered(_run, map(at_random, numbers), 8)
