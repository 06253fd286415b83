# SPDX-License-Identifier: Apache-2.0
"""Live migration between two embedded hosts, which is acted out.

libvirt's test driver cannot migrate, and its guests have no memory to move.
So what is seen of a migration is played: it takes the time that is
configured, copies the disk, and then lets the guest be off here and on there
(``passage``). Nothing of it says how a real migration goes; the plan of each,
and the log, say that it is acted out. The rules of a real one hold: one host
at most has the guest, and until it has gone it can be kept.
"""

from typing import Any

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.states import ON
from minova.virt.driver import Migration
from minova.virt.driver import Peer
from minova.virt.driver import Spec
from minova.virt.libvirt.embedded_guests import EmbeddedGuests
from minova.virt.libvirt.passage import Passage
from minova.virt.libvirt.passage import seconds
from minova.virt.libvirt.records import HostDisks
from minova.virt.libvirt.records import Records

LOG = logging.getLogger(__name__)

#: What the plan of each such migration says.
ACTED_OUT = (
    'Both hosts are embedded: the guest is ended at the one and started at '
    'the other. No memory is moved.'
)


class ActedMoves:
    """Live migration as a driver is asked for it."""

    def __init__(
        self,
        host: str,
        records: Records,
        guests: EmbeddedGuests,
        passage: Passage,
        disks: HostDisks,
    ) -> None:
        self._host = host
        self._records = records
        self._guests = guests
        self._passage = passage
        self._disks = disks

    # -- at the destination --------------------------------------------------

    def check_reception(
        self, spec: Spec, source: dict[str, Any], block: bool | None
    ) -> dict[str, Any]:
        """Accept the guests of all embedded hosts of this machine."""
        if block is False:
            raise exception.InvalidLocalStorage(
                path=self._disks.folder(spec.uuid),
                reason='embedded hosts share no storage; ask for block '
                'migration',
            )
        self._require_known(source['host'])
        return {'dest': self._host, 'acted_out': ACTED_OUT}

    def prepare_reception(
        self, spec: Spec, plan: dict[str, Any], image: str | None = None
    ) -> dict[str, Any]:
        """Make room, unless the guest has come already."""
        with self._guests.at_rest(spec.uuid):
            if self._guests.power(spec.uuid) is None:
                self._records.put(
                    f'{self._host}/arriving/{spec.uuid}',
                    {'source': plan['source']},
                )
        return {}

    def cancel_reception(self, uuid: str, plan: dict[str, Any]) -> None:
        """Take the room back, and the disks unless the guest has come.

        What is due is not done before: it is not wanted any more.
        """
        with self._records.alone(uuid):
            self._records.delete(f'{self._host}/arriving/{uuid}')
            if self._records.get(f'{self._host}/guests/{uuid}') is None:
                self._disks.remove_disks(uuid)

    # -- at the source -------------------------------------------------------

    def check_departure(
        self, uuid: str, answer: dict[str, Any], block: bool | None
    ) -> dict[str, Any]:
        """Require that the guest runs."""
        self._require_known(answer['dest'])
        guest = self._guests.guest(uuid)
        if guest is None or guest.power not in ON:
            raise exception.MigrationRefused(
                reason=f'guest {uuid} does not run at {self._host}'
            )
        return answer | {'block_migration': True, 'source': self._host}

    def migrate(self, uuid: str, to: Peer, plan: dict[str, Any]) -> None:
        """Note when the guest will be there; one under way goes on."""
        with self._guests.at_rest(uuid):
            memory = self._guests.memory(uuid)
            if self._guests.power(uuid) not in ON:
                raise exception.GuestMigrationFailed(
                    instance_id=uuid, reason='it is off'
                )
            move = self._passage.find(uuid)
            if move and (move['state'], move['dest']) == ('running', to.host):
                return
            LOG.info(
                'Guest %s goes from %s to %s in %g s, acted out: %s',
                uuid,
                self._host,
                to.host,
                CONF.libvirt.embedded_migration_seconds,
                ACTED_OUT,
            )
            self._passage.begin(uuid, to.host, memory, self._disks.used(uuid))

    def migration(self, uuid: str) -> Migration:
        """Tell how far it is, by the time that has passed."""
        with self._guests.at_rest(uuid):
            move = self._passage.find(uuid)
        if move is None:
            return Migration('none')
        span = move['ends_at'] - move['began_at']
        part = (seconds() - move['began_at']) / span if span else 1.0
        part = 1.0 if move['state'] == 'completed' else min(part, 1.0)
        memory, disk = int(move['memory']), int(move['disk'])
        return Migration(
            move['state'],
            move['error'],
            memory_total=memory,
            memory_processed=int(memory * part),
            memory_remaining=memory - int(memory * part),
            disk_total=disk,
            disk_processed=int(disk * part),
            disk_remaining=disk - int(disk * part),
        )

    def hasten(self, uuid: str, plan: dict[str, Any], seconds: float) -> None:
        """What is acted out takes the time that it takes."""

    def abort_migration(self, uuid: str) -> None:
        """End it unless it was due."""
        with self._guests.at_rest(uuid):
            self._passage.end(uuid, 'cancelled', 'it was aborted')

    def force_migration(self, uuid: str) -> None:
        """Let it be due now; there is no memory that keeps changing."""
        with self._guests.at_rest(uuid):
            self._passage.hasten(uuid)

    def _require_known(self, host: str) -> None:
        if not self._records.knows(host):
            raise exception.MigrationRefused(
                reason=f'{host} is no embedded host below '
                f'{self._records.directory}, and guests of embedded hosts '
                'move only between those of one machine'
            )
