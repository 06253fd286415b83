# SPDX-License-Identifier: Apache-2.0
"""minova-manage: the operator's commands in addition to the API.

Each group of commands has a module of its own; this module combines them.
"""

import argparse
import os
import sys

from oslo_log import log as logging

from minova import exception
from minova import service
from minova.cmd import commands
from minova.cmd import manage_archive
from minova.cmd import manage_audit
from minova.cmd import manage_broker
from minova.cmd import manage_db
from minova.cmd import manage_host
from minova.cmd import manage_network
from minova.cmd import manage_notifications
from minova.cmd import manage_operation
from minova.cmd import manage_quota
from minova.cmd import manage_states
from minova.cmd import manage_timeline
from minova.conf import CONF
from minova.conf import libraries

PROG = 'minova-manage'
_DESCRIPTION = 'Commands of the operator, beside the API.'

#: In the order of the help.
_GROUPS = (
    manage_db,
    manage_host,
    manage_broker,
    manage_network,
    manage_quota,
    manage_operation,
    manage_timeline,
    manage_audit,
    manage_notifications,
    manage_archive,
    manage_states,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=_DESCRIPTION)
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help='a configuration file; repeatable',
    )
    known = commands.Commands(parser)
    for group in _GROUPS:
        group.add_commands(known)
    return parser


def _configure(files: list[str]) -> None:
    """Read the configuration; log to stderr, the output goes to stdout."""
    logging.register_options(CONF)
    CONF.set_default('use_stderr', True)
    # A command prints its results; the log has warnings only.
    libraries.set_log_levels()
    levels = CONF.default_log_levels
    if 'minova=WARNING' not in levels:
        levels = [*levels, 'minova=WARNING']
    CONF.set_default('default_log_levels', levels)
    try:
        service.configure([f'--config-file={name}' for name in files], PROG)
    except OSError as error:
        # A configuration or a log file that cannot be opened.
        raise exception.ConfigInvalid(reason=str(error)) from error


def main(argv: list[str] | None = None) -> int:
    """Run minova-manage.

    Returns 0 for success, 1 for a failure or a passed time limit, 2 for
    invalid arguments or configuration.
    """
    arguments = _parser().parse_args(argv)

    def configure() -> None:
        if arguments.needs_conf:
            _configure(arguments.config_file)

    try:
        return commands.run(PROG, arguments, configure)
    except exception.ConfigInvalid as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 2
    except exception.MinovaException as error:
        print(f'{PROG}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'{PROG}: interrupted', file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as a pager, has quit; Python would flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == '__main__':
    sys.exit(main())
