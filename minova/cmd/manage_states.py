# SPDX-License-Identifier: Apache-2.0
"""minova-manage states: the life of an instance, as picture and table."""

import argparse

from minova.cmd import diagrams
from minova.cmd.commands import Commands


def draw(arguments: argparse.Namespace) -> int:
    """Print the diagram of an instance's life, in Graphviz's language."""
    print(diagrams.state_diagram())
    return 0


def table(arguments: argparse.Namespace) -> int:
    """Print the state table."""
    print(diagrams.state_table(rst=arguments.rst))
    return 0


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('states', 'the life of an instance')
    group.add_command('draw', draw, needs_conf=False)
    parser = group.add_command('table', table, needs_conf=False)
    parser.add_argument(
        '--rst', action='store_true', help='as reStructuredText'
    )
