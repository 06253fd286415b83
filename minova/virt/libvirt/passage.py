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
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Peer
from minova.virt.libvirt.records import HostDisks
from minova.virt.libvirt.records import Records
from minova.virt.shelf import Record

LOG = logging.getLogger(__name__)


def seconds() -> float:
    """Return the clock's time of day as the records hold it."""
    return clock.now().timestamp()


class Here(Protocol):
    """The guests of the host that does what is due."""

    def power(self, uuid: str) -> Power | None:
        """Tell a guest's power; None when it is not in this libvirt."""

    def let_go(self, uuid: str) -> None:
        """End a guest in this libvirt; its record stays."""


class Passage:
    """Guests on their way from host to host, as the records have it.

    ``host`` is the one that looks. All methods need the guest's lock.
    """

    def __init__(self, host: str, records: Records) -> None:
        self._host = host
        self._records = records

    def find(self, uuid: str) -> Record | None:
        """Return how the last move of a guest from here goes or went."""
        return self._records.get(f'{self._host}/moves/{uuid}')

    def begin(self, uuid: str, dest: str, memory: int, disk: int) -> None:
        """Let a guest be on its way; it carries so many bytes."""
        now = seconds()
        self._records.put(
            f'{self._host}/moves/{uuid}',
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

    def hasten(self, uuid: str) -> None:
        """Let a guest that is on its way from here be due now."""
        move = self.find(uuid)
        if move is not None and move['state'] == 'running':
            ends_at = min(move['ends_at'], seconds())
            path = f'{self._host}/moves/{uuid}'
            self._records.put(path, move | {'ends_at': ends_at})

    def end(self, uuid: str, state: str, error: str) -> None:
        """End the move of a guest from here, if it is under way."""
        self._end(self._host, uuid, state, error)

    def forget(self, uuid: str) -> None:
        """Know nothing of a move from here any more."""
        self._records.delete(f'{self._host}/moves/{uuid}')

    def settle(self, uuid: str, here: Here) -> None:
        """Let a guest that is due, from here or to here, be there."""
        arriving = self._records.get(f'{self._host}/arriving/{uuid}')
        if arriving is not None and arriving['source'] != self._host:
            source = arriving['source']
            with self._records.vacant(source) as vacant:
                # Somebody who runs the source must let go of the guest there
                # before it comes, and will look soon.
                if vacant:
                    self._go_if_due(source, uuid, None)
        self._go_if_due(self._host, uuid, here)

    def _go_if_due(self, source: str, uuid: str, here: Here | None) -> None:
        move = self._records.get(f'{source}/moves/{uuid}')
        if move is None or move['state'] != 'running':
            return
        if move['ends_at'] > seconds():
            return
        guest = self._records.get(f'{source}/guests/{uuid}')
        if guest is None:
            # It went, and who let it go could not say so any more.
            self._end(source, uuid, 'completed', None)
            return
        obstacle = self._obstacle(move['dest'], uuid, guest, here)
        if obstacle is not None:
            self._end(source, uuid, 'failed', obstacle)
            return
        try:
            self._go(source, move['dest'], uuid, here)
        except (OSError, exception.GuestFailed) as error:
            self._end(source, uuid, 'failed', str(error))

    def _obstacle(
        self, dest: str, uuid: str, guest: Record, here: Here | None
    ) -> str | None:
        power = here.power(uuid) if here is not None else None
        if (power or Power(guest['power'])) not in ON:
            return 'the guest is off'
        if self._records.get(f'{dest}/arriving/{uuid}') is None:
            return f'{dest} does not receive it'
        if self._records.get(f'{dest}/guests/{uuid}') is not None:
            return f'{dest} has a guest of that name'
        return None

    def _go(
        self, source: str, dest: str, uuid: str, here: Here | None
    ) -> None:
        HostDisks(self._records, source).copy_to(uuid, Peer(dest, ''))
        if here is not None:
            here.let_go(uuid)
        self._records.delete(f'{dest}/moves/{uuid}')
        self._records.move(f'{source}/guests/{uuid}', f'{dest}/guests/{uuid}')
        self._end(source, uuid, 'completed', None)

    def _end(
        self, source: str, uuid: str, state: str, error: str | None
    ) -> None:
        path = f'{source}/moves/{uuid}'
        move = self._records.get(path)
        if move is None or move['state'] != 'running':
            return
        self._records.put(path, move | {'state': state, 'error': error})
        LOG.info(
            'The live migration of %s from %s to %s, which was acted out, is '
            '%s%s.',
            uuid,
            source,
            move['dest'],
            state,
            f': {error}' if error else '',
        )
