# SPDX-License-Identifier: Apache-2.0
"""The guests of one libvirt.

Every method reads the state first and does what is missing, so a caller can
repeat a call that was interrupted. The only state kept here is the metadata of
the guests, until libvirt reports a change.
"""

from collections.abc import Callable
import contextlib
from typing import Protocol
from typing import TypeVar

import libvirt

from minova import cancellation
from minova import exception
from minova.conf import CONF
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import spice
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import after_a_change
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.errors import lookup_domain
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.errors import unanswered
from minova.virt.libvirt.errors import unreachable
from minova.virt.libvirt.xml_devices import DirectKernelBoot

T = TypeVar('T')

# A guest that shuts down counts as running until it is off.
_POWER_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SUSPENDED,
}

#: The fault of a guest by libvirt's state and reason.
_FAULTS = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): (
        'a disk could not be read or written'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG): (
        'the watchdog paused the guest'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): (
        'the operating system of the guest crashed'
    ),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): (
        'a post-copy migration failed and lost memory of the guest'
    ),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): (
        'QEMU or the operating system of the guest crashed'
    ),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED): (
        'the last start failed'
    ),
}

#: Why libvirt pauses an incoming guest.
_INCOMING_REASONS = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
)


class DiskStorage(Protocol):
    """What the definition of a guest contains about its disks."""

    def list_disks(self, spec: GuestSpec) -> tuple[xml.Disk, ...]:
        """Return the disks of a guest."""

    def console_log(self, uuid: str) -> str:
        """Return the path of the log of the first serial port."""

    def guest_directory(self, uuid: str) -> str:
        """Return the directory of the files of a guest."""

    def kernel_boot(self, spec: GuestSpec) -> DirectKernelBoot | None:
        """Return the kernel that the guest boots directly."""

    def has_disks(self, uuid: str) -> bool:
        """Return whether the disks exist."""


class Guests:
    """The guests that the libvirt of ``connection`` has."""

    #: Undefine also the managed save and the snapshots of a guest.
    undefine_flags: int = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    )

    def __init__(
        self,
        connection: Connection,
        storage: DiskStorage,
        profile: xml.GuestProfile,
    ) -> None:
        self._connection = connection
        self._storage = storage
        self._profile = profile
        self._metadata: dict[str, xml.GuestMetadata] = {}
        self._change_count = 0
        connection.add_listener(self._invalidate)

    # -- reading -------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests with one call.

        getAllDomainStats returns the state and the id of each guest. Listing
        the domains and reading the state of each takes one call per guest, and
        each of these waits for a hypervisor that hangs; this one does not.
        """
        conn = self._connection.get()
        try:
            rows = conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        except libvirt.libvirtError as error:
            raise unreachable(
                self._connection.uri, error_message(error)
            ) from error
        found = []
        for domain, figures in rows:
            state = figures.get('state.state', libvirt.VIR_DOMAIN_NOSTATE)
            reason = figures.get('state.reason', 0)
            metadata = self._metadata.get(
                domain.UUIDString()
            ) or self._read_metadata(domain)
            if metadata is None:
                continue
            with translate_errors(domain.UUIDString(), ignore_missing=True):
                found.append(_guest(domain, state, reason, metadata))
        return found

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest; read its metadata from libvirt."""
        domain = self.find(uuid)
        if domain is None:
            return None
        metadata = self._read_metadata(domain)
        if metadata is None:
            return None
        try:
            state, reason = domain.state()
            return _guest(domain, state, reason, metadata)
        except libvirt.libvirtError as error:
            if has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
                return None
            raise unanswered(uuid, error) from error

    def find(self, uuid: str) -> libvirt.virDomain | None:
        """Return libvirt's domain, None when it is unknown."""
        return lookup_domain(self._connection.get(), uuid)

    def require(self, uuid: str) -> libvirt.virDomain:
        """Return libvirt's domain; GuestFailed when it is unknown."""
        domain = self.find(uuid)
        if domain is None:
            raise exception.GuestFailed(
                instance_id=uuid, reason='libvirt has no domain with this uuid'
            )
        return domain

    # -- metadata ------------------------------------------------------------

    def _read_metadata(
        self, domain: libvirt.virDomain
    ) -> xml.GuestMetadata | None:
        """Read the metadata of a guest; None when the guest is gone."""
        uuid = domain.UUIDString()
        heard = self._change_count
        try:
            # For a running guest this is the live metadata, which changes
            # after the definition.
            text = domain.metadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml.NAMESPACE
            )
        except libvirt.libvirtError as error:
            if has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
                return None
            if not has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
                raise unanswered(uuid, error) from error
            metadata = xml.GuestMetadata(None, None)
        else:
            metadata = xml.parse_metadata(text)
        # A change was reported meanwhile: the text may be older.
        if heard == self._change_count:
            self._metadata[uuid] = metadata
        return metadata

    def _invalidate(self, uuid: str | None) -> None:
        self._change_count += 1
        if uuid is None:
            self._metadata.clear()
        else:
            self._metadata.pop(uuid, None)

    # -- changing ------------------------------------------------------------

    def define(self, spec: GuestSpec) -> None:
        """Create or replace the persistent definition.

        A running guest only gets new metadata, after the definition: new
        metadata on a running guest proves that its definition is new as well.
        """
        conn = self._connection.get()
        with translate_errors(spec.uuid):
            has_spice = spice.is_offered(
                conn, self._profile.emulator, self._profile.type
            )
        text = xml.domain_xml(
            spec,
            self._storage.list_disks(spec),
            self._profile,
            self._storage.console_log(spec.uuid),
            CONF.vnc.server_listen,
            self._storage.kernel_boot(spec),
            self._storage.guest_directory(spec.uuid),
            has_spice=has_spice,
        )
        with translate_errors(spec.uuid):
            domain = conn.defineXML(text)
            if domain.isActive():
                self._update_running_metadata(domain, spec)
        self._invalidate(spec.uuid)

    def _update_running_metadata(
        self, domain: libvirt.virDomain, spec: GuestSpec
    ) -> None:
        try:
            self.request(
                domain,
                lambda dom: dom.setMetadata(
                    libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                    xml.metadata_xml(spec),
                    xml.PREFIX,
                    xml.NAMESPACE,
                    libvirt.VIR_DOMAIN_AFFECT_LIVE,
                ),
            )
        except libvirt.libvirtError:
            # A guest that went off meanwhile has the metadata of its
            # definition.
            if domain.isActive():
                raise

    def start(self, uuid: str) -> None:
        """Start a guest that is off; resume a paused one."""
        domain = self.require(uuid)
        with translate_errors(uuid):
            power = _power(domain)
            if power is PowerState.PAUSED:
                self._resume_domain(domain)
            if power in POWERED_ON:
                return
        if not self._storage.has_disks(uuid):
            raise exception.DiskFailed(
                instance_id=uuid, reason='its disks are missing on this host'
            )
        with translate_errors(uuid):
            if not domain.hasManagedSaveImage():
                self._create_domain(domain)
                return
            # libvirt would resume the guest from it.
            domain.managedSaveRemove()
            with after_a_change(uuid):
                self._create_domain(domain)

    def shutdown(self, uuid: str) -> None:
        """Send a running guest the request to shut down."""
        domain = self.require(uuid)
        with translate_errors(uuid):
            if _power(domain) is PowerState.RUNNING:
                self.request(domain, lambda dom: dom.shutdown())

    def power_off(self, uuid: str) -> None:
        """Destroy the domain of a guest that is on."""
        domain = self.find(uuid)
        if domain is not None:
            with translate_errors(uuid, ignore_missing=True):
                self._destroy_domain(domain)

    def pause(self, uuid: str) -> None:
        """Pause a running guest."""
        domain = self.require(uuid)
        if self._needs_transition(
            domain, uuid, PowerState.RUNNING, PowerState.PAUSED
        ):
            with translate_errors(uuid):
                self.request(domain, lambda dom: dom.suspend())

    def unpause(self, uuid: str) -> None:
        """Resume a paused guest."""
        domain = self.require(uuid)
        if self._needs_transition(
            domain, uuid, PowerState.PAUSED, PowerState.RUNNING
        ):
            with translate_errors(uuid):
                self._resume_domain(domain)

    def inject_nmi(self, uuid: str) -> None:
        """Interrupt a guest that is on."""
        domain = self.require(uuid)
        with translate_errors(uuid):
            self.request(domain, lambda dom: dom.injectNMI())

    def suspend(self, uuid: str) -> None:
        """Save the memory of a guest with managedSave, which ends it."""
        domain = self.require(uuid)
        with translate_errors(uuid):
            if _power(domain) in POWERED_ON:
                self._managed_save(domain)
                return
            if domain.hasManagedSaveImage():
                return
        raise exception.GuestFailed(
            instance_id=uuid,
            reason='the guest is off and its memory is not saved',
        )

    def _managed_save(self, domain: libvirt.virDomain) -> None:
        """Save the memory of a domain that is on, and end it."""
        try:
            self.request(
                domain,
                lambda dom: dom.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING),
            )
        except libvirt.libvirtError:
            # An earlier, interrupted call may have saved the memory.
            if domain.isActive() or not domain.hasManagedSaveImage():
                raise

    def has_managed_save(self, uuid: str) -> bool:
        """Return whether a guest that is off has a managed save."""
        domain = self.find(uuid)
        if domain is None:
            return False
        found = False
        with translate_errors(uuid, ignore_missing=True):
            found = not domain.isActive() and domain.hasManagedSaveImage()
        return bool(found)

    def resume(self, uuid: str) -> None:
        """Start a guest from its managed save."""
        domain = self.require(uuid)
        with translate_errors(uuid):
            if not domain.isActive():
                if not domain.hasManagedSaveImage():
                    raise exception.GuestFailed(
                        instance_id=uuid,
                        reason='the memory of the guest is not saved',
                    )
                self._create_domain(domain)
            if _power(domain) is PowerState.PAUSED:
                self._resume_domain(domain)

    def _needs_transition(
        self,
        domain: libvirt.virDomain,
        uuid: str,
        before: PowerState,
        after: PowerState,
    ) -> bool:
        """Return whether the power has to change; reject other states."""
        with translate_errors(uuid):
            power = _power(domain)
        if power not in (before, after):
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'the power state is {power.name}, not {before.name}',
            )
        return power is before

    def destroy(self, uuid: str) -> None:
        """Destroy and undefine the domain."""
        domain = self.find(uuid)
        if domain is None:
            return
        with translate_errors(uuid, ignore_missing=True):
            self._destroy_domain(domain)
            domain.undefineFlags(self.undefine_flags)
        self._invalidate(uuid)

    # -- calls that wait for a hypervisor ------------------------------------

    def dedicated(
        self, domain: libvirt.virDomain
    ) -> contextlib.AbstractContextManager[libvirt.virDomain]:
        """Return a domain for one call that takes long or may hang.

        Every call that makes a hypervisor act may hang. Here there is no
        hypervisor process; ``qemu.guests`` opens a connection of its own.
        """
        return contextlib.nullcontext(domain)

    def request(
        self,
        domain: libvirt.virDomain,
        act: Callable[[libvirt.virDomain], T],
    ) -> T:
        """Let the hypervisor of a guest act, until the caller is cancelled.

        The hypervisor may act later, or never. That harms nothing: a newer
        operation that cancels its caller destroys the guest.
        """

        def act_on_dedicated() -> T:
            with self.dedicated(domain) as dom:
                return act(dom)

        return cancellation.call('libvirt-request', act_on_dedicated)

    def _create_domain(self, domain: libvirt.virDomain) -> None:
        with self.dedicated(domain) as dom:
            dom.create()

    def _resume_domain(self, domain: libvirt.virDomain) -> None:
        self.request(domain, lambda dom: dom.resume())

    def _destroy_domain(self, domain: libvirt.virDomain) -> None:
        """Destroy a domain that is on."""
        if not domain.isActive():
            return
        try:
            with self.dedicated(domain) as dom:
                dom.destroy()
        except libvirt.libvirtError:
            # The guest may have gone off meanwhile.
            if domain.isActive():
                raise


def _guest(
    domain: libvirt.virDomain,
    state: int,
    reason: int,
    metadata: xml.GuestMetadata,
) -> Guest:
    power = _POWER_STATES.get(state, PowerState.NOSTATE)
    on = power in (PowerState.RUNNING, PowerState.PAUSED, PowerState.SUSPENDED)
    number = domain.ID()
    # libvirt makes the definition of an incoming guest persistent before
    # the guest runs here.
    arriving = (
        state == libvirt.VIR_DOMAIN_PAUSED
        and reason in _INCOMING_REASONS
        and not domain.isPersistent()
    )
    return Guest(
        domain.UUIDString(),
        power,
        number if on and number >= 0 else None,
        metadata.operation,
        metadata.generation,
        arriving,
        fault=_FAULTS.get((state, reason)),
    )


def _power(domain: libvirt.virDomain) -> PowerState:
    state, _ = domain.state()
    return _POWER_STATES.get(state, PowerState.NOSTATE)
