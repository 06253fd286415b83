#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live migrations of a real guest, back and forth between two hosts of a rig.

Prints how long each took, how long the guest stood still by libvirt's word,
how long its console was silent, and whether it is well: the same guest, no
count missing, the memory that it keeps unchanged. Ends with 1 if it is not.

    python tools/bench/moves.py [--moves N] [--shared] [--dirty MIB]
"""

import argparse
import dataclasses
import itertools
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from typing import NamedTuple
import uuid as uuids

import libvirt

from minova.cmd.argument_types import default_data_directory
from minova.conf import CONF
from minova.rig import emulator
from minova.rig import guest
from minova.rig import hosts
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.libvirt.driver import LibvirtDriver
from minova.virt.libvirt.qemu import driver
from minova.virt.libvirt.qemu.host_config import HostConfig

_COUNT = re.compile(
    rb'COUNT (\d+) boot=(\S+) memory=(\S+) disk=(\S+) kept=(\S+)\r?\n'
)
UUID = str(uuids.uuid4())


class Console(threading.Thread):
    """Notes when each line of the guest arrives, at whichever host."""

    def __init__(self, paths):
        super().__init__(daemon=True)
        self._paths = paths
        self._at = dict.fromkeys(paths, 0)
        self.lines = []
        self.ended = False

    def run(self):
        """Look a hundred times a second."""
        while not self.ended:
            for path in self._paths:
                try:
                    self._read(path)
                except FileNotFoundError:
                    # The guest is not here; what it says next is new.
                    self._at[path] = 0
            time.sleep(0.01)

    def _read(self, path):
        size = os.path.getsize(path)
        if size < self._at[path]:
            self._at[path] = 0
        with open(path, 'rb') as file:
            file.seek(self._at[path])
            text = file.read(size - self._at[path])
        whole = text.rfind(b'\n') + 1
        self._at[path] += whole
        for found in _COUNT.finditer(text[:whole]):
            number, *tokens = found.groups()
            self.lines.append((time.monotonic(), int(number), tuple(tokens)))

    def wait(self, more):
        """Wait for so many lines more."""
        until, before = time.monotonic() + 120, len(self.lines)
        while len(self.lines) < before + more:
            if time.monotonic() > until:
                raise SystemExit('The guest does not count any more.')
            time.sleep(0.05)

    def silence(self, since):
        """Return the seconds between two lines that were longest apart."""
        times = [at for at, _, _ in self.lines if at >= since]
        return max(b - a for a, b in itertools.pairwise(times))


class Host(NamedTuple):
    """A host, and what drives it."""

    driver: LibvirtDriver
    site: HostConfig

    @property
    def image(self):
        """Return the path of the guest's image."""
        return os.path.join(self.site.image_cache_path, 'image')


@dataclasses.dataclass
class MigrationTimes:
    """How one move went, in seconds."""

    total: float
    downtime: float
    silence: float


def open_hosts(directory, program, shared):
    """Return two hosts, by name."""
    found = {}
    for one in hosts.up(directory, 2):
        place = os.path.join(directory, 'shared') if shared else one.directory
        host_config = HostConfig(
            host=one.name,
            instances_path=os.path.join(place, 'disks'),
            image_cache_path=os.path.join(place, 'images'),
            connection_uri=one.uri,
            live_migration_uri=one.peer_uri,
            live_migration_inbound_addr=one.address,
            virt_type='qemu',
            emulator=program,
        )
        found[one.name] = Host(driver.build_driver(host_config), host_config)
    return found


def make_spec(made, dirty):
    """Return the guest that counts and changes its memory."""
    words = f'{guest.COMMAND_LINE} minova.dirty={dirty}'
    return GuestSpec(
        uuid=UUID,
        name='bench',
        title='bench',
        vcpus=1,
        memory_mb=160,
        root_gb=1,
        ephemeral_gb=0,
        swap_mb=0,
        image_id='image',
        project_id='',
        user_id='',
        flavor='bench',
        operation='bench',
        generation=1,
        image={
            'disk_format': 'raw',
            'kernel_id': 'kernel',
            'ramdisk_id': 'ramdisk',
            'os_command_line': words,
        },
        kernel=made.kernel,
        ramdisk=made.ramdisk,
    )


def live_migrate(spec, here, there, console):
    """Move the guest; return how it went."""
    source, dest = here.driver, there.driver
    plan = dest.check_can_live_migrate_destination(spec, {}, None)
    plan = source.check_can_live_migrate_source(UUID, plan, None)
    plan |= dest.pre_live_migration(spec, plan, there.image)
    console.wait(3)
    began = time.monotonic()
    source.start_live_migration(UUID, Peer(there.site.host, ''), plan)
    while (going := source.migration_status(UUID)).state == 'running':
        if time.monotonic() > began + 300:
            raise SystemExit('The move has not ended after 300 s')
        source.tune_migration(UUID, plan, time.monotonic() - began)
        time.sleep(0.1)
    total = time.monotonic() - began
    if going.state != 'completed':
        raise SystemExit(f'The move {going.state}: {going.error}')
    dest.define(spec)
    source.destroy(UUID)
    if plan['block_migration']:
        source.remove_disks(UUID)
    domain = dest.connection.get().lookupByUUIDString(UUID)
    figures = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    console.wait(3)
    down = figures.get('downtime', 0) / 1000
    return MigrationTimes(total, down, console.silence(began - 1))


def check_counts(console):
    """Return what is wrong with the guest, [] if it is well."""
    numbers = [number for _, number, _ in console.lines]
    first = console.lines[0][2]
    wrong = []
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        wrong.append('counts are missing, or came twice')
    if any(tokens[:3] != first[:3] for _, _, tokens in console.lines):
        wrong.append('it is another guest, or lost its memory or disk')
    if any(tokens[3] != b'yes' for _, _, tokens in console.lines):
        wrong.append('memory that it kept has changed')
    return wrong


def show(moves):
    """Print each figure's minimum, median and maximum."""
    for name in ('total', 'downtime', 'silence'):
        values = sorted(getattr(one, name) for one in moves)
        middle = statistics.median(values)
        print(
            f'{name:10}{values[0]:7.2f} {middle:7.2f} {values[-1]:7.2f}'
            '  s (least, median, most)'
        )


def main():
    """Move a guest and tell how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--moves', type=int, default=20)
    parser.add_argument('--dirty', type=int, default=8, help='MiB a second')
    parser.add_argument('--shared', action='store_true')
    arguments = parser.parse_args()
    CONF([], project='minova', default_config_files=[])
    work = tempfile.mkdtemp(prefix='moves')
    CONF.set_override('state_path', work)
    CONF.set_override('transfer_port', 0, 'compute')
    tools = default_data_directory('rig')
    ends = {}
    try:
        program = emulator.ensure_safe_emulator(tools)
        made = guest.build(os.path.join(tools, 'guest'))
        ends = open_hosts(work, program, arguments.shared)
        return run(arguments, make_spec(made, arguments.dirty), ends)
    finally:
        for end in ends.values():
            end.driver.close()
        hosts.down(work)
        shutil.rmtree(work)


def run(arguments, spec, ends):
    """Start the guest and move it; return the exit code."""
    for end in ends.values():
        os.makedirs(end.site.image_cache_path, exist_ok=True)
        with open(end.image, 'wb') as file:
            file.truncate(1 << 20)
    folders = {end.site.instances_path for end in ends.values()}
    console = Console([os.path.join(f, UUID, 'console.log') for f in folders])
    console.start()
    here, there = ends.values()
    here.driver.create_disks(spec, here.image)
    here.driver.define(spec)
    here.driver.start(UUID)
    console.wait(5)
    moves = []
    for number in range(arguments.moves):
        made = live_migrate(spec, here, there, console)
        moves.append(made)
        print(
            f'{number + 1:3} {here.site.host} -> {there.site.host}  '
            f'{made.total:6.2f} s, stood still {made.downtime:.3f} s, '
            f'silent {made.silence:.2f} s',
            flush=True,
        )
        here, there = there, here
    console.ended = True
    console.join()
    wrong = check_counts(console)
    print(
        f'{len(moves)} of {arguments.moves} moves, {len(console.lines)} counts'
    )
    show(moves)
    print('The guest is well.' if not wrong else f'BROKEN: {"; ".join(wrong)}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
