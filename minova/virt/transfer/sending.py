# SPDX-License-Identifier: Apache-2.0
"""The source's procedure: say what comes, compare, send what differs.

It is told in steps, each of a moment, so that whoever asks for it can stop
between two of them. It begins anew at any time: what is there is not sent
again.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
from typing import Any

from minova import exception
from minova.virt.driver import Progress
from minova.virt.transfer import ranges
from minova.virt.transfer.client import Link
from minova.virt.transfer.reception import MOST
from minova.virt.transfer.reception import Plan

#: How often what differs, or has changed, is sent anew before it is given up.
_TRIES = 3


@dataclasses.dataclass(frozen=True)
class Cargo:
    """What is handed over: paths, by name, and what stands on what."""

    files: dict[str, str]
    bases: dict[str, str]
    overlays: dict[str, tuple[str, str]]
    shared: bool = False


def send(
    uuid: str, invitation: dict[str, Any], cargo: Cargo
) -> Iterator[Progress]:
    """Hand over; the last step ends when the destination has it all, whole.

    Raises HandOverInterrupted when the destination does not answer and
    DiskFailed when it cannot be done; OSError of the own files.
    """
    with Link(uuid, invitation) as link:
        for _ in range(_TRIES):
            before = _stamps(cargo)
            sender = _Sender(uuid, link, cargo)
            yield from sender.send()
            if _stamps(cargo) == before and sender.is_finished():
                return
    raise exception.DiskFailed(
        instance_id=uuid,
        reason='its disks have changed each time while they were handed over; '
        'something else uses them',
    )


def check(uuid: str, invitation: dict[str, Any], cargo: Cargo) -> None:
    """Tell the destination what will come; raises what ``send`` would."""
    with Link(uuid, invitation) as link:
        _Sender(uuid, link, cargo).plan()


def _stamps(cargo: Cargo) -> list[tuple[int, int]]:
    """Return what changes when a file does."""
    paths = [*cargo.bases.values(), *cargo.files.values()]
    return [
        (found.st_size, found.st_mtime_ns) for found in map(os.stat, paths)
    ]


class _Sender:
    """One go at it."""

    def __init__(self, uuid: str, link: Link, cargo: Cargo) -> None:
        self._uuid = uuid
        self._link = link
        self._cargo = cargo
        self._sizes = {
            kind: {name: os.stat(path).st_size for name, path in paths.items()}
            for kind, paths in (
                ('bases', cargo.bases),
                ('files', {} if cargo.shared else cargo.files),
            )
        }
        self._total = sum(
            sum(sizes.values()) for sizes in self._sizes.values()
        )
        self._done = 0
        self._arrived = False

    def plan(self) -> None:
        """Tell what will come, and learn whether it has arrived before."""
        plan = Plan(
            self._sizes['files'],
            self._sizes['bases'],
            self._cargo.overlays,
            self._cargo.shared,
        )
        self._arrived = self._link.plan(plan.as_dict())

    def send(self) -> Iterator[Progress]:
        """Send what is missing."""
        self.plan()
        if self._arrived:
            yield Progress(self._total, self._total)
            return
        yield Progress(self._total, 0)
        for kind, paths in (
            ('bases', self._cargo.bases),
            ('files', self._cargo.files),
        ):
            for name in self._sizes[kind]:
                yield from self._send_file(f'{kind}/{name}', paths[name])

    def is_finished(self) -> bool:
        """Have it named; False when something must be compared again."""
        return self._arrived or not self._link.finish()

    def _send_file(self, path: str, source: str) -> Iterator[Progress]:
        kind, _, name = path.partition('/')
        size = self._sizes[kind][name]
        with open(source, 'rb') as file:
            for first in range(0, ranges.count(size), MOST):
                yield from self._send_range(path, file.fileno(), size, first)
                left = size - first * ranges.BLOCK
                self._done += min(MOST * ranges.BLOCK, left)
                yield Progress(self._total, self._done)

    def _send_range(
        self, path: str, file: int, size: int, first: int
    ) -> Iterator[Progress]:
        """Send of so many blocks those that differ, and see them arrive."""
        for _ in range(_TRIES):
            own = ranges.digests(file, size, first, MOST)
            differ = self._link.compare(path, first, own)
            if not differ:
                return
            for number in differ:
                block = ranges.read(file, size, number)
                self._link.send(path, number, block)
                yield Progress(
                    self._total, self._done + (number - first) * ranges.BLOCK
                )
        if self._link.compare(
            path, first, ranges.digests(file, size, first, MOST)
        ):
            raise exception.DiskFailed(
                instance_id=self._uuid,
                reason=f'{path} has arrived damaged {_TRIES} times, or is '
                'changed while it is sent',
            )


def files_of(folder: str) -> dict[str, str]:
    """Return the paths of what may be handed over of a directory, by name.

    What begins with a dot is half done and stays.
    """
    with contextlib.closing(os.scandir(folder)) as entries:
        return {
            entry.name: entry.path
            for entry in sorted(entries, key=lambda entry: entry.name)
            if not entry.name.startswith('.')
        }
