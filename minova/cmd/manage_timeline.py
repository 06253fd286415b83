# SPDX-License-Identifier: Apache-2.0
"""minova-manage timeline: what happened to an instance."""

import argparse

from minova import exception
from minova import states
from minova.cmd.commands import Commands
from minova.cmd.database import current
from minova.db import instances
from minova.operations import outlook
from minova.operations import timeline


def show(arguments: argparse.Namespace) -> int:
    """Print what happened to an instance, operation by operation."""
    database = current()
    uuid = arguments.instance
    found = database.read(
        lambda connection: instances.get(connection, uuid, deleted=True)
    )
    archived = database.read(
        lambda connection: timeline.archived(connection, uuid)
    )
    if found is None and archived is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    if archived is not None:
        print(archived)
    kinds = tuple(arguments.kind) if arguments.kind else None
    told = database.read(
        lambda connection: [
            (*chapter, outlook.of(connection, chapter[0]))
            for chapter in timeline.of_instance(connection, uuid, kinds)
        ]
    )
    for number, chapter in enumerate(told):
        if number or archived is not None:
            print()
        for text in timeline.render(*chapter):
            print(text)
    return 0


def add(commands: Commands) -> None:
    """Add the command."""
    made = commands.command('timeline', show)
    made.add_argument('instance', help='its id')
    made.add_argument(
        '--kind',
        action='append',
        choices=tuple(states.TABLE),
        metavar='KIND',
        help='only operations of this kind; may be given again',
    )
