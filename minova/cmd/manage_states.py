# SPDX-License-Identifier: Apache-2.0
"""minova-manage states: the life of an instance, as picture and table."""

import argparse

from minova.cmd import diagrams
from minova.cmd.commands import Commands


def draw(arguments: argparse.Namespace) -> int:
    """Print the diagram of an instance's life, in Graphviz's language."""
    print(diagrams.states_diagram())
    return 0


def table(arguments: argparse.Namespace) -> int:
    """Print the state table."""
    print(diagrams.table(rst=arguments.rst))
    return 0


def add(commands: Commands) -> None:
    """Add the commands."""
    group = commands.group('states', 'the life of an instance')
    group.command('draw', draw, needs_conf=False)
    made = group.command('table', table, needs_conf=False)
    made.add_argument('--rst', action='store_true', help='as reStructuredText')
