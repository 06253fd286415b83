# SPDX-License-Identifier: Apache-2.0
"""The trace of a run: the log lines and the points in the order of time."""

from collections.abc import Iterator

from minova.simulation import explore
from minova.simulation.runs import Run


def format_trace(run: Run, all_points: bool = False) -> Iterator[str]:
    """Yield the lines of a trace; ``all_points`` includes routine points."""
    faults = {fault.point: fault for fault in run.faults}
    lines = []
    for point in run.points:
        number = point.number
        if all_points or number in faults or not explore.is_routine(point):
            text = f'  #{number} {point.kind} {point.what}'
            lines.append((point.time, point.process, text, number))
    lines += [
        (time, process, text, 0) for time, process, text in run.log_lines
    ]
    for time, process, text, number in sorted(lines, key=lambda line: line[0]):
        fault = faults.get(number) if number else None
        mark = f'   <== {fault}' if fault else ''
        yield f'{time:10.3f} s  {process:<8} {text}{mark}'
    outcomes = ', '.join(f'{kind} {state}' for kind, state in run.outcomes)
    yield f'Ended after {run.seconds:.0f} virtual seconds: {outcomes}'
