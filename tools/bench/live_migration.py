#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure live migrations of a real guest between two hosts of a rig.

Prints the duration of each migration, the downtime of the guest from libvirt
and the longest silence of its console. Exits with 1 unless the guest is
intact: the same guest, no count missing, its kept memory unchanged.

    tools/bench/live_migration.py [--count N] [--shared] [--dirty MIB]
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
from minova.objects.live_migrate_data import LiveMigrateSource
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
    """Records the arrival of each line of the guest, at both hosts."""

    def __init__(self, paths):
        super().__init__(daemon=True)
        self._paths = paths
        self._at = dict.fromkeys(paths, 0)
        self.lines = []
        self.ended = False

    def run(self):
        """Poll a hundred times a second."""
        while not self.ended:
            for path in self._paths:
                try:
                    self._read(path)
                except FileNotFoundError:
                    # The guest is not here; its next line is at the start.
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
        """Wait for ``more`` further lines."""
        until, before = time.monotonic() + 120, len(self.lines)
        while len(self.lines) < before + more:
            if time.monotonic() > until:
                raise SystemExit('The guest has stopped counting.')
            time.sleep(0.05)

    def silence(self, since):
        """Return the longest time between two lines, in seconds."""
        times = [at for at, _, _ in self.lines if at >= since]
        return max(b - a for a, b in itertools.pairwise(times))


class Host(NamedTuple):
    """A host and its driver."""

    driver: LibvirtDriver
    config: HostConfig

    @property
    def image(self):
        """Return the path of the guest's image."""
        return os.path.join(self.config.image_cache_path, 'image')


@dataclasses.dataclass
class MigrationTimes:
    """The times of one migration, in seconds."""

    total: float
    downtime: float
    silence: float


def open_hosts(directory, program, shared):
    """Return two hosts by name."""
    found = {}
    for one in hosts.up(directory, 2):
        place = os.path.join(directory, 'shared') if shared else one.directory
        host_config = HostConfig(
            host=one.name,
            instances_path=os.path.join(place, 'disks'),
            image_cache_path=os.path.join(place, 'images'),
            connection_uri=one.uri,
            live_migration_uri=one.live_migration_uri,
            live_migration_inbound_addr=one.address,
            virt_type='qemu',
            emulator=program,
        )
        found[one.name] = Host(driver.build_driver(host_config), host_config)
    return found


def make_spec(made, dirty):
    """Return the spec of the counting guest that writes memory."""
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
    """Migrate the guest; return the times."""
    source, dest = here.driver, there.driver
    described = LiveMigrateSource(host=here.config.host, cpu_info={})
    checked = dest.check_can_live_migrate_destination(
        spec, described, None, False
    )
    data = source.check_can_live_migrate_source(UUID, checked, None)
    data = dest.pre_live_migration(spec, data, there.image)
    console.wait(3)
    began = time.monotonic()
    source.start_live_migration(UUID, Peer(there.config.host, ''), data)
    while (status := source.migration_status(UUID)).state == 'running':
        if time.monotonic() > began + 300:
            raise SystemExit('The migration has not ended after 300 s.')
        source.tune_migration(UUID, data, time.monotonic() - began)
        time.sleep(0.1)
    total = time.monotonic() - began
    if status.state != 'completed':
        raise SystemExit(f'The migration {status.state}: {status.error}')
    dest.define(spec)
    source.destroy(UUID)
    if data.block_migration:
        source.remove_disks(UUID)
    domain = dest.connection.get().lookupByUUIDString(UUID)
    statistic = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    console.wait(3)
    down = statistic.get('downtime', 0) / 1000
    return MigrationTimes(total, down, console.silence(began - 1))


def check_counts(console):
    """Return the errors of the guest, [] if it is intact."""
    numbers = [number for _, number, _ in console.lines]
    first = console.lines[0][2]
    wrong = []
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        wrong.append('counts are missing or repeated')
    if any(tokens[:3] != first[:3] for _, _, tokens in console.lines):
        wrong.append('the guest, its memory or its disk is another one')
    if any(tokens[3] != b'yes' for _, _, tokens in console.lines):
        wrong.append('the kept memory has changed')
    return wrong


def show(migrations):
    """Print minimum, median and maximum of each time."""
    for name in ('total', 'downtime', 'silence'):
        values = sorted(getattr(one, name) for one in migrations)
        middle = statistics.median(values)
        print(
            f'{name:10}{values[0]:7.2f} {middle:7.2f} {values[-1]:7.2f}'
            '  s (minimum, median, maximum)'
        )


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=20)
    parser.add_argument('--dirty', type=int, default=8, help='MiB a second')
    parser.add_argument('--shared', action='store_true')
    arguments = parser.parse_args()
    CONF([], project='minova', default_config_files=[])
    work = tempfile.mkdtemp(prefix='minova-bench')
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
    """Start the guest and migrate it; return the exit code."""
    for end in ends.values():
        os.makedirs(end.config.image_cache_path, exist_ok=True)
        with open(end.image, 'wb') as file:
            file.truncate(1 << 20)
    folders = {end.config.instances_path for end in ends.values()}
    console = Console([os.path.join(f, UUID, 'console.log') for f in folders])
    console.start()
    here, there = ends.values()
    here.driver.create_disks(spec, here.image)
    here.driver.define(spec)
    here.driver.start(UUID)
    console.wait(5)
    migrations = []
    for number in range(arguments.count):
        made = live_migrate(spec, here, there, console)
        migrations.append(made)
        print(
            f'{number + 1:3} {here.config.host} -> {there.config.host}  '
            f'{made.total:6.2f} s, downtime {made.downtime:.3f} s, '
            f'silence {made.silence:.2f} s',
            flush=True,
        )
        here, there = there, here
    console.ended = True
    console.join()
    wrong = check_counts(console)
    print(
        f'{len(migrations)} of {arguments.count} migrations, '
        f'{len(console.lines)} counts'
    )
    show(migrations)
    print(f'ERROR: {"; ".join(wrong)}' if wrong else 'The guest is intact.')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
