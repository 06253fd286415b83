# SPDX-License-Identifier: Apache-2.0
"""The interface of hypervisor drivers.

Narrow interfaces for the host, its guests, their disks, live migration,
consoles and the contents of the host. The same contract tests run with every
driver. A caller may repeat every method after an interruption. Methods raise
GuestFailed, DiskFailed or GuestMigrationFailed with the hypervisor's message,
and HypervisorUnavailable when they changed nothing because the hypervisor
could not be reached.
"""

from collections.abc import Iterable
import dataclasses
from typing import Any
from typing import Protocol

from minova.objects.host import HostArtifact
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.transfer_ticket import TransferTicket
from minova.states import PowerState


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The resources and the hypervisor of a host.

    ``version`` is a growing number, as libvirt's 9000000 for 9.0.0.
    ``supported_instances`` are the architecture, hypervisor type and VM mode
    of each kind of guest that the host can run, emulated or not.
    """

    hypervisor_hostname: str
    hypervisor_type: str
    version: int
    cpu_info: dict[str, Any]
    vcpus: int
    memory_mb: int
    disk_gb: int
    supported_instances: tuple[tuple[str, str, str], ...]


@dataclasses.dataclass(frozen=True)
class ConfigDrive:
    """The content of a config drive that is not in GuestSpec.

    ``user_data`` is the user's, in base64. Plain data that can be encoded and
    compared.
    """

    hostname: str
    launch_index: int
    reservation_id: str
    availability_zone: str | None = None
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    key_name: str | None = None
    key_data: str | None = None
    user_data: str | None = None


@dataclasses.dataclass(frozen=True)
class GuestSpec:
    """All that a hypervisor needs to define a guest.

    ``operation`` and ``generation`` are stored with the definition and
    distinguish a stale guest from a current one. ``config_drive`` is None for
    a guest without one. ``rescue`` describes the rescue image with
    ``image_id``, ``name`` and ``disk_format``; None for a guest that boots its
    own root disk.
    """

    uuid: str
    name: str
    title: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int
    swap_mb: int
    image_id: str
    project_id: str
    user_id: str
    flavor: str
    operation: str
    generation: int
    nics: tuple[dict[str, Any], ...] = ()
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)
    image: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: The paths of the kernel and the ramdisk that ``create_disks`` copies,
    #: for a guest that boots a kernel directly.
    kernel: str | None = None
    ramdisk: str | None = None
    config_drive: ConfigDrive | None = None
    rescue: dict[str, Any] | None = None
    #: The GiB that are claimed for the root disk; 0 if unknown.
    max_root_gb: int = 0


@dataclasses.dataclass(frozen=True)
class Guest:
    """A guest as the hypervisor reports it.

    ``boot`` changes with each start; None when the guest is off.
    ``is_incoming`` means that the guest is being received. ``fault`` says why
    a guest does not run although it should, for example an I/O error.
    """

    uuid: str
    power: PowerState
    boot: int | None
    operation: str | None
    generation: int | None
    is_incoming: bool = False
    fault: str | None = None


@dataclasses.dataclass(frozen=True)
class Peer:
    """The other host of a migration: its name and its address."""

    host: str
    address: str


@dataclasses.dataclass(frozen=True)
class MigrationStatus:
    """The progress of a live migration that was started on this host.

    ``state`` is 'running', 'completed', 'failed', 'cancelled' or 'none'.
    'none' means that no migration is known and says nothing about the guest.
    Figures are bytes.
    """

    state: str
    error: str | None = None
    memory_total: int = 0
    memory_processed: int = 0
    memory_remaining: int = 0
    disk_total: int = 0
    disk_processed: int = 0
    disk_remaining: int = 0


@dataclasses.dataclass(frozen=True)
class VncEndpoint:
    """The VNC server of a guest.

    Either ``host`` and ``port`` or a Unix ``socket`` on the hypervisor's
    machine. ``host`` may be a loopback or a wildcard address.
    """

    host: str | None
    port: int | None
    socket: str | None = None


@dataclasses.dataclass(frozen=True)
class TransferProgress:
    """The progress of a disk transfer, in bytes."""

    total: int
    done: int


class HostInterface(Protocol):
    """The host itself."""

    #: Whether the driver creates disks from image files.
    uses_images: bool

    def inventory(self) -> Inventory:
        """Return the resources of the host."""

    def check_health(self) -> None:
        """Raise GuestFailed when the hypervisor does not answer.

        One cheap call, which may hang as long as the hypervisor hangs.
        """

    def next_event(self, timeout: float) -> str | None:
        """Wait for a change of a guest; return its uuid, None after timeout.

        Events are hints: one may be lost or repeated; ``guest`` returns the
        state. Never raises: an unreachable hypervisor has no events.
        """

    def close(self) -> None:
        """Close the connection to the hypervisor; guests keep running."""


class GuestInterface(Protocol):
    """The guests of a host."""

    def guests(self) -> list[Guest]:
        """Return all guests with one call to the hypervisor."""

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, None when the hypervisor does not know it."""

    def define(self, spec: GuestSpec) -> None:
        """Create or replace the persistent definition; does not start it.

        DHCP servers of host networks reserve the addresses of its nics until
        ``destroy``. A rescued guest boots the rescue disk; its own disks
        follow in their order.
        """

    def start(self, uuid: str) -> None:
        """Start a defined guest; resume a paused one.

        The guest boots: a managed save is discarded.
        """

    def shutdown(self, uuid: str) -> None:
        """Request a shutdown, which the guest may ignore."""

    def power_off(self, uuid: str) -> None:
        """Power the guest off unless it is off."""

    def pause(self, uuid: str) -> None:
        """Stop the processors; the memory stays."""

    def unpause(self, uuid: str) -> None:
        """Resume the processors."""

    def suspend(self, uuid: str) -> None:
        """Save the memory of a guest to the host's disk and power it off.

        Nothing for a suspended guest. Raises GuestFailed for a guest that is
        off without a managed save.
        """

    def has_managed_save(self, uuid: str) -> bool:
        """Return whether a guest that is off has a managed save."""

    def resume(self, uuid: str) -> None:
        """Resume a guest from its managed save, which is deleted.

        Nothing for a running guest. Raises GuestFailed without a managed save,
        or when the managed save is unusable; it then stays.
        """

    def destroy(self, uuid: str) -> None:
        """Power the guest off and delete its definition; its disks stay.

        Also deletes its managed save and its reserved addresses, even when
        the definition is gone already.
        """


class DiskInterface(Protocol):
    """The disks of guests, in one place per guest."""

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Create the missing disks, the root disk from ``image``.

        ``image`` is the path of the image's file, None for an empty disk. The
        config drive is one of the disks.
        """

    def images_in_use(self) -> set[str]:
        """Return the paths of the image files that disks are based on.

        Covers all disks on the host, retained ones as well, of any guest. The
        paths are those that ``create_disks`` received. Raises DiskFailed when
        the result would be incomplete.
        """

    def has_disks(self, uuid: str) -> bool:
        """Return whether the disks of the guest exist."""

    def grow_disks(self, spec: GuestSpec) -> None:
        """Grow the disks to the sizes in ``spec``; never shrink them."""

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Create the rescue disk from ``image``, with the image's size.

        An existing rescue disk stays.
        """

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove the rescue disk if it exists."""

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks of the guest; retained disks stay."""

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """At the destination: issue a ticket to send disks here.

        The ticket may hold a secret: it travels over the message bus alone. It
        is valid until the disks are committed or removed.
        """

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """At the source: check the transfer while the guest runs.

        Raises as ``send_disks`` does.
        """

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Iterable[TransferProgress]:
        """At the source: send the disks of a guest that is off.

        A generator does the work; the caller may stop between two steps, and a
        repeated call continues. After the last step the destination has all
        disks, verified. Nothing when the own disks are retained, which proves
        that they were sent. Raises DiskTransferInterrupted when the
        destination does not answer.
        """

    def commit_received_disks(self, uuid: str) -> None:
        """At the destination: use the received disks; revoke the ticket.

        Raises DiskFailed when the transfer is incomplete.
        """

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Retain the disks as they are, for a revert.

        With ``copy`` the guest also keeps its disks. Disks that are retained
        already stay as they are.
        """

    def restore_disks(self, uuid: str) -> None:
        """Make the retained disks the disks of the guest again.

        Nothing when none are retained and the guest has disks; DiskMissing
        when both are missing.
        """

    def discard_disks(self, uuid: str) -> None:
        """Remove the retained disks."""

    def has_retained_disks(self, uuid: str) -> bool:
        """Return whether disks of the guest are retained."""


class LiveMigrationInterface(Protocol):
    """Live migration, for source and destination."""

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """At the destination: check the guest; describe this host.

        ``block_migration`` is the user's choice: copy the disks or not, None
        to let the hosts decide. Raises MigrationPreCheckError.
        """

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """At the source: check against the destination's answer.

        Raises MigrationPreCheckError.
        """

    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """At the destination: prepare what the guest needs there.

        ``image`` is the path of the image's file, None when the image is
        missing. Returns ``migrate_data``, completed by the destination.
        """

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """At the destination: remove what was prepared, and the guest."""

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """At the source: start the migration; return at once.

        A running migration continues. Raises GuestFailed for a guest that is
        not here or is off.
        """

    def migration_status(self, uuid: str) -> MigrationStatus:
        """At the source: return the progress, also after a restart."""

    def tune_migration(
        self,
        uuid: str,
        migrate_data: LiveMigrateData,
        elapsed_seconds: float,
    ) -> None:
        """At the source: help a migration to converge.

        ``elapsed_seconds`` have passed since it started. A guest that changes
        its memory faster than it is copied never converges by itself. Errors
        of the hypervisor are logged.
        """

    def abort_migration(self, uuid: str) -> None:
        """At the source: abort the migration; the guest stays here."""

    def force_complete(self, uuid: str) -> None:
        """At the source: let the migration complete soon.

        The driver may pause the guest until it arrives, or switch to
        post-copy. A guest whose migration fails nevertheless may stay paused
        here. Nothing without a migration.
        """


class ConsoleInterface(Protocol):
    """The consoles of guests."""

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the end of the output of the guest's first serial port.

        Empty without output.
        """

    def vnc(self, uuid: str) -> VncEndpoint:
        """Return the VNC endpoint of the guest.

        Raises InstanceNotReady for an unknown guest and one that is off,
        ConsoleTypeUnavailable when guests have no VNC.
        """


class HostContentsInterface(Protocol):
    """All contents of a host, for the audit."""

    def list_host_contents(self) -> list[HostArtifact]:
        """Return the artifacts of every guest on the host, ordered by uuid.

        Includes leftovers: disks without a guest, parts of an interrupted
        copy, reserved addresses of a deleted guest. Guests that Minova did not
        define have no operation. Concurrent changes may or may not be
        included.
        """


class Driver(
    HostInterface,
    GuestInterface,
    DiskInterface,
    LiveMigrationInterface,
    ConsoleInterface,
    HostContentsInterface,
    Protocol,
):
    """A hypervisor driver."""
