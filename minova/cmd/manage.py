# SPDX-License-Identifier: Apache-2.0
"""minova-manage: what an operator does beside the API."""

import argparse
from collections.abc import Callable
import math
import os
import sys

from oslo_log import log as logging

from minova import exception
from minova import service
from minova import states
from minova.cmd import diagrams
from minova.cmd import manage_audit
from minova.conf import CONF
from minova.db import engine
from minova.db import hosts
from minova.db import instances
from minova.db import operations
from minova.db import schema
from minova.operations import timeline

PROG = 'minova-manage'


def db_sync(arguments: argparse.Namespace) -> int:
    """Bring the database's schema up to this release's."""
    from minova.db import migrate

    database = engine.connect(CONF)
    before = schema.current(database)
    # A newer release may have been there: it works with this one, and its
    # migrations are not known here.
    if before is None or before < schema.HEAD:
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


def _current() -> engine.Database:
    """Return the database; Unavailable when its schema is too old."""
    database = engine.connect(CONF)
    schema.require(database)
    return database


def host_list(arguments: argparse.Namespace) -> int:
    """Print the hosts, whether they are up and what of them is promised."""
    database = _current()
    # Hosts first: one that registers meanwhile is not missed among services.
    rows, services = database.read(
        lambda connection: (
            hosts.hosts(connection),
            hosts.services(connection, operations.COMPUTE),
        )
    )
    by_host = {found.host: found for found in services}
    line = '{:<24} {:<6} {:<9} {:>15} {:>19} {:>15}'.format
    print(line('HOST', 'STATE', 'STATUS', 'VCPUS', 'MEMORY MiB', 'DISK GiB'))
    for row in rows:
        found = by_host.get(row.host)
        up = found and found.is_up(CONF.conductor.service_down_time)
        enabled = found and not found.disabled
        memory_mb = row.memory_mb - row.reserved_memory_mb
        disk_gb = row.disk_gb - row.reserved_disk_gb
        print(
            line(
                row.host,
                'up' if up else 'down',
                'enabled' if enabled else 'disabled',
                _of(row.vcpus_used, row.vcpus * row.cpu_ratio),
                _of(row.memory_mb_used, memory_mb * row.memory_ratio),
                _of(row.disk_gb_used, disk_gb * row.disk_ratio),
            )
        )
    return 0


def _of(used: int, most: float) -> str:
    """Return what is promised of what a claim may reach."""
    return f'{used}/{math.floor(most)}'


def show_timeline(arguments: argparse.Namespace) -> int:
    """Print what happened to an instance, operation by operation."""
    database = _current()
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


def audit(arguments: argparse.Namespace) -> int:
    """Find what breaks the laws, on hosts and in the database; repair it."""
    return manage_audit.run(arguments, _current)


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
        '--kind',
        action='append',
        choices=tuple(states.TABLE),
        metavar='KIND',
        help='only operations of this kind; may be given again',
    )
    manage_audit.add_words(command(groups, 'audit', audit))
    table = group('states', 'the life of an instance')
    command(table, 'draw', states_draw, needs_conf=False)
    text = command(table, 'table', states_table, needs_conf=False)
    text.add_argument('--rst', action='store_true', help='as reStructuredText')
    return parser


def _configure(files: list[str]) -> None:
    """Read the configuration; what is logged goes beside the output."""
    logging.register_options(CONF)
    CONF.set_default('use_stderr', True)
    try:
        service.configure([f'--config-file={name}' for name in files], PROG)
    except OSError as error:
        # A configuration or a log file that cannot be opened.
        raise exception.ConfigInvalid(reason=str(error)) from error


def main(argv: list[str] | None = None) -> int:
    """Run minova-manage; 0 when done, 1 when not, 2 for wrong words."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.needs_conf:
            _configure(arguments.config_file)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except exception.ConfigInvalid as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 2
    except exception.MinovaException as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Who read it, a pager, has seen enough; Python would flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == '__main__':
    sys.exit(main())
