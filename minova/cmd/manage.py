# SPDX-License-Identifier: Apache-2.0
"""minova-manage: what an operator does beside the API."""

import argparse
from collections.abc import Callable
import sys

from minova import exception
from minova import service
from minova.cmd import diagrams
from minova.conf import CONF
from minova.db import engine
from minova.db import hosts
from minova.db import instances
from minova.db import schema
from minova.operations import timeline

PROG = 'minova-manage'


def db_sync(arguments: argparse.Namespace) -> int:
    """Bring the database's schema up to this release's."""
    from minova.db import migrate

    database = engine.connect(CONF)
    before = schema.current(database)
    migrate.sync(database)
    after = schema.current(database)
    if before == after:
        print(f'The schema is at {after} already.')
    else:
        print(f'The schema went from {before or "nothing"} to {after}.')
    return 0


def db_version(arguments: argparse.Namespace) -> int:
    """Print the revision of the database, and the one that is needed."""
    found = schema.current(engine.connect(CONF))
    print(f'{found or "empty"} (this release needs {schema.HEAD})')
    return 0 if found is not None and found >= schema.HEAD else 1


def host_list(arguments: argparse.Namespace) -> int:
    """Print the hosts, whether they are up and what of them is promised."""
    database = engine.connect(CONF)
    services = {
        found.host: found
        for found in database.read(
            lambda connection: hosts.services(connection, 'nova-compute')
        )
    }
    line = '{:<24} {:<6} {:<9} {:>15} {:>19} {:>15}'.format
    print(line('HOST', 'STATE', 'STATUS', 'VCPUS', 'MEMORY MiB', 'DISK GiB'))
    for row in database.read(hosts.hosts):
        found = services[row.host]
        up = found.is_up(CONF.conductor.service_down_time)
        print(
            line(
                row.host,
                'up' if up else 'down',
                'disabled' if found.disabled else 'enabled',
                f'{row.vcpus_used}/{row.vcpus * row.cpu_ratio:.0f}',
                f'{row.memory_mb_used}/{row.memory_mb * row.memory_ratio:.0f}',
                f'{row.disk_gb_used}/{row.disk_gb * row.disk_ratio:.0f}',
            )
        )
    return 0


def show_timeline(arguments: argparse.Namespace) -> int:
    """Print what happened to an instance, operation by operation."""
    database = engine.connect(CONF)
    uuid = arguments.instance
    found = database.read(
        lambda connection: instances.get(connection, uuid, deleted=True)
    )
    if found is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    kinds = tuple(arguments.kind) if arguments.kind else None
    told = database.read(
        lambda connection: list(timeline.of_instance(connection, uuid, kinds))
    )
    for number, (operation, entries) in enumerate(told):
        if number:
            print()
        for text in timeline.render(operation, entries):
            print(text)
    return 0


def states_draw(arguments: argparse.Namespace) -> int:
    """Print the diagram of an instance's life, in Graphviz's language."""
    print(diagrams.states_diagram())
    return 0


def states_table(arguments: argparse.Namespace) -> int:
    """Print the state table."""
    print(diagrams.table(rst=arguments.rst))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help='a configuration file; may be given again',
    )
    groups = parser.add_subparsers(required=True, metavar='COMMAND')

    def command(
        group: 'argparse._SubParsersAction[argparse.ArgumentParser]',
        name: str,
        run: Callable[[argparse.Namespace], int],
        needs_conf: bool = True,
    ) -> argparse.ArgumentParser:
        made = group.add_parser(name, help=run.__doc__)
        made.set_defaults(run=run, needs_conf=needs_conf)
        return made

    def group(
        name: str, text: str
    ) -> 'argparse._SubParsersAction[argparse.ArgumentParser]':
        made = groups.add_parser(name, help=text)
        return made.add_subparsers(required=True, metavar='COMMAND')

    database = group('db', 'the database')
    command(database, 'sync', db_sync)
    command(database, 'version', db_version)
    host = group('host', 'compute hosts')
    command(host, 'list', host_list)
    line = command(groups, 'timeline', show_timeline)
    line.add_argument('instance', help='its id')
    line.add_argument(
        '--kind', action='append', help='only operations of this kind'
    )
    table = group('states', 'the life of an instance')
    command(table, 'draw', states_draw, needs_conf=False)
    text = command(table, 'table', states_table, needs_conf=False)
    text.add_argument('--rst', action='store_true', help='as reStructuredText')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run minova-manage; 0 when done, 1 when not, 2 for wrong words."""
    arguments = _parser().parse_args(argv)
    if arguments.needs_conf:
        files = [f'--config-file={name}' for name in arguments.config_file]
        service.configure(files, PROG)
    try:
        code: int = arguments.run(arguments)
    except exception.ConfigInvalid as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 2
    except exception.MinovaException as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 1
    return code


if __name__ == '__main__':
    sys.exit(main())
