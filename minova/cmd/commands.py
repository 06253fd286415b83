# SPDX-License-Identifier: Apache-2.0
"""Commands with sub-commands, as minova-manage has them.

A module with commands has a function ``add_commands``, which adds them to the
parser. A command is a function of the parsed arguments: it prints its output
and returns the exit code. Each command has a time limit: the option
``--timeout`` with a default of its own, which ``run`` enforces.
"""

import argparse
from collections.abc import Callable
import sys
from typing import Final

from minova.cmd import time_limit
from minova.cmd.argument_types import bounded_int

#: The limit of a command that reads or writes a few rows, in seconds.
DEFAULT_TIMEOUT: Final = 60
_MAX_TIMEOUT: Final = 30 * 24 * 3600

CommandFunction = Callable[[argparse.Namespace], int]


class Commands:
    """A parser's sub-commands."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._subparsers = parser.add_subparsers(
            required=True, metavar='COMMAND'
        )

    def add_command(
        self,
        name: str,
        run: CommandFunction,
        needs_conf: bool = True,
        timeout: int = DEFAULT_TIMEOUT,
    ) -> argparse.ArgumentParser:
        """Add a command; its help is the docstring of ``run``.

        ``timeout`` is the default of its time limit, in seconds.
        """
        parser = self._subparsers.add_parser(name, help=run.__doc__)
        parser.set_defaults(run=run, needs_conf=needs_conf)
        parser.add_argument(
            '--timeout',
            type=bounded_int(1, _MAX_TIMEOUT),
            default=timeout,
            metavar='SECONDS',
            help='the longest duration of the command; then it says what it '
            'waits for and exits with 1 (%(default)s)',
        )
        return parser

    def add_group(self, name: str, help_text: str) -> 'Commands':
        """Add a group of commands."""
        return Commands(self._subparsers.add_parser(name, help=help_text))


def run(
    prog: str,
    arguments: argparse.Namespace,
    configure: Callable[[], None] | None = None,
) -> int:
    """Run the parsed command within its time limit; return its exit code.

    ``configure`` runs before it, within the limit.
    """

    def work() -> int:
        if configure is not None:
            configure()
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code

    return time_limit.TimeLimit(prog, arguments.timeout).run(work)
