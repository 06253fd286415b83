#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw what ``minova-manage timeline`` prints as an SVG sequence diagram.

Usage::

    minova-manage timeline SERVER_ID > timeline.txt
    python tools/draw_timeline.py timeline.txt timeline.svg

Each service is a column, each line of the timeline a row: a bar is a step, a
dot a notification, an arrow the hand-over from one step to the next. The same
text always gives the same picture. It needs nothing but Python.
"""

import argparse
import dataclasses
import pathlib
import re
import sys
import textwrap
from xml.sax.saxutils import escape

_LINE = re.compile(
    r' *(?P<ms>[0-9.]+) ms  (?P<place>.{22}) (?P<sign>[~<>]) '
    r'(?P<what>\S.*?)(?:  +(?P<detail>\S.*))?$'
)

_TOP = 58
_LEFT = 78
_CHARACTER = 6.7
_SMALL = 6.1
_ROW = 17
_BAR = 8

_STYLE = """
text { font: 11px ui-monospace, 'DejaVu Sans Mono', Menlo, monospace;
       fill: #1f2328 }
.card { fill: #ffffff; stroke: #d0d7de }
.title { font-size: 13px; font-weight: bold }
.lane { font-weight: bold }
.small { font-size: 10px; fill: #59636e }
.bad { fill: #cf222e }
.rule { stroke: #d0d7de; stroke-dasharray: 2 3 }
.step { font-weight: bold }
.bar { fill: #54aeff }
.bar.failed { fill: #ff8182 }
.dot { fill: #1a7f37 }
.hand { stroke: #8c959f; fill: none }
.head { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .card { fill: #0d1117; stroke: #3d444d }
  .small { fill: #9198a1 }
  .bad { fill: #ff7b72 }
  .rule { stroke: #3d444d }
  .bar { fill: #1f6feb }
  .bar.failed { fill: #b62324 }
  .dot { fill: #3fb950 }
}
"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of a timeline."""

    ms: str
    lane: str
    sign: str
    what: str
    detail: str


@dataclasses.dataclass
class Operation:
    """One operation of a timeline."""

    title: str
    reason: str
    entries: list[Entry]


def parse(text: str) -> list[Operation]:
    """Return the operations of a timeline; ValueError for another text."""
    found: list[Operation] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and found:
            service, _, host = match['place'].strip().partition(' ')
            lane = host if service == 'compute' else service
            found[-1].entries.append(
                Entry(
                    match['ms'],
                    lane,
                    match['sign'],
                    match['what'],
                    match['detail'] or '',
                )
            )
        elif line and not line.startswith(' '):
            title = re.sub(r' \(req-[^)]*\)', '', line)
            found.append(Operation(title, '', []))
        elif line.startswith('  because: '):
            found[-1].reason = line.strip().removeprefix('because: ')
    if not any(operation.entries for operation in found):
        raise ValueError('this is not what minova-manage timeline prints')
    return found


def _label(entry: Entry) -> tuple[str, list[str]]:
    """Return the first line of a row's text, and the small ones below."""
    if entry.sign == '~':
        return entry.what, [entry.detail] if entry.detail else []
    if entry.sign == '>':
        again = re.search(r' \(attempt .*\)', entry.what)
        return entry.what, [again[0].strip()] if again else []
    state, _, error = entry.detail.partition(': ')
    if error:
        return '', textwrap.wrap(f'failed: {error}', 38)
    return '', ['undone later'] if state == 'undone' else []


class _Drawing:
    def __init__(self, operations: list[Operation]) -> None:
        self._parts: list[str] = []
        entries = [e for o in operations for e in o.entries]
        lanes = sorted({e.lane for e in entries}, key=_lane_order)
        self._x: dict[str, float] = {}
        x: float = _LEFT
        for lane in lanes:
            self._x[lane] = x + _BAR
            widths = [len(lane) * _CHARACTER]
            for entry in (e for e in entries if e.lane == lane):
                first, small = _label(entry)
                widths.append(len(first) * _CHARACTER)
                widths += [len(text) * _SMALL for text in small]
            x += max(widths) + 44
        titles = [
            _LEFT + len(o.title + o.reason) * _CHARACTER for o in operations
        ]
        self.width = round(max(x, *titles))
        self._y: float = 0
        for operation in operations:
            self._operation(operation, lanes)
        self.height = round(self._y + 14)

    def _text(self, x: float, y: float, text: str, kind: str) -> None:
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>'
        )

    def _operation(self, operation: Operation, lanes: list[str]) -> None:
        top = self._y
        self._text(14, top + 24, operation.title, 'title')
        if operation.reason:
            x = 14 + (len(operation.title) + 3) * 8
            self._text(x, top + 24, operation.reason, 'small bad')
        for lane in lanes:
            self._text(self._x[lane] - 4, top + 46, lane, 'lane')
        at = len(self._parts)
        self._y = top + _TOP
        self._rows(operation.entries)
        rules = [
            f'<path d="M{self._x[lane]:g} {top + 52:g}V{self._y:g}" '
            'class="rule"/>'
            for lane in lanes
        ]
        self._parts[at:at] = rules

    def _rows(self, entries: list[Entry]) -> None:
        opened: dict[tuple[str, str], tuple[float, int]] = {}
        last_ms = ''
        #: The lanes of the steps that run, the newest last.
        running: list[str] = []
        source = entries[0].lane
        for entry in entries:
            if entry.sign == '>':
                self._y += 6
            y = self._y + 12
            first, small = _label(entry)
            x = self._x[entry.lane]
            method = entry.what.partition(' (')[0]
            if entry.ms != last_ms and (first or small):
                label = f'{entry.ms} ms'
                right = _LEFT - 10 - len(label) * _SMALL
                self._text(right, y, label, 'small')
                last_ms = entry.ms
            if entry.sign == '>':
                self._arrow(running[-1] if running else source, entry.lane, y)
                opened[entry.lane, method] = (y - 12, len(self._parts))
                running.append(entry.lane)
                self._text(x + 12, y, first, 'step')
            elif entry.sign == '~':
                self._parts.append(
                    f'<circle cx="{x:g}" cy="{y - 4:g}" r="2.5" class="dot"/>'
                )
                self._text(x + 12, y, first, 'event')
            offset = 0 if first else -12
            for number, text in enumerate(small, 1):
                kind = 'small bad' if text.startswith('failed') else 'small'
                self._text(x + 12, y + offset + number * 12, text, kind)
            self._y += (_ROW if first else 2) + 12 * len(small)
            if entry.sign == '<' and (entry.lane, method) in opened:
                begin, at = opened.pop((entry.lane, method))
                failed = ' failed' if ': ' in entry.detail else ''
                self._parts.insert(
                    at,
                    f'<rect x="{x - _BAR / 2:g}" y="{begin:g}" '
                    f'width="{_BAR}" height="{self._y - begin:g}" rx="3" '
                    f'class="bar{failed}"/>',
                )
                if entry.lane in running:
                    running.remove(entry.lane)
                source = entry.lane
                self._y += 4

    def _arrow(self, source: str, target: str, y: float) -> None:
        begin, end = self._x[source], self._x[target]
        if begin == end:
            return
        way = 1 if end > begin else -1
        tip = end - way * 6
        level = y - 12
        self._parts.append(
            f'<path d="M{begin + way * 5:g} {level:g}H{tip:g}" class="hand"/>'
            f'<path d="M{tip:g} {level:g}l{-way * 6} -3v6z" class="head"/>'
        )

    def svg(self) -> str:
        body = '\n'.join(self._parts)
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">\n'
            f'<style>{_STYLE}</style>\n'
            f'<rect x="0.5" y="0.5" width="{self.width - 1}" '
            f'height="{self.height - 1}" rx="6" class="card"/>\n'
            f'{body}\n</svg>\n'
        )


def _lane_order(lane: str) -> tuple[int, str]:
    known = ('api', 'conductor')
    return (known.index(lane) if lane in known else len(known), lane)


def draw(text: str) -> str:
    """Return the SVG of a timeline."""
    return _Drawing(parse(text)).svg()


def main() -> int:
    """Read a timeline, write its picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('timeline', help='a file; - is the standard input')
    parser.add_argument('svg', nargs='?', help='standard output without it')
    arguments = parser.parse_args()
    if arguments.timeline == '-':
        text = sys.stdin.read()
    else:
        text = pathlib.Path(arguments.timeline).read_text()
    try:
        picture = draw(text)
    except ValueError as error:
        print(f'{arguments.timeline}: {error}', file=sys.stderr)
        return 1
    if arguments.svg:
        pathlib.Path(arguments.svg).write_text(picture)
    else:
        sys.stdout.write(picture)
    return 0


if __name__ == '__main__':
    sys.exit(main())
