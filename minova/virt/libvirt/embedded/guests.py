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
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import translate_errors
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.guests import Guests
from minova.virt.record_store import Record

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _RecordedGuest:
    """What is written of a guest, and libvirt's id of it if it is on.

    libvirt numbers guests anew in each process. ``record['boot']`` counts
    the starts of the guest, whatever their number was.
    """

    record: Record
    domain_id: int | None


class EmbeddedGuests:
    """The guests of an embedded host, in libvirt and written down."""

    def __init__(
        self,
        host: str,
        store: EmbeddedStore,
        connection: Connection,
        domains: Guests,
        handover: Handover,
    ) -> None:
        self._host = host
        self._store = store
        self._connection = connection
        self._domains = domains
        self._handover = handover
        self._recorded: dict[str, _RecordedGuest] = {}
        self._define_errors: dict[str, str] = {}
        self._logged_errors: dict[str, str] = {}
        connection.add_listener(self._on_change)

    def _on_change(self, uuid: str | None) -> None:
        if uuid is None:
            # A new connection has no guests; they are told to it anew.
            self._recorded.clear()
            self._define_errors.clear()

    # -- one guest, written down ---------------------------------------------

    @contextlib.contextmanager
    def exclusive(self, uuid: str) -> Iterator[None]:
        """Have a guest to oneself: what is due is done before.

        What has become of it is written down afterwards.
        """
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            try:
                yield
            finally:
                self._save_record(uuid)

    @contextlib.contextmanager
    def _translate_os_errors(self, uuid: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise exception.GuestFailed(
                instance_id=uuid, reason=str(error)
            ) from error

    def _path(self, uuid: str) -> str:
        return f'{self._host}/guests/{uuid}'

    def _save_record(self, uuid: str, defined: bool = False) -> Guest | None:
        """Write down what libvirt says of a guest; return that."""
        guest = self._domains.guest(uuid)
        recorded = self._recorded.get(uuid)
        if guest is None:
            if recorded is not None:
                self._handover.finish(uuid, 'failed', 'the guest is gone')
                self._store.delete(self._path(uuid))
                del self._recorded[uuid]
            return None
        before = (
            recorded.record if recorded else self._store.get(self._path(uuid))
        )
        boots = before['boot'] if before else 0
        if guest.boot is not None and (
            not recorded or guest.boot != recorded.domain_id
        ):
            boots += 1
        if recorded and not defined:
            definition = recorded.record['definition']
        else:
            definition = self._definition(uuid)
        record = {
            'definition': definition,
            'home': self._store.host_directory(self._host),
            'power': int(guest.power),
            'boot': boots,
            'saved': self._domains.has_managed_save(uuid),
        }
        if record != before:
            self._store.put(self._path(uuid), record)
        self._recorded[uuid] = _RecordedGuest(record, guest.boot)
        self._define_errors.pop(uuid, None)
        return _with_boot_count(guest, boots)

    def _definition(self, uuid: str) -> str:
        with translate_errors(uuid):
            text = self._domains.find(uuid).XMLDesc(
                libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            )
        return str(text)

    def _apply_due(self, uuid: str) -> None:
        """Do what is due of a guest; needs its lock."""
        # First of all, for a new connection has no guests yet.
        conn = self._connection.get()
        self._handover.apply_due(uuid, self)
        if uuid in self._recorded:
            return
        record = self._store.get(self._path(uuid))
        if record is None:
            return
        try:
            self._define_from_record(conn, uuid, record)
        except exception.GuestFailed as error:
            self._record_as_off(uuid, record, str(error))

    def _define_from_record(
        self, conn: Any, uuid: str, record: Record
    ) -> None:
        """Tell libvirt of a guest that came, or was here before it."""
        home = self._store.host_directory(self._host)
        if record['home'] != home:
            text = xml.relocate_files(
                record['definition'], {record['home']: home}
            )
            record = record | {'definition': text, 'home': home}
            self._store.put(self._path(uuid), record)
        power = PowerState(record['power'])
        number = None
        with translate_errors(uuid):
            domain = conn.defineXML(record['definition'])
            if power in POWERED_ON:
                domain.create()
                number = int(conn.lookupByUUIDString(uuid).ID())
            if power is PowerState.PAUSED:
                domain.suspend()
            if record.get('saved'):
                # What libvirt saved went with it; there is none to save.
                domain.create()
                domain.managedSave()
        self._recorded[uuid] = _RecordedGuest(record, number)
        self._define_errors.pop(uuid, None)
        self._store.delete(f'{self._host}/incoming/{uuid}')

    def _record_as_off(self, uuid: str, record: Record, reason: str) -> None:
        """Let a guest that libvirt does not take be off, until it does.

        So whoever wants it to run defines it anew.
        """
        if self._define_errors.get(uuid) != reason:
            LOG.error('It stays off at %s. %s', self._host, reason)
        self._define_errors[uuid] = reason
        if PowerState(record['power']) in POWERED_ON:
            off = record | {'power': int(PowerState.SHUTDOWN)}
            self._store.put(self._path(uuid), off)

    # -- for migrations -----------------------------------------------------------

    def power(self, uuid: str) -> PowerState | None:
        """Tell a guest's power; None when it is not in this libvirt."""
        if uuid not in self._recorded:
            return None
        guest = self._domains.guest(uuid)
        return None if guest is None else guest.power

    def memory(self, uuid: str) -> int:
        """Return the bytes of a guest's memory; GuestFailed without it."""
        domain = self._domains.require(uuid)
        with translate_errors(uuid):
            return int(domain.maxMemory()) * 1024

    def drop_domain(self, uuid: str) -> None:
        """End a guest in this libvirt; its record stays."""
        self._recorded.pop(uuid, None)
        self._domains.destroy(uuid)

    # -- looking -------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests, by one call unless some have changed."""
        self._connection.get()
        self.apply_all_due()
        found: list[Guest | None] = []
        seen = self._domains.guests()
        for guest in seen:
            recorded = self._recorded.get(guest.uuid)
            if recorded and _matches_record(guest, recorded):
                found.append(_with_boot_count(guest, recorded.record['boot']))
            else:
                found.append(self.refresh(guest.uuid))
        others = {*self._recorded, *self._define_errors}
        others.update(self._store.list_names(f'{self._host}/incoming'))
        others.difference_update(guest.uuid for guest in seen)
        found.extend(self.refresh(uuid) for uuid in sorted(others))
        return [guest for guest in found if guest is not None]

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or one that is to come."""
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            guest = self._save_record(uuid)
            if guest is None and uuid in self._define_errors:
                return _guest_without_domain(
                    uuid, PowerState.SHUTDOWN, self._define_errors[uuid]
                )
            coming = f'{self._host}/incoming/{uuid}'
            if guest is None and self._store.get(coming) is not None:
                return _guest_without_domain(uuid, PowerState.PAUSED)
            return guest

    def refresh(self, uuid: str) -> Guest | None:
        """Return one guest, None also when it cannot be told; logged then."""
        try:
            guest = self.guest(uuid)
        except exception.GuestFailed as error:
            # Once for each reason: this is asked several times a second.
            if self._logged_errors.get(uuid) != str(error):
                LOG.error('Host %s: %s', self._host, error)
                self._logged_errors[uuid] = str(error)
            return None
        self._logged_errors.pop(uuid, None)
        return guest

    def apply_all_due(self) -> None:
        """Do what is due of all guests that come, go or are not told yet."""
        waiting = set(self._store.list_names(f'{self._host}/guests'))
        waiting.difference_update([*self._recorded, *self._define_errors])
        for kind in ('incoming', 'migrations'):
            waiting.update(self._store.list_names(f'{self._host}/{kind}'))
        for uuid in sorted(waiting):
            self.refresh(uuid)

    # -- changing ------------------------------------------------------------

    def define(self, spec: GuestSpec) -> None:
        """Define a guest, also one that libvirt did not take back."""
        uuid = spec.uuid
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            self._domains.define(spec)
            self._save_record(uuid, defined=True)

    def start(self, uuid: str) -> None:
        """Start a guest."""
        with self.exclusive(uuid):
            self._domains.start(uuid)

    def shutdown(self, uuid: str) -> None:
        """Ask a guest to switch itself off; it does so at once."""
        with self.exclusive(uuid):
            self._domains.shutdown(uuid)

    def power_off(self, uuid: str) -> None:
        """Cut a guest's power; a move that was under way ends."""
        with self.exclusive(uuid):
            self._handover.finish(uuid, 'failed', 'the guest is off')
            self._domains.power_off(uuid)

    def pause(self, uuid: str) -> None:
        """Pause a guest."""
        with self.exclusive(uuid):
            self._domains.pause(uuid)

    def unpause(self, uuid: str) -> None:
        """Let a guest go on."""
        with self.exclusive(uuid):
            self._domains.unpause(uuid)

    def suspend(self, uuid: str) -> None:
        """Suspend a guest."""
        with self.exclusive(uuid):
            self._domains.suspend(uuid)

    def has_managed_save(self, uuid: str) -> bool:
        """Tell whether a guest is suspended."""
        with self.exclusive(uuid):
            return self._domains.has_managed_save(uuid)

    def resume(self, uuid: str) -> None:
        """Let a suspended guest go on."""
        with self.exclusive(uuid):
            self._domains.resume(uuid)

    def destroy(self, uuid: str) -> None:
        """Forget a guest, its migrations and that it was to come."""
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._handover.apply_due(uuid, self)
            # A move is forgotten first: of one that is under way without its
            # guest it would be believed that the guest has gone.
            self._handover.delete(uuid)
            self._domains.destroy(uuid)
            self._recorded.pop(uuid, None)
            self._store.delete(self._path(uuid))
            self._store.delete(f'{self._host}/incoming/{uuid}')
            self._define_errors.pop(uuid, None)
            self._logged_errors.pop(uuid, None)


def _matches_record(guest: Guest, recorded: _RecordedGuest) -> bool:
    known = recorded.record['power'], recorded.domain_id
    return known == (int(guest.power), guest.boot)


def _with_boot_count(guest: Guest, boots: int) -> Guest:
    """Return a guest with the number of its boot instead of libvirt's id."""
    if guest.boot is None:
        return guest
    return dataclasses.replace(guest, boot=boots)


def _guest_without_domain(
    uuid: str, power: PowerState, trouble: str | None = None
) -> Guest:
    """Return a guest that libvirt does not have: off, or still to come."""
    arriving = power is PowerState.PAUSED
    return Guest(uuid, power, None, None, None, arriving, trouble)
