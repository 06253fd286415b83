# SPDX-License-Identifier: Apache-2.0
"""One fake host, asked as any hypervisor is."""

import queue

from minova import exception
from minova.conf import CONF
from minova.objects.host import Holding
from minova.states import ON
from minova.states import Power
from minova.virt import stock
from minova.virt.driver import Guest
from minova.virt.driver import Inventory
from minova.virt.driver import Screen
from minova.virt.driver import Spec
from minova.virt.fake.disks import FakeDisks
from minova.virt.fake.host import faulty
from minova.virt.fake.moves import FakeMoves
from minova.virt.fake.world import seconds
from minova.virt.shelf import Record

#: What a guest says when it boots, as long as somebody may want to read it.
_BOOT = (
    '[    0.000000] fake guest {uuid}, boot {number} at {host}\n{name} login:'
)
_KEPT_BOOTS = 100


class FakeDriver(FakeDisks, FakeMoves):
    """One fake host: itself, its guests, what is kept of them."""

    # -- the host ------------------------------------------------------------

    @faulty
    def inventory(self) -> Inventory:
        """Tell what the configuration says of every fake host."""
        return Inventory(
            hypervisor_hostname=self.host,
            hypervisor_type='fake',
            version=1000000,
            cpu_info={'arch': 'x86_64', 'model': 'fake', 'features': []},
            vcpus=CONF.fake.vcpus,
            memory_mb=CONF.fake.memory_mb,
            disk_gb=CONF.fake.disk_gb,
        )

    def next_event(self, timeout: float) -> str | None:
        """Wait for a change that was made from outside, in this process."""
        try:
            return self._world.listener(self.host).get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let go; the records stay."""

    # -- guests --------------------------------------------------------------

    @faulty
    def guests(self) -> list[Guest]:
        """Return all guests."""
        uuids = set(self._shelf.names(f'{self.host}/guests'))
        uuids |= set(self._shelf.names(f'{self.host}/arriving'))
        found = [self._look(uuid) for uuid in sorted(uuids)]
        return [guest for guest in found if guest is not None]

    @faulty
    def guest(self, uuid: str) -> Guest | None:
        """Return one guest."""
        return self._look(uuid)

    @faulty
    def define(self, spec: Spec) -> None:
        """Write the definition; a running guest goes on as it is."""
        with self._shelf.alone(spec.uuid):
            self._reserve(spec)
            record = self._world.settle(self.host, spec.uuid) or {
                'power': int(Power.SHUTDOWN),
                'boot': 0,
                'off_at': None,
                'move': None,
            }
            record['spec'] = _as_record(spec)
            self._shelf.put(f'{self.host}/guests/{spec.uuid}', record)

    @faulty
    def start(self, uuid: str) -> None:
        """Start a guest that is off."""
        with self._changing(uuid) as record:
            if record['power'] == Power.RUNNING:
                return
            disk = self._shelf.get(f'{self.host}/disks/{uuid}')
            if not disk:
                raise exception.DiskFailed(
                    instance_id=uuid, reason='its disks are missing'
                )
            if record['spec'].get('rescue') and not disk.get('rescue'):
                raise exception.DiskFailed(
                    instance_id=uuid, reason='its rescue disk is missing'
                )
            if record['power'] != Power.PAUSED:
                record['boot'] += 1
                self._say(uuid, record)
            record |= {
                'power': int(Power.RUNNING),
                'off_at': None,
                'saved': False,
            }

    @faulty
    def shutdown(self, uuid: str) -> None:
        """Let the guest be off a little later."""
        with self._changing(uuid) as record:
            if record['power'] == Power.RUNNING:
                record['off_at'] = seconds() + CONF.fake.shutdown_seconds

    @faulty
    def power_off(self, uuid: str) -> None:
        """Switch off; a move that was under way ends."""
        if self._look(uuid) is None:
            return
        with self._changing(uuid) as record:
            record |= {'power': int(Power.SHUTDOWN), 'off_at': None}
            if record['move'] and record['move']['state'] == 'running':
                record['move'] |= {'state': 'failed', 'error': 'guest is off'}

    @faulty
    def pause(self, uuid: str) -> None:
        """Pause a running guest."""
        self._between(uuid, Power.RUNNING, Power.PAUSED)

    @faulty
    def unpause(self, uuid: str) -> None:
        """Let a paused guest run."""
        self._between(uuid, Power.PAUSED, Power.RUNNING)

    def _between(self, uuid: str, before: Power, after: Power) -> None:
        with self._changing(uuid) as record:
            if record['power'] not in (before, after):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason=f'it is {Power(record["power"]).name}, not '
                    f'{before.name}',
                )
            record['power'] = int(after)

    @faulty
    def suspend(self, uuid: str) -> None:
        """Switch off; the number of the boot is what is remembered."""
        with self._changing(uuid) as record:
            if record['power'] in ON:
                record |= {
                    'power': int(Power.SHUTDOWN),
                    'off_at': None,
                    'saved': True,
                }
            elif not record.get('saved'):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='it is off, and nothing of its memory is saved',
                )

    @faulty
    def has_saved(self, uuid: str) -> bool:
        """Tell whether it is noted."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
        return record is not None and bool(record.get('saved'))

    @faulty
    def resume(self, uuid: str) -> None:
        """Switch on; it is the boot that it was."""
        with self._changing(uuid) as record:
            if record['power'] not in ON and not record.get('saved'):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='nothing of its memory is saved',
                )
            record |= {'power': int(Power.RUNNING), 'saved': False}

    @faulty
    def remove(self, uuid: str) -> None:
        """Forget a guest."""
        with self._shelf.alone(uuid):
            self._world.settle(self.host, uuid)
            for kind in ('guests', 'arriving', 'moved', 'reserved'):
                self._shelf.delete(f'{self.host}/{kind}/{uuid}')

    # -- consoles ------------------------------------------------------------

    def _say(self, uuid: str, record: Record) -> None:
        """Let a guest that boots say so."""
        said = _BOOT.format(
            uuid=uuid,
            number=record['boot'],
            host=self.host,
            name=f'guest-{uuid[:8]}',
        )
        console = [*record.get('console', ()), *said.split('\n')]
        record['console'] = console[-_KEPT_BOOTS:]

    @faulty
    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return what the guest said at its boots."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid) or {}
        said = '\n'.join(record.get('console', ())).encode()
        return said[-max_bytes:] if max_bytes else b''

    @faulty
    def vnc(self, uuid: str) -> Screen:
        """Tell where a test plays the screens of guests, if one does."""
        guest = self._look(uuid)
        if guest is None or guest.power not in ON:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='its guest does not run'
            )
        screen = self._world.screen()
        if screen is None:
            raise exception.ConsoleTypeUnavailable(
                console_type='novnc', reason='fake guests have no screen.'
            )
        return screen

    @faulty
    def stock(self) -> list[Holding]:
        """Return what the records hold of every guest.

        Disks are looked at last: a guest that comes meanwhile brings them.
        """
        guests = self.guests()
        kept: dict[str, stock.Kept] = {}
        for kind in ('disks', 'aside'):
            for uuid in self._shelf.names(f'{self.host}/{kind}'):
                found = kept.setdefault(uuid, stock.Kept())
                setattr(found, kind, True)
                disks = self._shelf.get(f'{self.host}/disks/{uuid}') or {}
                found.config_drive = 'config_drive' in disks
        for uuid in self._shelf.names(f'{self.host}/invited'):
            kept.setdefault(uuid, stock.Kept()).scraps = True
        reserved = self._shelf.names(f'{self.host}/reserved')
        return stock.of(guests, kept, reserved)


def _as_record(spec: Spec) -> Record:
    return {
        'operation': spec.operation,
        'generation': spec.generation,
        'vcpus': spec.vcpus,
        'memory_mb': spec.memory_mb,
        'root_gb': spec.root_gb,
        'rescue': spec.rescue,
    }
