# SPDX-License-Identifier: Apache-2.0
"""One fake host, asked as any hypervisor is."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import queue
from typing import Any
from typing import cast
from typing import Concatenate
from typing import ParamSpec
from typing import TypeVar

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.objects.host import Holding
from minova.states import ON
from minova.states import Power
from minova.virt import stock
from minova.virt.driver import Guest
from minova.virt.driver import Inventory
from minova.virt.driver import Migration
from minova.virt.driver import Peer
from minova.virt.driver import Progress
from minova.virt.driver import Screen
from minova.virt.driver import Spec
from minova.virt.fake.world import seconds
from minova.virt.fake.world import World
from minova.virt.shelf import Record

P = ParamSpec('P')
R = TypeVar('R')

_MIB = 1 << 20
#: What a guest says when it boots, as long as somebody may want to read it.
_BOOT = (
    '[    0.000000] fake guest {uuid}, boot {number} at {host}\n{name} login:'
)
_KEPT_BOOTS = 100
#: Seconds after which a guest that is forced to move is there.
_FORCED = 1.0


def _faulty(
    method: 'Callable[Concatenate[FakeDriver, P], R]',
) -> 'Callable[Concatenate[FakeDriver, P], R]':
    """Let a method fail or take time when that was ordered."""

    @functools.wraps(method)
    def wrapped(self: 'FakeDriver', *args: P.args, **kwargs: P.kwargs) -> R:
        name = method.__name__
        self.take_time(name)
        self.fail_if_ordered(name)
        try:
            return method(self, *args, **kwargs)
        finally:
            self.take_time(name, after=True)

    return cast('Callable[Concatenate[FakeDriver, P], R]', wrapped)


class FakeDriver:
    """One fake host."""

    uses_images = False

    def __init__(self, host: str, world: World) -> None:
        self.host = host
        self._world = world
        self._shelf = world.shelf
        self._shelf.put(f'hosts/{host}', {})

    def take_time(self, method: str, after: bool = False) -> None:
        """Take the time that was ordered, before or after the call."""
        seconds = self._world.delay(self.host, method, after)
        if seconds:
            clock.sleep(seconds)

    def fail_if_ordered(self, method: str) -> None:
        """Raise the error that was ordered."""
        path = f'{self.host}/faults/{method}'
        order = self._shelf.get(path)
        if order is None:
            return
        if order['times'] > 1:
            self._shelf.put(path, order | {'times': order['times'] - 1})
        else:
            self._shelf.delete(path)
        kind = getattr(exception, order['kind'])
        raise kind(
            instance_id='(any)', reason=f'{method} failed: {order["error"]}'
        )

    # -- the host ------------------------------------------------------------

    @_faulty
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

    @_faulty
    def guests(self) -> list[Guest]:
        """Return all guests."""
        uuids = set(self._shelf.names(f'{self.host}/guests'))
        uuids |= set(self._shelf.names(f'{self.host}/arriving'))
        found = [self._look(uuid) for uuid in sorted(uuids)]
        return [guest for guest in found if guest is not None]

    @_faulty
    def guest(self, uuid: str) -> Guest | None:
        """Return one guest."""
        return self._look(uuid)

    def _look(self, uuid: str) -> Guest | None:
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
            arriving = self._shelf.get(f'{self.host}/arriving/{uuid}')
        if record is None:
            if arriving is None:
                return None
            return Guest(uuid, Power.PAUSED, None, None, None, arriving=True)
        power = Power(record['power'])
        on = power in ON
        return Guest(
            uuid,
            power,
            record['boot'] if on else None,
            record['spec']['operation'],
            record['spec']['generation'],
            trouble=record.get('trouble'),
        )

    @_faulty
    def define(self, spec: Spec) -> None:
        """Write the definition; a running guest goes on as it is."""
        with self._shelf.alone(spec.uuid):
            record = self._world.settle(self.host, spec.uuid) or {
                'power': int(Power.SHUTDOWN),
                'boot': 0,
                'off_at': None,
                'move': None,
            }
            record['spec'] = _as_record(spec)
            self._shelf.put(f'{self.host}/guests/{spec.uuid}', record)

    @_faulty
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

    @_faulty
    def shutdown(self, uuid: str) -> None:
        """Let the guest be off a little later."""
        with self._changing(uuid) as record:
            if record['power'] == Power.RUNNING:
                record['off_at'] = seconds() + CONF.fake.shutdown_seconds

    @_faulty
    def power_off(self, uuid: str) -> None:
        """Switch off; a move that was under way ends."""
        if self._look(uuid) is None:
            return
        with self._changing(uuid) as record:
            record |= {'power': int(Power.SHUTDOWN), 'off_at': None}
            if record['move'] and record['move']['state'] == 'running':
                record['move'] |= {'state': 'failed', 'error': 'guest is off'}

    @_faulty
    def pause(self, uuid: str) -> None:
        """Pause a running guest."""
        self._between(uuid, Power.RUNNING, Power.PAUSED)

    @_faulty
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

    @_faulty
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

    @_faulty
    def has_saved(self, uuid: str) -> bool:
        """Tell whether it is noted."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
        return record is not None and bool(record.get('saved'))

    @_faulty
    def resume(self, uuid: str) -> None:
        """Switch on; it is the boot that it was."""
        with self._changing(uuid) as record:
            if record['power'] not in ON and not record.get('saved'):
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason='nothing of its memory is saved',
                )
            record |= {'power': int(Power.RUNNING), 'saved': False}

    @_faulty
    def remove(self, uuid: str) -> None:
        """Forget a guest."""
        with self._shelf.alone(uuid):
            self._world.settle(self.host, uuid)
            for kind in ('guests', 'arriving', 'moved'):
                self._shelf.delete(f'{self.host}/{kind}/{uuid}')

    @contextlib.contextmanager
    def _changing(self, uuid: str) -> Iterator[Record]:
        """Have a guest's record to oneself; write it back when it is well."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
            if record is None:
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason=f'host {self.host} does not know it',
                )
            yield record
            self._shelf.put(f'{self.host}/guests/{uuid}', record)

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

    @_faulty
    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return what the guest said at its boots."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid) or {}
        said = '\n'.join(record.get('console', ())).encode()
        return said[-max_bytes:] if max_bytes else b''

    @_faulty
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

    # -- disks ---------------------------------------------------------------

    @_faulty
    def create_disks(self, spec: Spec, image: str | None) -> None:
        """Make the disks, with a content that is theirs alone."""
        path = f'{self.host}/disks/{spec.uuid}'
        disk = self._shelf.get(path)
        if disk is None:
            disk = {
                'content': clock.uuid4(),
                'image': spec.image_id,
                'root_gb': spec.root_gb,
            }
            self._shelf.put(path, disk)
        if spec.config_drive is not None and 'config_drive' not in disk:
            drive = {'config_drive': dataclasses.asdict(spec.config_drive)}
            self._shelf.put(path, disk | drive)

    @_faulty
    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    @_faulty
    def has_disks(self, uuid: str) -> bool:
        """Tell whether there is a record."""
        return self._shelf.get(f'{self.host}/disks/{uuid}') is not None

    @_faulty
    def grow_disks(self, spec: Spec) -> None:
        """Make the root disk larger."""
        disk = self._require_disk(spec.uuid)
        if spec.root_gb > disk['root_gb']:
            disk['root_gb'] = spec.root_gb
            self._shelf.put(f'{self.host}/disks/{spec.uuid}', disk)

    @_faulty
    def create_rescue_disk(self, spec: Spec, image: str | None) -> None:
        """Note it with the other disks, with a content of its own."""
        disk = self._require_disk(spec.uuid)
        if not disk.get('rescue'):
            rescue = spec.rescue or {}
            disk['rescue'] = {
                'content': clock.uuid4(),
                'image': rescue.get('image_id'),
            }
            self._shelf.put(f'{self.host}/disks/{spec.uuid}', disk)

    @_faulty
    def remove_rescue_disk(self, uuid: str) -> None:
        """Note that there is none."""
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if disk is not None and disk.pop('rescue', None):
            self._shelf.put(f'{self.host}/disks/{uuid}', disk)

    @_faulty
    def remove_disks(self, uuid: str) -> None:
        """Remove the record; nobody is invited any more."""
        self._shelf.delete(f'{self.host}/invited/{uuid}')
        self._shelf.delete(f'{self.host}/disks/{uuid}')

    @_faulty
    def prepare_disks(self, spec: Spec) -> dict[str, Any]:
        """Note whom is invited, under a word that is a secret."""
        path = f'{self.host}/invited/{spec.uuid}'
        invited = self._shelf.get(path)
        if invited is None or invited['operation'] != spec.operation:
            invited = {'operation': spec.operation, 'token': clock.uuid4()}
            self._shelf.put(path, invited)
        return {'host': self.host, 'token': invited['token']}

    @_faulty
    def check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> None:
        """Require the record, and to be invited."""
        self._check_hand_over(uuid, to, invitation)

    @_faulty
    def hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> list[Progress]:
        """Copy the record, in one step."""
        disk = self._check_hand_over(uuid, to, invitation)
        if disk is None:
            return []
        self._shelf.put(f'{to.host}/disks/{uuid}', disk)
        size = int(disk['root_gb']) << 30
        return [Progress(size, size)]

    def _check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> Record | None:
        """Return what is to be copied, None when it has been."""
        if self._shelf.get(f'{self.host}/aside/{uuid}') is not None:
            return None
        disk = self._require_disk(uuid)
        invited = self._shelf.get(f'{to.host}/invited/{uuid}')
        # A destination of the release before invites nobody.
        if (invited and invited['token']) != invitation.get('token'):
            raise exception.DiskFailed(
                instance_id=uuid, reason=f'{to.host} has not invited it'
            )
        return disk

    @_faulty
    def accept_disks(self, uuid: str) -> None:
        """Require the record, and forget who was invited."""
        self._require_disk(uuid)
        self._shelf.delete(f'{self.host}/invited/{uuid}')

    @_faulty
    def set_aside(self, uuid: str, copy: bool = False) -> None:
        """Move or copy the record."""
        aside = f'{self.host}/aside/{uuid}'
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if self._shelf.get(aside) is None:
            if disk is None:
                self._require_disk(uuid)
            self._shelf.put(aside, cast(Record, disk))
        if not copy:
            self._shelf.delete(f'{self.host}/disks/{uuid}')

    @_faulty
    def take_back(self, uuid: str) -> None:
        """Put the record back in its place."""
        aside = self._shelf.get(f'{self.host}/aside/{uuid}')
        if aside is None:
            self._require_disk(uuid)
            return
        self._shelf.put(f'{self.host}/disks/{uuid}', aside)
        self._shelf.delete(f'{self.host}/aside/{uuid}')

    @_faulty
    def drop_aside(self, uuid: str) -> None:
        """Remove the record that was set aside."""
        self._shelf.delete(f'{self.host}/aside/{uuid}')

    @_faulty
    def has_aside(self, uuid: str) -> bool:
        """Tell whether there is a record set aside."""
        return self._shelf.get(f'{self.host}/aside/{uuid}') is not None

    def _require_disk(self, uuid: str) -> Record:
        disk = self._shelf.get(f'{self.host}/disks/{uuid}')
        if disk is None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=f'its disks are not at {self.host}'
            )
        return disk

    @_faulty
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
        return stock.of(guests, kept)

    # -- moves ---------------------------------------------------------------

    @_faulty
    def check_reception(
        self, spec: Spec, source: dict[str, Any], block: bool | None
    ) -> dict[str, Any]:
        """Accept every guest; fake hosts share no storage."""
        if block is False:
            raise exception.InvalidLocalStorage(
                path=spec.uuid, reason='fake hosts share no storage'
            )
        return {'dest': self.host}

    @_faulty
    def check_departure(
        self, uuid: str, answer: dict[str, Any], block: bool | None
    ) -> dict[str, Any]:
        """Require the guest to run."""
        guest = self._look(uuid)
        if guest is None or guest.power not in ON:
            raise exception.MigrationRefused(
                reason=f'guest {uuid} does not run at {self.host}'
            )
        return answer | {'block_migration': True, 'source': self.host}

    @_faulty
    def prepare_reception(
        self, spec: Spec, plan: dict[str, Any], image: str | None = None
    ) -> dict[str, Any]:
        """Note that a guest may come."""
        with self._shelf.alone(spec.uuid):
            if self._world.settle(self.host, spec.uuid) is None:
                arriving = {'source': plan['source']}
                self._shelf.put(f'{self.host}/arriving/{spec.uuid}', arriving)
        return {}

    @_faulty
    def cancel_reception(self, uuid: str, plan: dict[str, Any]) -> None:
        """Forget it again, with what came of its disks."""
        with self._shelf.alone(uuid):
            self._shelf.delete(f'{self.host}/arriving/{uuid}')
            if self._shelf.get(f'{self.host}/guests/{uuid}') is None:
                self._shelf.delete(f'{self.host}/disks/{uuid}')

    @_faulty
    def migrate(self, uuid: str, to: Peer, plan: dict[str, Any]) -> None:
        """Note when the guest will be there."""
        with self._changing(uuid) as record:
            if record['power'] not in ON:
                raise exception.GuestFailed(
                    instance_id=uuid, reason='it is off and cannot be moved'
                )
            if record['move'] and record['move']['state'] == 'running':
                return
            record['move'] = {
                'state': 'running',
                'dest': to.host,
                'began_at': seconds(),
                'ends_at': seconds() + self._world.migration_seconds(),
                'error': None,
            }

    @_faulty
    def migration(self, uuid: str) -> Migration:
        """Tell how far the move is."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
            moved = self._shelf.get(f'{self.host}/moved/{uuid}')
        if record is None:
            return Migration('completed' if moved else 'none')
        move = record['move']
        if not move:
            return Migration('none')
        total = int(record['spec']['memory_mb']) * _MIB
        span = move['ends_at'] - move['began_at']
        part = (seconds() - move['began_at']) / span if span else 1.0
        done = int(total * min(part, 1.0))
        return Migration(
            move['state'],
            move['error'],
            memory_total=total,
            memory_processed=done,
            memory_remaining=total - done,
        )

    def hasten(self, uuid: str, plan: dict[str, Any], seconds: float) -> None:
        """What is acted out takes the time that it takes."""

    @_faulty
    def abort_migration(self, uuid: str) -> None:
        """End the move if it still runs."""
        if self._look(uuid) is None:
            return
        with self._changing(uuid) as record:
            if record['move'] and record['move']['state'] == 'running':
                record['move'] |= {'state': 'cancelled', 'error': 'aborted'}

    @_faulty
    def force_migration(self, uuid: str) -> None:
        """Pause the guest; it is there soon, and goes on there."""
        if self._look(uuid) is None:
            return
        with self._changing(uuid) as record:
            move = record['move']
            if not move or move['state'] != 'running':
                return
            move['ends_at'] = min(move['ends_at'], seconds() + _FORCED)
            if record['power'] == Power.RUNNING:
                move['paused'] = True
                record['power'] = int(Power.PAUSED)


def _as_record(spec: Spec) -> Record:
    return {
        'operation': spec.operation,
        'generation': spec.generation,
        'vcpus': spec.vcpus,
        'memory_mb': spec.memory_mb,
        'root_gb': spec.root_gb,
        'rescue': spec.rescue,
    }
