# SPDX-License-Identifier: Apache-2.0
"""Live migration of a fake host: a guest is there when its time has passed."""

from typing import Any

from minova import exception
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Migration
from minova.virt.driver import Peer
from minova.virt.driver import Spec
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import faulty
from minova.virt.fake.world import seconds

_MIB = 1 << 20
#: Seconds after which a guest that is forced to move is there.
_FORCED = 1.0


class FakeMoves(FakeHost):
    """Live migration as a driver is asked for it."""

    @faulty
    def check_reception(
        self, spec: Spec, source: dict[str, Any], block: bool | None
    ) -> dict[str, Any]:
        """Accept every guest; fake hosts share no storage."""
        if block is False:
            raise exception.InvalidLocalStorage(
                path=spec.uuid, reason='fake hosts share no storage'
            )
        return {'dest': self.host}

    @faulty
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

    @faulty
    def prepare_reception(
        self, spec: Spec, plan: dict[str, Any], image: str | None = None
    ) -> dict[str, Any]:
        """Note that a guest may come."""
        with self._shelf.alone(spec.uuid):
            self._reserve(spec)
            if self._world.settle(self.host, spec.uuid) is None:
                arriving = {'source': plan['source']}
                self._shelf.put(f'{self.host}/arriving/{spec.uuid}', arriving)
        return {}

    @faulty
    def cancel_reception(self, uuid: str, plan: dict[str, Any]) -> None:
        """Forget it again, with what came of its disks."""
        with self._shelf.alone(uuid):
            self._shelf.delete(f'{self.host}/arriving/{uuid}')
            self._shelf.delete(f'{self.host}/reserved/{uuid}')
            if self._shelf.get(f'{self.host}/guests/{uuid}') is None:
                self._shelf.delete(f'{self.host}/disks/{uuid}')

    @faulty
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

    @faulty
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

    @faulty
    def abort_migration(self, uuid: str) -> None:
        """End the move if it still runs."""
        if self._look(uuid) is None:
            return
        with self._changing(uuid) as record:
            if record['move'] and record['move']['state'] == 'running':
                record['move'] |= {'state': 'cancelled', 'error': 'aborted'}

    @faulty
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
