# SPDX-License-Identifier: Apache-2.0
"""Record and check the console lines of counting guests.

``watch RECORD NAME=DIRECTORY...`` polls the console logs below the guest
directories of hosts and writes each count with its time, until SIGTERM::

    12.345 host1 COUNT 57 boot=6ff9... memory=38c7... disk=c1bc...

The times are exact to some milliseconds. A removed console log is read to its
end. The two parts of a line that a guest started on one host and finished on
another one, because it migrated, are joined.

``report RECORD`` prints the hosts of the guest, its longest pause, and whether
it is the same guest with the same memory and disk and without a missing count.
It exits with 1 if it is not.
"""

import argparse
import contextlib
import glob
import itertools
import os
import re
import signal
import sys
import time
import types
from typing import NamedTuple
from typing import TextIO

_POLL_SECONDS = 0.005
_SCAN_SECONDS = 0.05
_LINE = re.compile(r'COUNT \d+ boot=\S+ memory=\S+ disk=\S+')
_RECORDED = re.compile(
    r'(?P<moment>[\d.]+) (?P<host>\S+) COUNT (?P<number>\d+) '
    r'boot=(?P<boot>\S+) memory=(?P<memory>\S+) disk=(?P<disk>\S+)'
)


# -- watching ----------------------------------------------------------------


class _Console:
    """The open console log of a guest, with the start of a line."""

    def __init__(self, host: str, path: str) -> None:
        self.host = host
        self.fresh = True
        self.rest = ''
        self._file = open(path, 'rb')  # noqa: SIM115  read until the end

    def lines(self) -> list[str]:
        """Return the lines that were completed since the last call."""
        text = self.rest + self._file.read().decode(errors='replace')
        *lines, self.rest = text.split('\n')
        return lines


class _ConsoleWatcher:
    """The console logs of all hosts, and the record."""

    def __init__(self, places: dict[str, str], record: TextIO) -> None:
        self._places = places
        self._record = record
        #: By inode: the kernel reuses no inode of an open file.
        self._consoles: dict[int, _Console] = {}

    def open_new(self) -> None:
        """Open new console logs."""
        for host, directory in self._places.items():
            for path in glob.glob(f'{glob.escape(directory)}/*/console.log'):
                # The log may have been removed meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    inode = os.stat(path).st_ino
                    if inode not in self._consoles:
                        self._consoles[inode] = _Console(host, path)

    def record(self) -> None:
        """Record the counts since the last poll."""
        for console in self._consoles.values():
            lines = console.lines()
            moment = time.monotonic()
            for line in lines:
                found = _LINE.search(self._join_fragments(console, line))
                if found is not None:
                    self._record.write(
                        f'{moment:.3f} {console.host} {found[0]}\n'
                    )
                console.fresh = False

    def _join_fragments(self, console: _Console, line: str) -> str:
        """Return a line with its start from another console."""
        if console.fresh and not line.startswith('COUNT'):
            for other in self._consoles.values():
                if other is not console and _LINE.search(other.rest + line):
                    begun, other.rest = other.rest, ''
                    return begun + line
        return line


def _end(number: int, frame: types.FrameType | None) -> None:
    sys.exit(0)


def watch(arguments: argparse.Namespace) -> int:
    """Record counts until SIGTERM."""
    signal.signal(signal.SIGTERM, _end)
    places = dict(place.split('=', 1) for place in arguments.places)
    with open(arguments.record, 'w', encoding='utf-8', buffering=1) as record:
        watching = _ConsoleWatcher(places, record)
        for number in itertools.count():
            if number % round(_SCAN_SECONDS / _POLL_SECONDS) == 0:
                watching.open_new()
            watching.record()
            time.sleep(_POLL_SECONDS)
    return 0


# -- reporting ---------------------------------------------------------------


class _Count(NamedTuple):
    moment: float
    host: str
    number: int
    boot: str
    memory: str
    disk: str


def _read(path: str) -> list[_Count]:
    with open(path, encoding='utf-8') as file:
        rows = [found for line in file if (found := _RECORDED.match(line))]
    return [
        _Count(
            float(row['moment']),
            row['host'],
            int(row['number']),
            row['boot'],
            row['memory'],
            row['disk'],
        )
        for row in rows
    ]


def report(arguments: argparse.Namespace) -> int:
    """Print the report of a record."""
    counts = sorted(_read(arguments.record), key=lambda one: one.number)
    if len(counts) < 2:
        sys.stderr.write(f'{arguments.record}: there are no counts\n')
        return 1
    for host, group in itertools.groupby(counts, lambda one: one.host):
        there = list(group)
        print(f'{host}   counts {there[0].number} to {there[-1].number}')
    pauses = [
        (after.moment - before.moment, before, after)
        for before, after in itertools.pairwise(counts)
    ]
    usual = sorted(pause for pause, _, _ in pauses)[len(pauses) // 2]
    longest, before, after = max(pauses)
    print(
        f'pause   {1000 * longest:.0f} ms at most, between {before.number} at '
        f'{before.host} and {after.number} at {after.host}; '
        f'usual are {1000 * usual:.0f} ms'
    )
    return 0 if _judge(counts) else 1


def _judge(counts: list[_Count]) -> bool:
    """Tell whether one guest wrote all counts."""
    good = True
    for name in ('boot', 'memory', 'disk'):
        tokens = sorted({getattr(one, name) for one in counts})
        same = len(tokens) == 1
        good = good and same
        print(f'{name:7} {"the same, " if same else "DIFFERS: "}', end='')
        print(*tokens)
    numbers = [one.number for one in counts]
    every = list(range(numbers[0], numbers[-1] + 1))
    if numbers == every:
        print(f'counts  all {len(numbers)}, none missing, none twice')
        return good
    print(f'counts  MISSING {sorted(set(every) - set(numbers))}', end='')
    print(f', TWICE {sorted(n for n in every if numbers.count(n) > 1)}')
    return False


def main() -> int:
    """Watch or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser('watch')
    command.add_argument('record')
    command.add_argument('places', nargs='+', metavar='NAME=DIRECTORY')
    command.set_defaults(run=watch)
    command = commands.add_parser('report')
    command.add_argument('record')
    command.set_defaults(run=report)
    arguments = parser.parse_args()
    code: int = arguments.run(arguments)
    return code


if __name__ == '__main__':
    sys.exit(main())
