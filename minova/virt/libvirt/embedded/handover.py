# SPDX-License-Identifier: Apache-2.0
"""Guests of embedded hosts on their way from one to another.

At each instant one host at most has a guest: it is let go of by the libvirt
of the source, then changes host by one rename, then is told to the libvirt of
the destination. It goes on when nobody runs the source, as a guest of real
hypervisors does without the services. What is due is done by whoever looks
next, at the source or, when nobody is there, at the destination.
"""

from typing import Protocol

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Peer
from minova.virt.libvirt.embedded.store import EmbeddedDisks
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.record_store import Record

LOG = logging.getLogger(__name__)


def now_seconds() -> float:
    """Return the clock's time of day as the records hold it."""
    return clock.now().timestamp()


class LocalGuests(Protocol):
    """The guests of the host that does what is due."""

    def power(self, uuid: str) -> PowerState | None:
        """Tell a guest's power; None when it is not in this libvirt."""

    def drop_domain(self, uuid: str) -> None:
        """End a guest in this libvirt; its record stays."""


class Handover:
    """Guests on their way from host to host, as the records have it.

    ``host`` is the one that looks. All methods need the guest's lock.
    """

    def __init__(self, host: str, store: EmbeddedStore) -> None:
        self._host = host
        self._store = store

    def get_migration(self, uuid: str) -> Record | None:
        """Return how the last move of a guest from here goes or went."""
        return self._store.get(f'{self._host}/migrations/{uuid}')

    def start(self, uuid: str, dest: str, memory: int, disk: int) -> None:
        """Let a guest be on its way; it carries so many bytes."""
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
        """Let a guest that is on its way from here be due now."""
        move = self.get_migration(uuid)
        if move is not None and move['state'] == 'running':
            ends_at = min(move['ends_at'], now_seconds())
            path = f'{self._host}/migrations/{uuid}'
            self._store.put(path, move | {'ends_at': ends_at})

    def finish(self, uuid: str, state: str, error: str) -> None:
        """End the move of a guest from here, if it is under way."""
        self._finish(self._host, uuid, state, error)

    def delete(self, uuid: str) -> None:
        """Know nothing of a move from here any more."""
        self._store.delete(f'{self._host}/migrations/{uuid}')

    def apply_due(self, uuid: str, local_guests: LocalGuests) -> None:
        """Let a guest that is due, from here or to here, be there."""
        arriving = self._store.get(f'{self._host}/incoming/{uuid}')
        if arriving is not None and arriving['source'] != self._host:
            source = arriving['source']
            with self._store.hold_if_stopped(source) as is_stopped:
                # Somebody who runs the source must let go of the guest there
                # before it comes, and will look soon.
                if is_stopped:
                    self._hand_over_if_due(source, uuid, None)
        self._hand_over_if_due(self._host, uuid, local_guests)

    def _hand_over_if_due(
        self, source: str, uuid: str, local_guests: LocalGuests | None
    ) -> None:
        move = self._store.get(f'{source}/migrations/{uuid}')
        if move is None or move['state'] != 'running':
            return
        if move['ends_at'] > now_seconds():
            return
        guest = self._store.get(f'{source}/guests/{uuid}')
        if guest is None:
            # It went, and who let it go could not say so any more.
            self._finish(source, uuid, 'completed', None)
            return
        obstacle = self._failure_reason(
            move['dest'], uuid, guest, local_guests
        )
        if obstacle is not None:
            self._finish(source, uuid, 'failed', obstacle)
            return
        try:
            self._hand_over(source, move['dest'], uuid, local_guests)
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
            return f'{dest} does not receive it'
        if self._store.get(f'{dest}/guests/{uuid}') is not None:
            return f'{dest} has a guest of that name'
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
        move = self._store.get(path)
        if move is None or move['state'] != 'running':
            return
        self._store.put(path, move | {'state': state, 'error': error})
        LOG.info(
            'The live migration of %s from %s to %s, which was acted out, is '
            '%s%s.',
            uuid,
            source,
            move['dest'],
            state,
            f': {error}' if error else '',
        )
