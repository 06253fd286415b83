# SPDX-License-Identifier: Apache-2.0
"""The guests of an embedded host: libvirt's domains and stored records.

Two rules let a guest survive the process, wherever it is interrupted:

* A change is made in libvirt first and stored afterwards, so a record never
  holds a change that libvirt rejected. If the process ends in between, the
  change is lost and the caller repeats it.
* A caller sees a change only after it is stored.

A new process and the arrival of a guest leave a record without a domain. The
next access to the guest defines the domain.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses

import libvirt
from oslo_log import log as logging

from minova import exception
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.embedded.handover import Handover
from minova.virt.libvirt.embedded.store import EmbeddedStore
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.guests import Guests
from minova.virt.record_store import Record

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _RecordedGuest:
    """The record of a guest, and libvirt's id of its running domain.

    libvirt numbers domains from 1 in each process. ``record['boot']`` counts
    the starts of the guest over all processes.
    """

    record: Record
    domain_id: int | None


class EmbeddedGuests:
    """The guests of an embedded host; see the module."""

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
            # A new connection has no domains; they are defined again.
            self._recorded.clear()
            self._define_errors.clear()

    # -- one guest, written down ---------------------------------------------

    @contextlib.contextmanager
    def exclusive(self, uuid: str) -> Iterator[None]:
        """Hold the guest's lock; apply what is due, store what changes."""
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
        """Store the state of the domain; return the record."""
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
            text = self._domains.require(uuid).XMLDesc(
                libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            )
        return str(text)

    def _apply_due(self, uuid: str) -> None:
        """Apply what is due for a guest; needs its lock."""
        # First of all: a new connection has no domains yet.
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
        self, conn: libvirt.virConnect, uuid: str, record: Record
    ) -> None:
        """Define the domain of a record that has none."""
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
                # The managed save was in the libvirt that ended.
                domain.create()
                domain.managedSave()
        self._recorded[uuid] = _RecordedGuest(record, number)
        self._define_errors.pop(uuid, None)
        self._store.delete(f'{self._host}/incoming/{uuid}')

    def _record_as_off(self, uuid: str, record: Record, reason: str) -> None:
        """Store a guest as off when libvirt rejects its definition.

        The next start of the guest defines it with a new definition.
        """
        if self._define_errors.get(uuid) != reason:
            LOG.error(
                'Guest %s stays off on host %s: %s',
                uuid,
                self._host,
                reason,
            )
        self._define_errors[uuid] = reason
        if PowerState(record['power']) in POWERED_ON:
            off = record | {'power': int(PowerState.SHUTDOWN)}
            self._store.put(self._path(uuid), off)

    # -- for migrations ------------------------------------------------------

    def power(self, uuid: str) -> PowerState | None:
        """Return the power state, None without a domain."""
        if uuid not in self._recorded:
            return None
        guest = self._domains.guest(uuid)
        return None if guest is None else guest.power

    def memory(self, uuid: str) -> int:
        """Return the memory in bytes; GuestFailed without a domain."""
        domain = self._domains.require(uuid)
        with translate_errors(uuid):
            return int(domain.maxMemory()) * 1024

    def drop_domain(self, uuid: str) -> None:
        """Remove the domain; the record stays."""
        self._recorded.pop(uuid, None)
        self._domains.destroy(uuid)

    # -- looking -------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests: one call, and one per changed guest."""
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
        """Return one guest, also one that is incoming."""
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
        """Return one guest; log an error and return None on failure."""
        try:
            guest = self.guest(uuid)
        except exception.GuestFailed as error:
            # Log each reason once: this runs several times a second.
            if self._logged_errors.get(uuid) != str(error):
                LOG.error('Host %s: %s', self._host, error)
                self._logged_errors[uuid] = str(error)
            return None
        self._logged_errors.pop(uuid, None)
        return guest

    def apply_all_due(self) -> None:
        """Apply what is due for guests that arrive, leave or lack a domain."""
        waiting = set(self._store.list_names(f'{self._host}/guests'))
        waiting.difference_update([*self._recorded, *self._define_errors])
        for kind in ('incoming', 'migrations'):
            waiting.update(self._store.list_names(f'{self._host}/{kind}'))
        for uuid in sorted(waiting):
            self.refresh(uuid)

    # -- changing ------------------------------------------------------------

    def define(self, spec: GuestSpec) -> None:
        """Define a guest, also one whose record libvirt rejected."""
        uuid = spec.uuid
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            self._domains.define(spec)
            self._save_record(uuid, defined=True)

    def definition(self, uuid: str) -> str | None:
        """Return the definition of a guest, None without a domain."""
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            return self._definition(uuid) if uuid in self._recorded else None

    def redefine(self, uuid: str, change: Callable[[str], str]) -> None:
        """Replace the definition of a guest by a changed one."""
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._apply_due(uuid)
            text = change(self._definition(uuid))
            with translate_errors(uuid):
                self._connection.get().defineXML(text)
            self._save_record(uuid, defined=True)

    def start(self, uuid: str) -> None:
        """Start a guest."""
        with self.exclusive(uuid):
            self._domains.start(uuid)

    def shutdown(self, uuid: str) -> None:
        """Shut a guest down; it is off at once."""
        with self.exclusive(uuid):
            self._domains.shutdown(uuid)

    def power_off(self, uuid: str) -> None:
        """Power a guest off; a running migration of it fails."""
        with self.exclusive(uuid):
            self._handover.finish(uuid, 'failed', 'the guest is off')
            self._domains.power_off(uuid)

    def pause(self, uuid: str) -> None:
        """Pause a guest."""
        with self.exclusive(uuid):
            self._domains.pause(uuid)

    def unpause(self, uuid: str) -> None:
        """Unpause a guest."""
        with self.exclusive(uuid):
            self._domains.unpause(uuid)

    def inject_nmi(self, uuid: str) -> None:
        """Do nothing more than check that the guest is on.

        libvirt's test driver has no interrupts, and its guests have no
        operating system that would respond.
        """
        with self.exclusive(uuid):
            self._domains.require(uuid)
            if self.power(uuid) not in POWERED_ON:
                raise exception.GuestFailed(
                    instance_id=uuid, reason='the guest does not run'
                )

    def suspend(self, uuid: str) -> None:
        """Suspend a guest."""
        with self.exclusive(uuid):
            self._domains.suspend(uuid)

    def has_managed_save(self, uuid: str) -> bool:
        """Return whether a guest is suspended."""
        with self.exclusive(uuid):
            return self._domains.has_managed_save(uuid)

    def resume(self, uuid: str) -> None:
        """Resume a suspended guest."""
        with self.exclusive(uuid):
            self._domains.resume(uuid)

    def destroy(self, uuid: str) -> None:
        """Remove a guest, its migrations and its incoming record."""
        with self._translate_os_errors(uuid), self._store.lock(uuid):
            self._handover.apply_due(uuid, self)
            # Delete the migration first: a running migration without a guest
            # means that the guest has left.
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
    """Return a guest with its count of boots instead of libvirt's id."""
    if guest.boot is None:
        return guest
    return dataclasses.replace(guest, boot=boots)


def _guest_without_domain(
    uuid: str, power: PowerState, trouble: str | None = None
) -> Guest:
    """Return a guest without a domain: off, or incoming."""
    arriving = power is PowerState.PAUSED
    return Guest(uuid, power, None, None, None, arriving, trouble)
