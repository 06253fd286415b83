# SPDX-License-Identifier: Apache-2.0
"""The guests of an embedded host: in libvirt, and written down.

Two rules make a guest outlive the libvirt that has it, whatever is cut short:

* a change is made in libvirt first and written down then, so that nothing is
  written that libvirt refused; if the process ends in between, the change has
  not happened, and whoever asked for it asks again;
* nobody is told of a guest what is not written down.

A guest that is written down and that libvirt does not know, because libvirt
is new or the guest has come from another host, is told to it by whoever looks
next.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

import libvirt
from oslo_log import log as logging

from minova import exception
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Guest
from minova.virt.driver import Spec
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import refusals
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.passage import Passage
from minova.virt.libvirt.records import Records
from minova.virt.shelf import Record

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Noted:
    """What is written of a guest, and libvirt's id of it if it is on.

    libvirt numbers guests anew in each process. ``record['boot']`` counts
    the starts of the guest, whatever their number was.
    """

    record: Record
    number: int | None


class EmbeddedGuests:
    """The guests of an embedded host, in libvirt and written down."""

    def __init__(
        self,
        host: str,
        records: Records,
        connection: Connection,
        inner: Guests,
        passage: Passage,
    ) -> None:
        self._host = host
        self._records = records
        self._connection = connection
        self._inner = inner
        self._passage = passage
        self._noted: dict[str, _Noted] = {}
        self._refused: dict[str, str] = {}
        self._grievances: dict[str, str] = {}
        connection.listen(self._hear)

    def _hear(self, uuid: str | None) -> None:
        if uuid is None:
            # A new connection has no guests; they are told to it anew.
            self._noted.clear()
            self._refused.clear()

    # -- one guest, written down ---------------------------------------------

    @contextlib.contextmanager
    def at_rest(self, uuid: str) -> Iterator[None]:
        """Have a guest to oneself: what is due is done before.

        What has become of it is written down afterwards.
        """
        with self._failures(uuid), self._records.alone(uuid):
            self._settle(uuid)
            try:
                yield
            finally:
                self._note(uuid)

    @contextlib.contextmanager
    def _failures(self, uuid: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise exception.GuestFailed(
                instance_id=uuid, reason=str(error)
            ) from error

    def _path(self, uuid: str) -> str:
        return f'{self._host}/guests/{uuid}'

    def _note(self, uuid: str, defined: bool = False) -> Guest | None:
        """Write down what libvirt says of a guest; return that."""
        guest = self._inner.guest(uuid)
        noted = self._noted.get(uuid)
        if guest is None:
            if noted is not None:
                self._passage.end(uuid, 'failed', 'the guest is gone')
                self._records.delete(self._path(uuid))
                del self._noted[uuid]
            return None
        before = noted.record if noted else self._records.get(self._path(uuid))
        boots = before['boot'] if before else 0
        if guest.boot is not None and (
            not noted or guest.boot != noted.number
        ):
            boots += 1
        if noted and not defined:
            definition = noted.record['definition']
        else:
            definition = self._definition(uuid)
        record = {
            'definition': definition,
            'home': self._records.folder(self._host),
            'power': int(guest.power),
            'boot': boots,
            'saved': self._inner.has_saved(uuid),
        }
        if record != before:
            self._records.put(self._path(uuid), record)
        self._noted[uuid] = _Noted(record, guest.boot)
        self._refused.pop(uuid, None)
        return _numbered(guest, boots)

    def _definition(self, uuid: str) -> str:
        with refusals(uuid):
            text = self._inner.find(uuid).XMLDesc(
                libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            )
        return str(text)

    def _settle(self, uuid: str) -> None:
        """Do what is due of a guest; needs its lock."""
        # First of all, for a new connection has no guests yet.
        opened = self._connection.use()
        self._passage.settle(uuid, self)
        if uuid in self._noted:
            return
        record = self._records.get(self._path(uuid))
        if record is None:
            return
        try:
            self._pick_up(opened, uuid, record)
        except exception.GuestFailed as error:
            self._leave_off(uuid, record, str(error))

    def _pick_up(self, opened: Any, uuid: str, record: Record) -> None:
        """Tell libvirt of a guest that came, or was here before it."""
        home = self._records.folder(self._host)
        if record['home'] != home:
            text = xml.relocated(record['definition'], {record['home']: home})
            record = record | {'definition': text, 'home': home}
            self._records.put(self._path(uuid), record)
        power = Power(record['power'])
        number = None
        with refusals(uuid):
            domain = opened.defineXML(record['definition'])
            if power in ON:
                domain.create()
                number = int(opened.lookupByUUIDString(uuid).ID())
            if power is Power.PAUSED:
                domain.suspend()
            if record.get('saved'):
                # What libvirt saved went with it; there is none to save.
                domain.create()
                domain.managedSave()
        self._noted[uuid] = _Noted(record, number)
        self._refused.pop(uuid, None)
        self._records.delete(f'{self._host}/arriving/{uuid}')

    def _leave_off(self, uuid: str, record: Record, reason: str) -> None:
        """Let a guest that libvirt does not take be off, until it does.

        So whoever wants it to run defines it anew.
        """
        if self._refused.get(uuid) != reason:
            LOG.error('It stays off at %s. %s', self._host, reason)
        self._refused[uuid] = reason
        if Power(record['power']) in ON:
            off = record | {'power': int(Power.SHUTDOWN)}
            self._records.put(self._path(uuid), off)

    # -- for moves -----------------------------------------------------------

    def power(self, uuid: str) -> Power | None:
        """Tell a guest's power; None when it is not in this libvirt."""
        if uuid not in self._noted:
            return None
        guest = self._inner.guest(uuid)
        return None if guest is None else guest.power

    def memory(self, uuid: str) -> int:
        """Return the bytes of a guest's memory; GuestFailed without it."""
        domain = self._inner.require(uuid)
        with refusals(uuid):
            return int(domain.maxMemory()) * 1024

    def let_go(self, uuid: str) -> None:
        """End a guest in this libvirt; its record stays."""
        self._noted.pop(uuid, None)
        self._inner.remove(uuid)

    # -- looking -------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests, by one call unless some have changed."""
        self._connection.use()
        self.settle_due()
        found: list[Guest | None] = []
        seen = self._inner.guests()
        for guest in seen:
            noted = self._noted.get(guest.uuid)
            if noted and _is_as_noted(guest, noted):
                found.append(_numbered(guest, noted.record['boot']))
            else:
                found.append(self.catch_up(guest.uuid))
        others = {*self._noted, *self._refused}
        others.update(self._records.names(f'{self._host}/arriving'))
        others.difference_update(guest.uuid for guest in seen)
        found.extend(self.catch_up(uuid) for uuid in sorted(others))
        return [guest for guest in found if guest is not None]

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or one that is to come."""
        with self._failures(uuid), self._records.alone(uuid):
            self._settle(uuid)
            guest = self._note(uuid)
            if guest is None and uuid in self._refused:
                return _without(uuid, Power.SHUTDOWN, self._refused[uuid])
            coming = f'{self._host}/arriving/{uuid}'
            if guest is None and self._records.get(coming) is not None:
                return _without(uuid, Power.PAUSED)
            return guest

    def catch_up(self, uuid: str) -> Guest | None:
        """Return one guest, None also when it cannot be told; logged then."""
        try:
            guest = self.guest(uuid)
        except exception.GuestFailed as error:
            # Once for each reason: this is asked several times a second.
            if self._grievances.get(uuid) != str(error):
                LOG.error('Host %s: %s', self._host, error)
                self._grievances[uuid] = str(error)
            return None
        self._grievances.pop(uuid, None)
        return guest

    def settle_due(self) -> None:
        """Do what is due of all guests that come, go or are not told yet."""
        waiting = set(self._records.names(f'{self._host}/guests'))
        waiting.difference_update([*self._noted, *self._refused])
        for kind in ('arriving', 'moves'):
            waiting.update(self._records.names(f'{self._host}/{kind}'))
        for uuid in sorted(waiting):
            self.catch_up(uuid)

    # -- changing ------------------------------------------------------------

    def define(self, spec: Spec) -> None:
        """Define a guest, also one that libvirt did not take back."""
        uuid = spec.uuid
        with self._failures(uuid), self._records.alone(uuid):
            self._settle(uuid)
            self._inner.define(spec)
            self._note(uuid, defined=True)

    def start(self, uuid: str) -> None:
        """Start a guest."""
        with self.at_rest(uuid):
            self._inner.start(uuid)

    def shutdown(self, uuid: str) -> None:
        """Ask a guest to switch itself off; it does so at once."""
        with self.at_rest(uuid):
            self._inner.shutdown(uuid)

    def power_off(self, uuid: str) -> None:
        """Cut a guest's power; a move that was under way ends."""
        with self.at_rest(uuid):
            self._passage.end(uuid, 'failed', 'the guest is off')
            self._inner.power_off(uuid)

    def pause(self, uuid: str) -> None:
        """Pause a guest."""
        with self.at_rest(uuid):
            self._inner.pause(uuid)

    def unpause(self, uuid: str) -> None:
        """Let a guest go on."""
        with self.at_rest(uuid):
            self._inner.unpause(uuid)

    def suspend(self, uuid: str) -> None:
        """Suspend a guest."""
        with self.at_rest(uuid):
            self._inner.suspend(uuid)

    def has_saved(self, uuid: str) -> bool:
        """Tell whether a guest is suspended."""
        with self.at_rest(uuid):
            return self._inner.has_saved(uuid)

    def resume(self, uuid: str) -> None:
        """Let a suspended guest go on."""
        with self.at_rest(uuid):
            self._inner.resume(uuid)

    def remove(self, uuid: str) -> None:
        """Forget a guest, its moves and that it was to come."""
        with self._failures(uuid), self._records.alone(uuid):
            self._passage.settle(uuid, self)
            # A move is forgotten first: of one that is under way without its
            # guest it would be believed that the guest has gone.
            self._passage.forget(uuid)
            self._inner.remove(uuid)
            self._noted.pop(uuid, None)
            self._records.delete(self._path(uuid))
            self._records.delete(f'{self._host}/arriving/{uuid}')
            self._refused.pop(uuid, None)
            self._grievances.pop(uuid, None)


def _is_as_noted(guest: Guest, noted: _Noted) -> bool:
    known = noted.record['power'], noted.number
    return known == (int(guest.power), guest.boot)


def _numbered(guest: Guest, boots: int) -> Guest:
    """Return a guest with the number of its boot instead of libvirt's id."""
    if guest.boot is None:
        return guest
    return dataclasses.replace(guest, boot=boots)


def _without(uuid: str, power: Power, trouble: str | None = None) -> Guest:
    """Return a guest that libvirt does not have: off, or still to come."""
    arriving = power is Power.PAUSED
    return Guest(uuid, power, None, None, None, arriving, trouble)
