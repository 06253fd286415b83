# SPDX-License-Identifier: Apache-2.0
"""minova-manage states: the two state machines, as tables and diagrams."""

import argparse
from typing import Final

from minova.cmd import diagrams
from minova.cmd.commands import Commands

_TABLES: Final = {
    'instance': diagrams.instance_table,
    'migration': diagrams.migration_table,
    'names': diagrams.name_table,
}
_DIAGRAMS: Final = {
    'instance': diagrams.instance_diagram,
    'migration': diagrams.migration_diagram,
}


def draw(arguments: argparse.Namespace) -> int:
    """Print a state diagram in Graphviz's language."""
    print(_DIAGRAMS[arguments.of]())
    return 0


def table(arguments: argparse.Namespace) -> int:
    """Print a state table, or what the Compute API and EC2 call the states."""
    print(_TABLES[arguments.of](rst=arguments.rst))
    return 0


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('states', 'the states of instances, migrations')
    parser = group.add_command('draw', draw, needs_conf=False)
    _add_choice(parser, list(_DIAGRAMS), 'which diagram')
    parser = group.add_command('table', table, needs_conf=False)
    _add_choice(parser, list(_TABLES), 'which table')
    parser.add_argument(
        '--rst', action='store_true', help='print reStructuredText'
    )


def _add_choice(
    parser: argparse.ArgumentParser, choices: list[str], what: str
) -> None:
    parser.add_argument(
        'of',
        nargs='?',
        choices=choices,
        default=choices[0],
        help=f'{what} (default: {choices[0]})',
    )
