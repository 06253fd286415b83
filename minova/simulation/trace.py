# SPDX-License-Identifier: Apache-2.0
"""A run as a timeline: what the services said, and the points they passed."""

from collections.abc import Iterator

from minova.simulation import explore
from minova.simulation.runs import Run


def format_trace(run: Run, all_points: bool = False) -> Iterator[str]:
    """Yield the lines of a run; signs of life only if asked for."""
    struck = {fault.point: fault for fault in run.faults}
    lines = []
    for point in run.points:
        number = point.number
        if all_points or number in struck or not explore.is_routine(point):
            text = f'  #{number} {point.kind} {point.what}'
            lines.append((point.time, point.process, text, number))
    lines += [(at, who, text, 0) for at, who, text in run.log_lines]
    for at, who, text, number in sorted(lines, key=lambda line: line[0]):
        fault = struck.get(number) if number else None
        mark = f'   <== {fault}' if fault else ''
        yield f'{at:10.3f} s  {who:<8} {text}{mark}'
    ended = ', '.join(f'{kind} {state}' for kind, state in run.outcomes)
    yield f'Ended after {run.seconds:.0f} virtual seconds: {ended}'
