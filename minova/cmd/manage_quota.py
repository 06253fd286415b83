# SPDX-License-Identifier: Apache-2.0
"""minova-manage quota: the limits of projects and of users in them."""

import argparse

from minova.cmd.argument_types import bounded_int
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.db.connections.engine import Connection
from minova.quotas import limits

_LINE = '{:<28}  {:>10}  {:>10}'.format
_MAX_LIMIT = 0x7FFFFFFF


def _parse_limit(text: str) -> int:
    if text in ('-1', 'unlimited'):
        return limits.UNLIMITED
    return bounded_int(0, _MAX_LIMIT)(text)


def show(arguments: argparse.Namespace) -> int:
    """Print the limits and the usage of a project."""

    def read(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
        names = (arguments.project, arguments.user)
        return (
            limits.get_limits(connection, *names),
            limits.get_used(connection, *names),
        )

    found, used = open_database().read(read)
    print(_LINE('RESOURCE', 'IN USE', 'LIMIT'))
    names = limits.COMPUTE if arguments.user else limits.RESOURCES
    for name in names:
        limit = found[name]
        shown = 'unlimited' if limit == limits.UNLIMITED else limit
        print(_LINE(name, used[name], shown))
    return 0


def change(arguments: argparse.Namespace) -> int:
    """Set limits of a project; print all of them."""
    values = {
        name: value
        for name in limits.RESOURCES
        if (value := getattr(arguments, name)) is not None
    }
    open_database().write(
        lambda connection: limits.change_limits(
            connection,
            arguments.project,
            arguments.user,
            values,
            arguments.force,
        )
    )
    return show(arguments)


def reset(arguments: argparse.Namespace) -> int:
    """Return to the default limits; print them."""
    open_database().write(
        lambda connection: limits.reset_limits(
            connection, arguments.project, limits.RESOURCES, arguments.user
        )
    )
    return show(arguments)


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('quota', 'limits of projects')
    for name, run in (('show', show), ('set', change), ('delete', reset)):
        command = group.add_command(name, run)
        command.add_argument('project', help='the id of the project')
        command.add_argument(
            '--user', metavar='ID', help='only those of this user in it'
        )
        if run is not change:
            continue
        for resource in limits.RESOURCES:
            command.add_argument(
                f'--{resource.replace("_", "-")}',
                type=_parse_limit,
                metavar='N',
                help='-1 or "unlimited": no limit',
            )
        command.add_argument(
            '--force',
            action='store_true',
            help='set limits below the usage as well',
        )
