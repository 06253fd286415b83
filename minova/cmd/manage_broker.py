# SPDX-License-Identifier: Apache-2.0
"""minova-manage broker: the accounts of services in RabbitMQ."""

import argparse
import sys

from minova.cmd.commands import Commands
from minova.conf import CONF
from minova.rpc import broker_accounts
from minova.rpc.oslo_bus import OsloBus


def print_permissions(arguments: argparse.Namespace) -> int:
    """Print the commands that limit an account of RabbitMQ to services."""
    services = list(dict.fromkeys(arguments.services))
    host = arguments.host
    try:
        permissions = broker_accounts.make_permissions(
            services, host, _notifications(arguments.queue)
        )
    except ValueError as error:
        print(f'minova-manage: {error}; add --host', file=sys.stderr)
        return 2
    user = arguments.user or '-'.join(
        ['minova', *services, *([host] if host else [])]
    )
    for command in broker_accounts.commands(
        user, arguments.vhost, permissions
    ):
        print(broker_accounts.as_shell(command))
    return 0


def _notifications(queues: list[str]) -> broker_accounts.Notifications:
    # It registers the options of oslo.messaging and does not connect.
    OsloBus.check()
    return broker_accounts.Notifications(
        CONF.notifications.exchange,
        tuple(
            f'{topic}.{priority}'
            for topic in CONF.oslo_messaging_notifications.topics
            for priority in broker_accounts.PRIORITIES
        ),
        tuple(queues),
    )


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    group = commands.add_group('broker', 'accounts of the message broker')
    parser = group.add_command('permissions', print_permissions)
    parser.add_argument(
        'services',
        nargs='+',
        choices=list(broker_accounts.ACCOUNTS),
        metavar='SERVICE',
        help=f'what uses the account: {", ".join(broker_accounts.ACCOUNTS)}',
    )
    parser.add_argument(
        '--host',
        metavar='HOST',
        help='only on the host with this [DEFAULT] host; required for compute',
    )
    parser.add_argument(
        '--user',
        metavar='NAME',
        help='the account; by default minova, the services and the host, '
        'with hyphens',
    )
    parser.add_argument(
        '--queue',
        action='append',
        default=[],
        metavar='NAME',
        help='a queue of the consumer; repeatable. By default the consumer '
        'reads the queues that the publisher makes',
    )
    parser.add_argument(
        '--vhost',
        default='/',
        metavar='NAME',
        help='the virtual host of transport_url (%(default)s)',
    )
