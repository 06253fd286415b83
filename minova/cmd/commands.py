# SPDX-License-Identifier: Apache-2.0
"""Commands with commands of their own, as minova-manage has them.

A module of a group of commands has a function ``add``, which puts them into
the parser. A command is a function of its arguments: it prints, and returns
the exit code.
"""

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]


class Commands:
    """A place in the parser to which commands are added."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._made = parser.add_subparsers(required=True, metavar='COMMAND')

    def command(
        self, name: str, run: Run, needs_conf: bool = True
    ) -> argparse.ArgumentParser:
        """Add a command, helped by the docstring of ``run``."""
        made = self._made.add_parser(name, help=run.__doc__)
        made.set_defaults(run=run, needs_conf=needs_conf)
        return made

    def group(self, name: str, text: str) -> 'Commands':
        """Add a group, to which commands are added."""
        return Commands(self._made.add_parser(name, help=text))
