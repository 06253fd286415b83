# SPDX-License-Identifier: Apache-2.0
"""The guests of one libvirt, asked and told what the interface wants.

Every method looks first and does what is missing, so that it may be called
again after it was cut short. Nothing is remembered here that libvirt does not
know better, but for the marks of the guests, which are kept until libvirt
says that a guest changed.
"""

import contextlib
from typing import Any
from typing import Protocol

import libvirt

from minova import exception
from minova.conf import CONF
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Guest
from minova.virt.driver import Spec
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import domain_of
from minova.virt.libvirt.connection import failed
from minova.virt.libvirt.connection import is_about
from minova.virt.libvirt.connection import refusals
from minova.virt.libvirt.connection import words
from minova.virt.libvirt.hardware import Boot

# A guest that is going down runs until it is off.
_POWER = {
    libvirt.VIR_DOMAIN_NOSTATE: Power.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: Power.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.SUSPENDED,
}

#: Why a guest is as nobody wanted it, by libvirt's state and reason.
_TROUBLE = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): (
        'a disk could not be read or written'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG): (
        'its watchdog has paused it'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): (
        'its system crashed'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): (
        'its memory was lost on the way from another host'
    ),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): (
        'its hypervisor or its system crashed'
    ),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED): (
        'it could not be started'
    ),
}

#: Why a guest that is being received stands still.
_RECEIVED = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
)
#: What libvirt keeps of a guest beside its definition.
_WHOLE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
)


class Storage(Protocol):
    """What a definition must know of the disks."""

    def of(self, spec: Spec) -> tuple[xml.Disk, ...]:
        """Return the disks that a guest has."""

    def console_log(self, uuid: str) -> str:
        """Return the file that keeps what the guest says."""

    def boot(self, spec: Spec) -> Boot | None:
        """Return the kernel that a guest has beside its disks."""

    def has_disks(self, uuid: str) -> bool:
        """Tell whether the disks are there."""


class Guests:
    """The guests that the libvirt of ``connection`` has."""

    def __init__(
        self, connection: Connection, storage: Storage, profile: xml.Profile
    ) -> None:
        self._connection = connection
        self._storage = storage
        self._profile = profile
        self._marks: dict[str, xml.Mark] = {}
        self._changes_heard = 0
        connection.listen(self._forget)

    # -- looking -------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests by one call.

        getAllDomainStats gives the state of each with its id. To list the
        domains and to ask each for its state is a call more for every guest,
        and these may wait for a hypervisor that hangs; this one does not.
        """
        opened = self._connection.use()
        try:
            rows = opened.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        except libvirt.libvirtError as error:
            raise exception.GuestFailed(
                f'libvirt at {self._connection.uri}: {words(error)}'
            ) from error
        found = []
        for domain, figures in rows:
            state = figures.get('state.state', libvirt.VIR_DOMAIN_NOSTATE)
            reason = figures.get('state.reason', 0)
            mark = self._marks.get(domain.UUIDString()) or self._ask(domain)
            if mark is None:
                continue
            with refusals(domain.UUIDString(), gone=True):
                found.append(_guest(domain, state, reason, mark))
        return found

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, its mark as libvirt has it now."""
        domain = self.find(uuid)
        mark = None if domain is None else self._ask(domain)
        if mark is None:
            return None
        try:
            state, reason = domain.state()
            return _guest(domain, state, reason, mark)
        except libvirt.libvirtError as error:
            if is_about(error, libvirt.VIR_ERR_NO_DOMAIN):
                return None
            raise failed(uuid, error) from error

    def find(self, uuid: str) -> Any:
        """Return libvirt's domain, None when it does not know it."""
        return domain_of(self._connection.use(), uuid)

    def require(self, uuid: str) -> Any:
        """Return libvirt's domain; GuestFailed without it."""
        domain = self.find(uuid)
        if domain is None:
            raise exception.GuestFailed(
                instance_id=uuid, reason='libvirt does not know it'
            )
        return domain

    # -- marks ---------------------------------------------------------------

    def _ask(self, domain: Any) -> xml.Mark | None:
        """Read a guest's mark; None when the guest is gone."""
        uuid = domain.UUIDString()
        heard = self._changes_heard
        try:
            # Of a guest that is on, the running one's: what was defined
            # since counts when its mark is there.
            text = domain.metadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml.NAMESPACE
            )
        except libvirt.libvirtError as error:
            if is_about(error, libvirt.VIR_ERR_NO_DOMAIN):
                return None
            if not is_about(error, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
                raise failed(uuid, error) from error
            mark = xml.Mark(None, None)
        else:
            mark = xml.read_mark(text)
        # What was read while a change was told may be older than that.
        if heard == self._changes_heard:
            self._marks[uuid] = mark
        return mark

    def _forget(self, uuid: str | None) -> None:
        self._changes_heard += 1
        if uuid is None:
            self._marks.clear()
        else:
            self._marks.pop(uuid, None)

    # -- changing ------------------------------------------------------------

    def define(self, spec: Spec) -> None:
        """Make or replace the lasting definition.

        A running guest goes on as it is but for its mark, which is changed
        after the definition: a new mark on it means that the definition is
        new too.
        """
        text = xml.domain(
            spec,
            self._storage.of(spec),
            self._profile,
            self._storage.console_log(spec.uuid),
            CONF.libvirt.vnc_listen,
            self._storage.boot(spec),
        )
        opened = self._connection.use()
        with refusals(spec.uuid):
            domain = opened.defineXML(text)
            if domain.isActive():
                self._mark_running(domain, spec)
        self._forget(spec.uuid)

    def _mark_running(self, domain: Any, spec: Spec) -> None:
        try:
            with self.apart(domain) as same:
                same.setMetadata(
                    libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                    xml.mark(spec),
                    xml.PREFIX,
                    xml.NAMESPACE,
                    libvirt.VIR_DOMAIN_AFFECT_LIVE,
                )
        except libvirt.libvirtError:
            # It may have gone off meanwhile; then the definition's counts.
            if domain.isActive():
                raise

    def start(self, uuid: str) -> None:
        """Start a guest that is off, let a paused one go on."""
        domain = self.require(uuid)
        with refusals(uuid):
            power = _power(domain)
            if power is Power.PAUSED:
                self._go_on(domain)
            if power in ON:
                return
        if not self._storage.has_disks(uuid):
            raise exception.DiskFailed(
                instance_id=uuid, reason='its disks are missing'
            )
        with refusals(uuid):
            if domain.hasManagedSaveImage():
                # libvirt would go on from it.
                domain.managedSaveRemove()
            self._create(domain)

    def shutdown(self, uuid: str) -> None:
        """Ask a running guest to switch itself off."""
        domain = self.require(uuid)
        with refusals(uuid):
            if _power(domain) is Power.RUNNING:
                with self.apart(domain) as same:
                    same.shutdown()

    def power_off(self, uuid: str) -> None:
        """Cut the power of a guest that is on."""
        domain = self.find(uuid)
        if domain is not None:
            with refusals(uuid, gone=True):
                self._cut(domain)

    def pause(self, uuid: str) -> None:
        """Pause a running guest."""
        domain = self.require(uuid)
        if self._is_still(domain, uuid, Power.RUNNING, Power.PAUSED):
            with refusals(uuid), self.apart(domain) as same:
                same.suspend()

    def unpause(self, uuid: str) -> None:
        """Let a paused guest run."""
        domain = self.require(uuid)
        if self._is_still(domain, uuid, Power.PAUSED, Power.RUNNING):
            with refusals(uuid):
                self._go_on(domain)

    def suspend(self, uuid: str) -> None:
        """Let libvirt save the guest's memory and end it."""
        domain = self.require(uuid)
        with refusals(uuid):
            if _power(domain) in ON:
                self._save(domain)
                return
            if domain.hasManagedSaveImage():
                return
        raise exception.GuestFailed(
            instance_id=uuid,
            reason='it is off, and nothing of its memory is saved',
        )

    def _save(self, domain: Any) -> None:
        """Save the memory of a domain that is on; it ends with that."""
        try:
            with self.apart(domain) as same:
                same.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)
        except libvirt.libvirtError:
            # An earlier call may have gone on without whoever made it.
            if domain.isActive() or not domain.hasManagedSaveImage():
                raise

    def has_saved(self, uuid: str) -> bool:
        """Ask libvirt, for a guest that is off."""
        domain = self.find(uuid)
        if domain is None:
            return False
        found = False
        with refusals(uuid, gone=True):
            found = not domain.isActive() and domain.hasManagedSaveImage()
        return bool(found)

    def resume(self, uuid: str) -> None:
        """Start the guest, which goes on from what libvirt has saved."""
        domain = self.require(uuid)
        with refusals(uuid):
            if not domain.isActive():
                if not domain.hasManagedSaveImage():
                    raise exception.GuestFailed(
                        instance_id=uuid,
                        reason='nothing of its memory is saved',
                    )
                self._create(domain)
            if _power(domain) is Power.PAUSED:
                self._go_on(domain)

    def _is_still(
        self, domain: Any, uuid: str, before: Power, after: Power
    ) -> bool:
        """Tell whether there is something to do; refuse what cannot be."""
        with refusals(uuid):
            power = _power(domain)
        if power not in (before, after):
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'it is {power.name}, not {before.name}',
            )
        return power is before

    def remove(self, uuid: str) -> None:
        """Cut the power and forget the guest."""
        domain = self.find(uuid)
        if domain is None:
            return
        with refusals(uuid, gone=True):
            self._cut(domain)
            domain.undefineFlags(_WHOLE)
        self._forget(uuid)

    # -- calls that wait for a hypervisor ------------------------------------

    def apart(self, domain: Any) -> contextlib.AbstractContextManager[Any]:
        """Return a domain for a call that takes long, or hangs.

        So does every call that has its hypervisor do something: that may
        stand still. Here there is none.
        """
        return contextlib.nullcontext(domain)

    def _create(self, domain: Any) -> None:
        with self.apart(domain) as same:
            same.create()

    def _go_on(self, domain: Any) -> None:
        with self.apart(domain) as same:
            same.resume()

    def _cut(self, domain: Any) -> None:
        """Destroy a domain that is on."""
        if not domain.isActive():
            return
        try:
            with self.apart(domain) as same:
                same.destroy()
        except libvirt.libvirtError:
            # It may have gone off by itself meanwhile.
            if domain.isActive():
                raise


def _guest(domain: Any, state: int, reason: int, mark: xml.Mark) -> Guest:
    power = _POWER.get(state, Power.NOSTATE)
    on = power in (Power.RUNNING, Power.PAUSED, Power.SUSPENDED)
    number = domain.ID()
    # libvirt makes a definition last before it lets what was received run.
    arriving = (
        state == libvirt.VIR_DOMAIN_PAUSED
        and reason in _RECEIVED
        and not domain.isPersistent()
    )
    return Guest(
        domain.UUIDString(),
        power,
        number if on and number >= 0 else None,
        mark.operation,
        mark.generation,
        arriving,
        trouble=_TROUBLE.get((state, reason)),
    )


def _power(domain: Any) -> Power:
    state, _ = domain.state()
    return _POWER.get(state, Power.NOSTATE)
