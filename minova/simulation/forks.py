# SPDX-License-Identifier: Apache-2.0
"""Runs with a common beginning: forks of one run without faults.

A run equals the run without faults up to the point of its first fault. So one
run without faults is made, and at each planned point the process forks: the
child continues with the faults, the parent waits for its result and goes on to
the next point. A simulation has one thread, so a fork has all of it.
"""

from collections.abc import Iterable
import os
import pickle
import sys
import traceback
from typing import Generic
from typing import NoReturn
from typing import TypeVar

from minova.simulation.faults import Fault

Result = TypeVar('Result')
Faults = tuple[Fault, ...]


class ChildError(Exception):
    """A child ended without a result."""


class Forks(Generic[Result]):
    """The planned faults of one run, of which each is made by a child."""

    def __init__(self, plans: Iterable[Faults]) -> None:
        self._plans: dict[int, list[Faults]] = {}
        for faults in dict.fromkeys(plans):
            first = min(fault.point for fault in faults)
            self._plans.setdefault(first, []).append(faults)
        #: The results of the children.
        self.results: dict[Faults, Result] = {}
        #: The errors of the children without a result.
        self.errors: list[ChildError] = []
        #: Where this process sends its result; None in the parent.
        self._pipe: int | None = None

    def reach(self, number: int) -> Faults:
        """Fork at a point; return the faults that begin in this process.

        Empty in the parent.
        """
        for faults in self._plans.pop(number, ()):
            if self._fork(faults):
                self._plans.clear()
                return faults
        return ()

    def _fork(self, faults: Faults) -> bool:
        """Make a child; True in the child, False when it has ended."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            self._pipe = writer
            return True
        os.close(writer)
        with os.fdopen(reader, 'rb') as stream:
            content = stream.read()
        _, status = os.waitpid(child, 0)
        if status or not content:
            # The error of a service is not an error of the simulation.
            planned = ', '.join(map(str, faults))
            text = f'the run with {planned} ended with status {status}'
            self.errors.append(ChildError(text))
        else:
            self.results[faults] = pickle.loads(content)  # noqa: S301
        return False

    @property
    def is_child(self) -> bool:
        """Whether this process makes a run with faults."""
        return self._pipe is not None

    def end_child(self, result: Result) -> NoReturn:
        """Send the result of a child and end its process."""
        assert self._pipe is not None
        with os.fdopen(self._pipe, 'wb') as stream:
            stream.write(pickle.dumps(result))
        os._exit(0)

    def fail_child(self) -> NoReturn:
        """Print the error of a child and end its process."""
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
