# SPDX-License-Identifier: Apache-2.0
"""The handover of a guest from one embedded host to another.

At most one host has a guest at any time: the source removes the domain, one
rename moves the record to the destination, the destination defines the domain.
A handover continues while the source is stopped, as the guest of a real
hypervisor migrates while the services are stopped. The next access to the
guest applies what is due: at the source or, while the source is stopped, at
the destination.
"""

from typing import Protocol

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Peer
from minova.virt.libvirt.embedded.disks import EmbeddedDisks
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.record_store import Record
from minova.virt.simulated_time import now_seconds

LOG = logging.getLogger(__name__)


class LocalGuests(Protocol):
    """The guests of the host that applies what is due."""

    def power(self, uuid: str) -> PowerState | None:
        """Return the power state, None without a domain."""

    def drop_domain(self, uuid: str) -> None:
        """Remove the domain; the record stays."""


class Handover:
    """The handovers that concern ``host``.

    All methods need the guest's lock.
    """

    def __init__(self, host: str, store: EmbeddedStore) -> None:
        self._host = host
        self._store = store

    def get_migration(self, uuid: str) -> Record | None:
        """Return the last migration of a guest from this host."""
        return self._store.get(f'{self._host}/migrations/{uuid}')

    def start(self, uuid: str, dest: str, memory: int, disk: int) -> None:
        """Start a migration of so many bytes of memory and disk."""
        now = now_seconds()
        self._store.put(
            f'{self._host}/migrations/{uuid}',
            {
                'state': 'running',
                'dest': dest,
                'began_at': now,
                'ends_at': now + CONF.libvirt.embedded_migration_seconds,
                'memory': memory,
                'disk': disk,
                'error': None,
            },
        )

    def complete_now(self, uuid: str) -> None:
        """Let a running migration from this host be due now."""
        migration = self.get_migration(uuid)
        if migration is not None and migration['state'] == 'running':
            ends_at = min(migration['ends_at'], now_seconds())
            path = f'{self._host}/migrations/{uuid}'
            self._store.put(path, migration | {'ends_at': ends_at})

    def finish(self, uuid: str, state: str, error: str) -> None:
        """End a running migration from this host."""
        self._finish(self._host, uuid, state, error)

    def delete(self, uuid: str) -> None:
        """Delete the record of a migration from this host."""
        self._store.delete(f'{self._host}/migrations/{uuid}')

    def apply_due(self, uuid: str, local_guests: LocalGuests) -> None:
        """Complete a due migration from or to this host."""
        arriving = self._store.get(f'{self._host}/incoming/{uuid}')
        if arriving is not None and arriving['source'] != self._host:
            source = arriving['source']
            with self._store.hold_if_stopped(source) as is_stopped:
                # A running source removes the domain before the guest
                # arrives, and polls for that.
                if is_stopped:
                    self._hand_over_if_due(source, uuid, None)
        self._hand_over_if_due(self._host, uuid, local_guests)

    def _hand_over_if_due(
        self, source: str, uuid: str, local_guests: LocalGuests | None
    ) -> None:
        migration = self._store.get(f'{source}/migrations/{uuid}')
        if migration is None or migration['state'] != 'running':
            return
        if migration['ends_at'] > now_seconds():
            return
        guest = self._store.get(f'{source}/guests/{uuid}')
        if guest is None:
            # The process ended between the rename and the last record.
            self._finish(source, uuid, 'completed', None)
            return
        obstacle = self._failure_reason(
            migration['dest'], uuid, guest, local_guests
        )
        if obstacle is not None:
            self._finish(source, uuid, 'failed', obstacle)
            return
        try:
            self._hand_over(source, migration['dest'], uuid, local_guests)
        except (OSError, exception.GuestFailed) as error:
            self._finish(source, uuid, 'failed', str(error))

    def _failure_reason(
        self,
        dest: str,
        uuid: str,
        guest: Record,
        local_guests: LocalGuests | None,
    ) -> str | None:
        power = local_guests.power(uuid) if local_guests is not None else None
        if (power or PowerState(guest['power'])) not in POWERED_ON:
            return 'the guest is off'
        if self._store.get(f'{dest}/incoming/{uuid}') is None:
            return f'{dest} is not prepared to receive the guest'
        if self._store.get(f'{dest}/guests/{uuid}') is not None:
            return f'{dest} already has a guest with this uuid'
        return None

    def _hand_over(
        self,
        source: str,
        dest: str,
        uuid: str,
        local_guests: LocalGuests | None,
    ) -> None:
        EmbeddedDisks(self._store, source).copy_to(uuid, Peer(dest, ''))
        if local_guests is not None:
            local_guests.drop_domain(uuid)
        self._store.delete(f'{dest}/migrations/{uuid}')
        self._store.rename(f'{source}/guests/{uuid}', f'{dest}/guests/{uuid}')
        self._finish(source, uuid, 'completed', None)

    def _finish(
        self, source: str, uuid: str, state: str, error: str | None
    ) -> None:
        path = f'{source}/migrations/{uuid}'
        migration = self._store.get(path)
        if migration is None or migration['state'] != 'running':
            return
        self._store.put(path, migration | {'state': state, 'error': error})
        LOG.info(
            'Guest %s: simulated live migration from %s to %s %s%s',
            uuid,
            source,
            migration['dest'],
            state,
            f': {error}' if error else '',
        )
