# SPDX-License-Identifier: Apache-2.0
"""Commands with sub-commands, as minova-manage has them.

A module with commands has a function ``add_commands``, which adds them to the
parser. A command is a function of the parsed arguments: it prints its output
and returns the exit code.
"""

import argparse
from collections.abc import Callable

CommandFunction = Callable[[argparse.Namespace], int]


class Commands:
    """A parser's sub-commands."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._subparsers = parser.add_subparsers(
            required=True, metavar='COMMAND'
        )

    def add_command(
        self, name: str, run: CommandFunction, needs_conf: bool = True
    ) -> argparse.ArgumentParser:
        """Add a command; its help is the docstring of ``run``."""
        parser = self._subparsers.add_parser(name, help=run.__doc__)
        parser.set_defaults(run=run, needs_conf=needs_conf)
        return parser

    def add_group(self, name: str, help_text: str) -> 'Commands':
        """Add a group of commands."""
        return Commands(self._subparsers.add_parser(name, help=help_text))
