# SPDX-License-Identifier: Apache-2.0
"""minova-rig: several libvirt hosts on one machine, for tests and trials."""

import argparse
import os
import sys

from minova import exception
from minova.cmd import commands
from minova.cmd.argument_types import bounded_int
from minova.cmd.argument_types import default_data_directory
from minova.rig import emulator
from minova.rig import guest
from minova.rig import hosts
from minova.rig import image
from minova.rig.hosts import Host

PROG = 'minova-rig'


def up(arguments: argparse.Namespace) -> int:
    """Start hosts; running ones stay unchanged."""
    known = _capabilities_directory(arguments)
    _show(hosts.up(arguments.directory, arguments.hosts, known))
    return 0


def status(arguments: argparse.Namespace) -> int:
    """List the hosts and their guests; exit with 1 if a host is down."""
    found = hosts.list_hosts(arguments.directory)
    _show(found)
    if not found:
        print(f'The directory {arguments.directory} has no hosts.')
    return 0 if found and all(map(hosts.is_answering, found)) else 1


def down(arguments: argparse.Namespace) -> int:
    """Stop all hosts and guests, and remove their files."""
    count = len(hosts.list_hosts(arguments.directory))
    hosts.down(arguments.directory, _capabilities_directory(arguments))
    print(f'{count} hosts are stopped and removed.')
    return 0


def _capabilities_directory(arguments: argparse.Namespace) -> str:
    return os.path.join(arguments.directory, 'capabilities')


def build_guest(arguments: argparse.Namespace) -> int:
    """Build a tiny guest that counts on its console; needs apt, busybox."""
    built = guest.build(os.path.join(arguments.directory, 'guest'))
    print(f'kernel        {built.kernel}')
    print(f'ramdisk       {built.ramdisk}')
    print(f'command line  {guest.COMMAND_LINE}')
    return 0


def build_image(arguments: argparse.Namespace) -> int:
    """Build a bootable Debian image with cloud-init."""
    folder = os.path.join(arguments.directory, 'image')
    if not os.path.exists(image.image_path(folder)):
        sys.stderr.write(
            'Installing Debian into an image; this takes several minutes.\n'
        )
    print(f'disk    {image.build(folder)}')
    print('format  qcow2')
    print(f'needs   a disk of {image.SIZE >> 30} GiB, 512 MiB of memory')
    print('user    debian, with the key pair of the server')
    return 0


def show_emulator(arguments: argparse.Namespace) -> int:
    """Print the QEMU to use; download a safe one if the system's is not."""
    print(emulator.ensure_safe_emulator(arguments.directory))
    return 0


def _show(found: list[Host]) -> None:
    for one in found:
        state = 'up' if hosts.is_answering(one) else 'down'
        guests = len(hosts.find_guests(one))
        print(f'{one.name}  {state}, {guests} guests at {one.address}')
        print(f'  here        {one.uri}')
        print(f'  for others  {one.live_migration_uri}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    parser.add_argument(
        '--directory',
        default=default_data_directory('rig'),
        help='the directory of all files of the hosts (%(default)s)',
    )
    command = commands.Commands(parser).add_command
    command('up', up, timeout=600).add_argument(
        '--hosts',
        type=bounded_int(1, 50),
        default=2,
        help='the number of hosts, 1 to 50 (%(default)s)',
    )
    command('status', status)
    command('down', down, timeout=300)
    command('guest', build_guest, timeout=1800)
    command('image', build_image, timeout=7200)
    command('qemu', show_emulator, timeout=1800)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run minova-rig."""
    arguments = _parser().parse_args(argv)
    arguments.directory = os.path.abspath(arguments.directory)
    try:
        return commands.run(PROG, arguments)
    except (exception.ConfigInvalid, OSError) as error:
        sys.stderr.write(f'{PROG}: {error}\n')
        return 1


if __name__ == '__main__':
    sys.exit(main())
