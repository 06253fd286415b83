# SPDX-License-Identifier: Apache-2.0
"""Rigs for the contract tests: hypervisors, and changes from outside.

A rig opens drivers of hosts that can reach each other. It can end one without
a word, as a crash of its process does, change a guest behind a driver's back,
read disks, and let time pass.
"""

import datetime
import os
from xml.etree import ElementTree

import fixtures

from minova import clock
from minova.conf import CONF
from minova.objects.live_migrate_data import LiveMigrateData
from minova.states import PowerState
from minova.virt.driver import ConfigDrive
from minova.virt.driver import GuestSpec
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.hypervisor import Hypervisor
from minova.virt.fake.remote import RemoteDriver
from minova.virt.fake.world import World
from minova.virt.libvirt.embedded import driver as embedded_driver
from minova.virt.record_store import DirectoryRecordStore
from minova.virt.record_store import MemoryRecordStore

UUID = '11111111-2222-4333-8444-555555555555'
_RESCUE = 'disk.rescue'
OTHER = '66666666-7777-4888-9999-aaaaaaaaaaaa'


def spec(uuid=UUID, **values):
    """Return a spec of a small guest."""
    made = {
        'uuid': uuid,
        'name': f'instance-{uuid}',
        'title': 'a guest',
        'vcpus': 1,
        'memory_mb': 64,
        'root_gb': 1,
        'ephemeral_gb': 0,
        'swap_mb': 0,
        'image_id': '',
        'project_id': 'project',
        'user_id': 'user',
        'flavor': 'small',
        'operation': 'operation-1',
        'generation': 1,
    }
    return GuestSpec(**(made | values))


def drive_spec(uuid=UUID, hostname='web', **values):
    """Return a spec of a small guest that has a config drive."""
    emitted = ConfigDrive(
        hostname=hostname,
        launch_index=0,
        reservation_id='r-1',
        metadata={'role': 'web'},
        user_data='IyEvYmluL3NoCg==',
    )
    return spec(uuid, config_drive=emitted, **values)


def migrate_data(source='a', dest='b', **values):
    """Return the migrate data of hosts without QEMU."""
    made = {
        'source_host': source,
        'dest_host': dest,
        'block_migration': True,
        'simulation_notice': None,
        'qemu': None,
    }
    return LiveMigrateData(**(made | values))


class ManualClock(clock.Clock):
    """The machine's clock, which a test can advance."""

    def __init__(self):
        self._ahead = datetime.timedelta()

    def advance(self, seconds):
        self._ahead += datetime.timedelta(seconds=seconds)

    def now(self):
        return super().now() + self._ahead


class Rig(fixtures.Fixture):
    """The common part of all rigs."""

    #: The option that says how long a live migration takes.
    migration_seconds = (None, None)
    #: Guests have agents that set passwords.
    has_guest_agents = True

    def _setUp(self):
        self.clock = ManualClock()
        self.addCleanup(clock.install, clock.install(self.clock))
        self.set_migration_seconds(0)
        self.build()

    def build(self):
        """Create what all hosts share."""

    def set_migration_seconds(self, seconds):
        """Set the duration of live migrations."""
        group, name = self.migration_seconds
        CONF.set_override(name, seconds, group)

    def later(self, seconds):
        """Advance the clock."""
        self.clock.advance(seconds)


class FakeRig(Rig):
    """Fake hosts with records in memory."""

    migration_seconds = ('fake', 'migration_seconds')

    def build(self):
        self.store = MemoryRecordStore()
        self.worlds = {}

    def open(self, host):
        # A process knows of no other one's listeners.
        self.worlds[host] = World(self.store)
        return FakeDriver(host, self.worlds[host])

    def crash(self, driver):
        """Do nothing: the driver has no state."""

    def stop_outside_driver(self, driver, uuid):
        world = self.worlds[driver.host]
        world.set_power(driver.host, uuid, PowerState.SHUTDOWN)

    def write(self, host, uuid, token):
        path = f'{host}/disks/{uuid}'
        self.store.put(path, self.store.get(path) | {'content': token})

    def read(self, host, uuid, retained=False):
        disk = self.store.get(
            f'{host}/{"retained" if retained else "disks"}/{uuid}'
        )
        return disk and disk['content']

    def write_ephemeral(self, host, uuid, token):
        path = f'{host}/disks/{uuid}'
        self.store.put(path, self.store.get(path) | {'ephemeral': token})

    def read_ephemeral(self, host, uuid):
        return self.store.get(f'{host}/disks/{uuid}')['ephemeral']

    def size_gb(self, host, uuid):
        return self.store.get(f'{host}/disks/{uuid}')['root_gb']

    def lose_disks(self, host, uuid):
        self.store.delete(f'{host}/disks/{uuid}')

    def lose_config_drive(self, host, uuid):
        disk = self.store.get(f'{host}/disks/{uuid}')
        del disk['config_drive']
        self.store.put(f'{host}/disks/{uuid}', disk)

    def config_drive(self, host, uuid):
        disk = self.store.get(f'{host}/disks/{uuid}') or {}
        return disk.get('config_drive')

    def write_console(self, host, uuid, text):
        """Write the console output of a guest."""
        path = f'{host}/guests/{uuid}'
        said = {'console': text.split('\n')}
        self.store.put(path, self.store.get(path) | said)

    def rescue_disk(self, host, uuid):
        return (self.store.get(f'{host}/disks/{uuid}') or {}).get('rescue')

    def has_rescue_disk(self, host, uuid):
        return bool(self.rescue_disk(host, uuid))

    def starts_from(self, host, uuid):
        record = self.store.get(f'{host}/guests/{uuid}')
        return 'rescue' if record['spec']['rescue'] else 'root'


class FakeFilesRig(FakeRig):
    """Fake hosts with records in files."""

    def build(self):
        super().build()
        directory = self.useFixture(fixtures.TempDir()).path
        self.store = DirectoryRecordStore(directory)


class FakeProcessRig(FakeRig):
    """Fake hosts behind a socket; a thread stands for the process."""

    def build(self):
        super().build()
        folder = self.useFixture(fixtures.TempDir()).path
        self.hypervisor = Hypervisor(self.store, os.path.join(folder, 's'))
        self.hypervisor.listen()
        thread = clock.spawn('hypervisor', self.hypervisor.serve)
        self.addCleanup(thread.join)
        self.addCleanup(self.hypervisor.stop)

    def open(self, host):
        self.worlds[host] = self.hypervisor.world
        driver = RemoteDriver(host, self.hypervisor.path)
        self.addCleanup(driver.close)
        return driver

    def crash(self, driver):
        driver.close()


class EmbeddedRig(Rig):
    """Embedded libvirt hosts."""

    migration_seconds = ('libvirt', 'embedded_migration_seconds')
    has_guest_agents = False

    def build(self):
        self.directory = self.useFixture(fixtures.TempDir()).path
        CONF.set_override('embedded_directory', self.directory, 'libvirt')
        self._open = []
        self.addCleanup(self._close_all)

    def _close_all(self):
        for driver in self._open:
            driver.close()

    def open(self, host):
        driver = embedded_driver.open_driver(host)
        self._open.append(driver)
        return driver

    def crash(self, driver):
        # Closing writes nothing, as test_embedded makes sure of.
        driver.close()
        self._open.remove(driver)

    def domain(self, driver, uuid):
        """Return libvirt's domain, as an administrator gets it."""
        return driver.connection.get().lookupByUUIDString(uuid)

    def stop_outside_driver(self, driver, uuid):
        self.domain(driver, uuid).destroy()

    def disk(self, host, uuid, retained=False):
        """Return the path of a root disk."""
        name = f'{uuid}_resize' if retained else uuid
        return os.path.join(self.directory, host, 'instances', name, 'disk')

    def write(self, host, uuid, token):
        with open(self.disk(host, uuid), 'r+b') as file:
            file.seek(123456)
            file.write(token.encode())

    def read(self, host, uuid, retained=False):
        try:
            with open(self.disk(host, uuid, retained), 'rb') as file:
                file.seek(123456)
                return file.read(100).rstrip(b'\0').decode()
        except FileNotFoundError:
            return None

    def write_ephemeral(self, host, uuid, token):
        with open(f'{self.disk(host, uuid)}.ephemeral', 'r+b') as file:
            file.write(token.encode())

    def read_ephemeral(self, host, uuid):
        with open(f'{self.disk(host, uuid)}.ephemeral', 'rb') as file:
            return file.read(100).rstrip(b'\0').decode()

    def write_console(self, host, uuid, text):
        folder = os.path.dirname(self.disk(host, uuid))
        with open(os.path.join(folder, 'console.log'), 'w') as file:
            file.write(text)

    def size_gb(self, host, uuid):
        return os.path.getsize(self.disk(host, uuid)) / (1 << 30)

    def lose_disks(self, host, uuid):
        os.unlink(self.disk(host, uuid))

    def lose_config_drive(self, host, uuid):
        os.unlink(f'{self.disk(host, uuid)}.config')

    def config_drive(self, host, uuid):
        try:
            with open(f'{self.disk(host, uuid)}.config', 'rb') as file:
                return file.read()
        except FileNotFoundError:
            return None

    def rescue_path(self, host, uuid):
        return os.path.join(os.path.dirname(self.disk(host, uuid)), _RESCUE)

    def rescue_disk(self, host, uuid):
        return os.stat(self.rescue_path(host, uuid)).st_mtime_ns

    def has_rescue_disk(self, host, uuid):
        return os.path.exists(self.rescue_path(host, uuid))

    def disks_of(self, driver, uuid):
        """Return the names of the disk files of a guest, in order."""
        root = ElementTree.fromstring(self.domain(driver, uuid).XMLDesc())
        return [
            os.path.basename(source.get('file'))
            for source in root.findall('./devices/disk/source')
        ]

    def starts_from(self, host, uuid):
        (driver,) = [
            d for d in self._open if d.inventory().hypervisor_hostname == host
        ]
        first = self.disks_of(driver, uuid)[0]
        return 'rescue' if first == _RESCUE else 'root'
