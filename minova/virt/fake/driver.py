# SPDX-License-Identifier: Apache-2.0
"""The driver of one fake host."""

import collections
import hashlib
import queue
import socket

from minova import exception
from minova.conf import CONF
from minova.numa import host_cells
from minova.objects.diagnostics import CpuDiagnostics
from minova.objects.diagnostics import Diagnostics
from minova.objects.diagnostics import DiskDiagnostics
from minova.objects.diagnostics import NicDiagnostics
from minova.objects.host import HostArtifact
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt import host_contents
from minova.virt import simulated_console
from minova.virt.driver import graphics_protocol
from minova.virt.driver import GraphicsEndpoint
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.driver import Inventory
from minova.virt.fake.disks import FakeDisks
from minova.virt.fake.host import fault_injectable
from minova.virt.fake.interfaces import FakeInterfaces
from minova.virt.fake.live_migration import FakeLiveMigration
from minova.virt.fake.snapshots import FakeSnapshots
from minova.virt.record_store import Record
from minova.virt.simulated_time import now_seconds

#: The console output of a boot, and the number of lines to keep.
_BOOT_MESSAGE = (
    '[    0.000000] fake guest {uuid}, boot {number} at {host}\n{name} login:'
)
_MAX_CONSOLE_LINES = 100
_NIC_COUNTS = set(NicDiagnostics.fields) - {'name', 'mac_address'}
_DISK_COUNTS = set(DiskDiagnostics.fields) - {'name'}


class FakeDriver(FakeInterfaces, FakeDisks, FakeSnapshots, FakeLiveMigration):
    """One fake host: itself, its guests and their disks."""

    # -- the host ------------------------------------------------------------

    @fault_injectable
    def inventory(self) -> Inventory:
        """Return the resources that the configuration sets for fake hosts."""
        return Inventory(
            hypervisor_hostname=self.host,
            hypervisor_type='fake',
            version=1000000,
            cpu_info={'arch': 'x86_64', 'model': 'fake', 'features': []},
            vcpus=CONF.fake.vcpus,
            memory_mb=CONF.fake.memory_mb,
            disk_gb=CONF.fake.disk_gb,
            supported_instances=tuple(
                (architecture, hypervisor, 'hvm')
                for architecture in CONF.fake.architectures
                for hypervisor in ('fake', 'qemu', 'kvm')
            ),
            traits=tuple(CONF.fake.traits),
            numa_cells=tuple(
                cell.to_json()
                for cell in host_cells.divide(
                    CONF.fake.vcpus,
                    CONF.fake.memory_mb,
                    CONF.fake.numa_nodes,
                    CONF.fake.threads_per_core,
                    host_cells.parse_pages(CONF.fake.huge_pages),
                )
            ),
        )

    @fault_injectable
    def check_health(self) -> None:
        """Do nothing more than any call: fail while a test says so."""

    def next_event(self, timeout: float) -> str | None:
        """Wait for a change from outside, in this process."""
        try:
            return self._world.event_queue(self.host).get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Do nothing; the records stay."""

    # -- guests --------------------------------------------------------------

    @fault_injectable
    def guests(self) -> list[Guest]:
        """Return all guests."""
        uuids = set(self._store.list_names(f'{self.host}/guests'))
        uuids |= set(self._store.list_names(f'{self.host}/incoming'))
        found = [self._get_guest(uuid) for uuid in sorted(uuids)]
        return [guest for guest in found if guest is not None]

    @fault_injectable
    def guest(self, uuid: str) -> Guest | None:
        """Return one guest."""
        return self._get_guest(uuid)

    @fault_injectable
    def define(self, spec: GuestSpec) -> None:
        """Store the definition; a running guest keeps running."""
        with self._store.lock(spec.uuid):
            self._reserve_addresses(spec)
            record = self._world.apply_due(self.host, spec.uuid) or {
                'power': int(PowerState.SHUTDOWN),
                'boot': 0,
                'off_at': None,
                'migration': None,
            }
            record['spec'] = _as_record(spec)
            self._store.put(f'{self.host}/guests/{spec.uuid}', record)

    @fault_injectable
    def start(self, uuid: str) -> None:
        """Start a guest that is off."""
        with self._locked_record(uuid) as record:
            if record['power'] == PowerState.RUNNING:
                return
            disk = self._store.get(f'{self.host}/disks/{uuid}')
            if not disk:
                raise exception.DiskFailed(
                    instance_id=uuid,
                    reason='its disks are missing on this host',
                )
            if record['spec'].get('rescue') and not disk.get('rescue'):
                raise exception.DiskFailed(
                    instance_id=uuid,
                    reason='its rescue disk is missing on this host',
                )
            if record['power'] != PowerState.PAUSED:
                record['boot'] += 1
                record['macs'] = record['spec'].get('macs', [])
                self._log_boot(uuid, record)
            record |= {
                'power': int(PowerState.RUNNING),
                'off_at': None,
                'saved': False,
            }

    @fault_injectable
    def shutdown(self, uuid: str) -> None:
        """Let the guest be off after a configured time."""
        with self._locked_record(uuid) as record:
            if record['power'] == PowerState.RUNNING:
                record['off_at'] = now_seconds() + CONF.fake.shutdown_seconds

    @fault_injectable
    def power_off(self, uuid: str) -> None:
        """Power off; a running migration fails."""
        if self._get_guest(uuid) is None:
            return
        with self._locked_record(uuid) as record:
            record |= {'power': int(PowerState.SHUTDOWN), 'off_at': None}
            if (
                record['migration']
                and record['migration']['state'] == 'running'
            ):
                record['migration'] |= {
                    'state': 'failed',
                    'error': 'guest is off',
                }

    @fault_injectable
    def pause(self, uuid: str) -> None:
        """Pause a running guest."""
        self._transition(uuid, PowerState.RUNNING, PowerState.PAUSED)

    @fault_injectable
    def unpause(self, uuid: str) -> None:
        """Unpause a paused guest."""
        self._transition(uuid, PowerState.PAUSED, PowerState.RUNNING)

    def _transition(
        self, uuid: str, before: PowerState, after: PowerState
    ) -> None:
        with self._locked_record(uuid) as record:
            if record['power'] not in (before, after):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='the power state is '
                    f'{PowerState(record["power"]).name}, not {before.name}',
                )
            record['power'] = int(after)

    @fault_injectable
    def inject_nmi(self, uuid: str) -> None:
        """Count the interrupts of a guest that is on."""
        with self._locked_record(uuid) as record:
            if record['power'] not in POWERED_ON:
                raise exception.GuestFailed(
                    instance_id=uuid, reason='the guest does not run'
                )
            record['interrupts'] = record.get('interrupts', 0) + 1

    @fault_injectable
    def suspend(self, uuid: str) -> None:
        """Power off; the count of boots stands for the memory."""
        with self._locked_record(uuid) as record:
            if record['power'] in POWERED_ON:
                record |= {
                    'power': int(PowerState.SHUTDOWN),
                    'off_at': None,
                    'saved': True,
                }
            elif not record.get('saved'):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='the guest is off and its memory is not saved',
                )

    @fault_injectable
    def has_managed_save(self, uuid: str) -> bool:
        """Return whether the record is marked as saved."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
        return record is not None and bool(record.get('saved'))

    @fault_injectable
    def resume(self, uuid: str) -> None:
        """Power on with the same count of boots."""
        with self._locked_record(uuid) as record:
            if record['power'] not in POWERED_ON and not record.get('saved'):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='the memory of the guest is not saved',
                )
            record |= {'power': int(PowerState.RUNNING), 'saved': False}

    @fault_injectable
    def destroy(self, uuid: str) -> None:
        """Delete a guest."""
        with self._store.lock(uuid):
            self._world.apply_due(self.host, uuid)
            for kind in ('guests', 'incoming', 'migrated', 'reserved'):
                self._store.delete(f'{self.host}/{kind}/{uuid}')

    # -- consoles ------------------------------------------------------------

    def _log_boot(self, uuid: str, record: Record) -> None:
        """Add the messages of a boot to the console."""
        text = _BOOT_MESSAGE.format(
            uuid=uuid,
            number=record['boot'],
            host=self.host,
            name=f'guest-{uuid[:8]}',
        )
        console = [*record.get('console', ()), *text.split('\n')]
        record['console'] = console[-_MAX_CONSOLE_LINES:]

    @fault_injectable
    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the messages of the boots."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid) or {}
        text = '\n'.join(record.get('console', ())).encode()
        return text[-max_bytes:] if max_bytes else b''

    @fault_injectable
    def graphics(self, uuid: str, console_type: str) -> GraphicsEndpoint:
        """Return the endpoint that a test has set, if any."""
        self._require_running(uuid)
        protocol = graphics_protocol(console_type)
        found = self._world.graphics_endpoint(protocol)
        if found is None:
            raise exception.ConsoleTypeUnavailable(
                console_type=console_type,
                reason=f'fake guests have no {protocol.upper()} server.',
            )
        return found

    @fault_injectable
    def check_serial_console(self, uuid: str) -> None:
        """Require a guest that runs."""
        self._require_running(uuid)

    def open_serial_console(self, uuid: str) -> socket.socket:
        """Return a simulated console."""
        self.check_serial_console(uuid)
        return simulated_console.connect(uuid)

    def _require_running(self, uuid: str) -> None:
        guest = self._get_guest(uuid)
        if guest is None or not guest.is_on:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='the guest does not run'
            )

    @fault_injectable
    def set_admin_password(self, uuid: str, user: str, password: str) -> None:
        """Store a digest of the password, as a guest does."""
        with self._locked_record(uuid) as record:
            if record['power'] != PowerState.RUNNING:
                raise exception.GuestFailed(
                    instance_id=uuid, reason='the guest does not run'
                )
            if not self._world.has_guest_agent():
                raise exception.GuestFailed(
                    instance_id=uuid, reason='its guest agent does not answer'
                )
            passwords = record.get('passwords', {})
            record['passwords'] = passwords | {user: digest(password)}
            record['password_changes'] = record.get('password_changes', 0) + 1

    @fault_injectable
    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return the devices of the record, without any traffic."""
        guest = self._get_guest(uuid)
        record = self._world.guest(self.host, uuid)
        if guest is None or record is None or not guest.is_on:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='the guest does not run'
            )
        spec = record['spec']
        return Diagnostics(
            power_state=int(guest.power),
            # Nova has no name for it.
            driver='libvirt',
            hypervisor='fake',
            cpus=[
                CpuDiagnostics(number=number, time=0)
                for number in range(spec['vcpus'])
            ],
            nics=[
                NicDiagnostics(
                    name=f'fake{number}',
                    mac_address=mac,
                    **dict.fromkeys(_NIC_COUNTS, 0),
                )
                for number, mac in enumerate(spec['macs'])
            ],
            disks=[
                DiskDiagnostics(name='vda', **dict.fromkeys(_DISK_COUNTS, 0))
            ],
            memory_mb=spec['memory_mb'],
            memory_stats={'actual': spec['memory_mb'] * 1024},
        )

    @fault_injectable
    def list_host_contents(self) -> list[HostArtifact]:
        """Return what the records hold of every guest.

        Disks are listed last: a guest that arrives meanwhile has its disks.
        """
        guests = self.guests()
        found: dict[str, host_contents.DiskArtifacts] = (
            collections.defaultdict(host_contents.DiskArtifacts)
        )
        for uuid in self._store.list_names(f'{self.host}/disks'):
            disks = self._store.get(f'{self.host}/disks/{uuid}') or {}
            found[uuid].has_disks = True
            found[uuid].has_config_drive = 'config_drive' in disks
        for uuid in self._store.list_names(f'{self.host}/retained'):
            found[uuid].has_retained_disks = True
        for uuid in self._store.list_names(f'{self.host}/tickets'):
            found[uuid].has_partial_disks = True
        for uuid in self._store.list_names(f'{self.host}/snapshots'):
            found[uuid].has_snapshots = True
        reserved = self._store.list_names(f'{self.host}/reserved')
        macs = {guest.uuid: self.interfaces(guest.uuid) for guest in guests}
        return host_contents.build(guests, found, reserved, macs)


def digest(password: str) -> str:
    """Return what a guest stores of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def _as_record(spec: GuestSpec) -> Record:
    return {
        'operation': spec.operation,
        'generation': spec.generation,
        'vcpus': spec.vcpus,
        'memory_mb': spec.memory_mb,
        'root_gb': spec.root_gb,
        'rescue': spec.rescue,
        'placement': spec.placement,
        'macs': [nic['mac'] for nic in spec.nics],
    }
