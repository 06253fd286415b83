# SPDX-License-Identifier: Apache-2.0
"""minova-allinone: a cloud in one process, for development and trials."""

import argparse
import functools
import os
import socket
import sys

from minova import exception
from minova import service
from minova.allinone import hosts
from minova.allinone import service as allinone
from minova.allinone import settings
from minova.cmd.argument_types import bounded_int
from minova.cmd.argument_types import default_data_directory
from minova.serving import http_server

PROG = 'minova-allinone'

_READY = """\
Minova is ready at {url} with {hosts} hosts. Try:

    export OS_CLIENT_CONFIG_FILE={directory}/clouds.yaml OS_CLOUD=minova
    openstack flavor list
    openstack hypervisor list

The quota of a project: openstack quota show --compute, and to raise it

    openstack quota set --instances 50 --cores 100 --ram 102400 PROJECT

The history of a server: minova-manage --config-file {directory}/minova.conf \
timeline SERVER_ID
"""

_GUESTS = """
Guests and their hosts continue to run after minova-allinone ends. To end them:

    minova-rig --directory {directory} down
"""


def _hosts(arguments: argparse.Namespace, directory: str) -> hosts.Hosts:
    if arguments.hypervisor == 'qemu':
        tools = default_data_directory('rig')
        return hosts.start_qemu_hosts(directory, arguments.hosts, tools)
    return hosts.configured_hosts(arguments.hosts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    parser.add_argument(
        '--data-dir',
        default=default_data_directory(),
        help='the directory of all data (%(default)s)',
    )
    parser.add_argument(
        '--hosts',
        type=bounded_int(1, 100),
        default=2,
        help='the number of hosts, 1 to 100 (%(default)s)',
    )
    parser.add_argument(
        '--hypervisor',
        choices=('test', 'fake', 'qemu'),
        default='test',
        help="test: libvirt's test driver; fake: records instead of guests; "
        'qemu: guests under libvirt and QEMU (%(default)s)',
    )
    parser.add_argument(
        '--listen',
        default='127.0.0.1',
        help='the address of the API and the console proxy (%(default)s)',
    )
    parser.add_argument(
        '--port',
        type=bounded_int(0, 65535),
        default=8774,
        help='the port of the API; 0: a free port (%(default)s)',
    )
    parser.add_argument(
        '--vnc-port',
        type=bounded_int(0, 65535),
        default=0,
        help='the port of the console proxy; 0: a free port (%(default)s)',
    )
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help='a file with more options; it cannot change the options that '
        'minova-allinone sets; repeatable',
    )
    parser.add_argument(
        '--debug', action='store_true', help='log at DEBUG level'
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run minova-allinone."""
    arguments = _parser().parse_args(argv)
    options = [f'--config-file={name}' for name in arguments.config_file]
    if not options:
        options = ['--config-file=/dev/null']
    if arguments.debug:
        options.append('--debug')
    service.configure(options, PROG)
    directory = os.path.abspath(arguments.data_dir)
    settings.apply(directory, arguments.hosts, arguments.hypervisor)
    with service.exit_on_config_error(PROG):
        try:
            directory_lock = allinone.lock_directory(directory)
        except OSError as error:
            raise exception.ConfigInvalid(
                reason=f'--data-dir {directory}: {error.strerror}'
            ) from error
        sock = http_server.listen(
            arguments.listen, arguments.port, '--listen and --port'
        )
        vnc_sock = http_server.listen(
            arguments.listen, arguments.vnc_port, '--listen and --vnc-port'
        )
        found = _hosts(arguments, directory)
    ready_message = _READY.format(
        url=http_server.socket_url(sock),
        hosts=arguments.hosts,
        directory=directory,
    )
    if arguments.hypervisor == 'qemu':
        place = hosts.rig_directory(directory)
        ready_message += _GUESTS.format(directory=place)
    build = functools.partial(
        allinone.AllInOne, directory, found, sock, vnc_sock
    )
    with directory_lock:
        on_terminate = functools.partial(_refuse_connections, sock, vnc_sock)
        return service.run(
            PROG, build, ready_message=ready_message, on_terminate=on_terminate
        )


def _refuse_connections(*sockets: socket.socket) -> None:
    for sock in sockets:
        http_server.refuse_connections(sock)


if __name__ == '__main__':
    sys.exit(main())
