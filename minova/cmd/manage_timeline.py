# SPDX-License-Identifier: Apache-2.0
"""minova-manage timeline: the history of an instance."""

import argparse

from minova import exception
from minova import states
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.queries import instances
from minova.engine import next_steps
from minova.engine import timeline


def show(arguments: argparse.Namespace) -> int:
    """Print the operations of an instance with their steps and events."""
    database = open_database()
    uuid = arguments.instance
    found = database.read(
        lambda connection: instances.get(connection, uuid, deleted=True)
    )
    archived = database.read(
        lambda connection: timeline.describe_archived(connection, uuid)
    )
    if found is None and archived is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    if archived is not None:
        print(archived)
    kinds = tuple(arguments.kind) if arguments.kind else None
    chapters = database.read(
        lambda connection: [
            (*chapter, next_steps.predict(connection, chapter[0]))
            for chapter in timeline.of_instance(connection, uuid, kinds)
        ]
    )
    for number, chapter in enumerate(chapters):
        if number or archived is not None:
            print()
        for text in timeline.render(*chapter):
            print(text)
    return 0


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_command('timeline', show, timeout=600)
    parser.add_argument('instance', help='the uuid of the instance')
    parser.add_argument(
        '--kind',
        action='append',
        choices=tuple(states.TABLE),
        metavar='KIND',
        help='only operations of this kind; repeatable',
    )
