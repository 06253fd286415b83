# SPDX-License-Identifier: Apache-2.0
"""What every hypervisor driver can be asked.

Narrow interfaces: the host, its guests, their disks, their moves, and all of
it at one look. The same contract tests run on every driver. All methods may
be called again after they were cut short, and all raise GuestFailed,
DiskFailed or GuestMigrationFailed with the hypervisor's own words.
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
    """What a host has, and what runs on it.

    ``version`` is a number that grows, as libvirt's 9000000 for 9.0.0.
    """

    hypervisor_hostname: str
    hypervisor_type: str
    version: int
    cpu_info: dict[str, Any]
    vcpus: int
    memory_mb: int
    disk_gb: int


@dataclasses.dataclass(frozen=True)
class ConfigDrive:
    """What a guest is told by its config drive, beside what Spec has.

    ``user_data`` is in base64, as the user gave it. Plain data, so that it
    can be sent and compared.
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
    """All a hypervisor must know to define a guest.

    ``operation`` and ``generation`` are kept with the definition, so that a
    stale guest can be told from a wanted one. ``config_drive`` is None for a
    guest without one. ``rescue`` is what is known of the image that the guest
    is rescued with, None for one that starts from its own root disk:
    ``image_id``, ``name``, ``disk_format``.
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
    #: Paths of the kernel that is started instead of the disk, and of its
    #: ramdisk, where disks are to be made; they are copied.
    kernel: str | None = None
    ramdisk: str | None = None
    config_drive: ConfigDrive | None = None
    rescue: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Guest:
    """A guest as the hypervisor sees it now.

    ``boot`` changes each time the guest is started anew; None when it is off.
    ``arriving`` says that it is being received and not yet run here.
    ``trouble`` tells why it does not run when it should, as an I/O error.
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
    """Another host, as moves need it: its name and where it is reached."""

    host: str
    address: str


@dataclasses.dataclass(frozen=True)
class MigrationStatus:
    """How a live migration that was started here goes.

    ``state`` is 'running', 'completed', 'failed', 'cancelled' or 'none' (no
    such job is known here, which says nothing about the guest). Figures are
    bytes.
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
    """Where a guest's screen is reached by VNC just now.

    Either a ``host`` and a ``port`` or a Unix ``socket`` of the hypervisor's
    machine. ``host`` may be a loopback address or one that stands for all.
    """

    host: str | None
    port: int | None
    socket: str | None = None


@dataclasses.dataclass(frozen=True)
class TransferProgress:
    """How far a hand-over of disks is, in bytes."""

    total: int
    done: int


class HostInterface(Protocol):
    """The host itself."""

    #: Whether disks are made from the data of images.
    uses_images: bool

    def inventory(self) -> Inventory:
        """Tell what the host has."""

    def next_event(self, timeout: float) -> str | None:
        """Wait for a guest to change; return its uuid, None after timeout.

        Events are hints: one may be lost, and a repeated one says nothing
        new. What is true is asked of ``guest``. Never raises: a hypervisor
        that is away has no events.
        """

    def close(self) -> None:
        """Let go of the hypervisor; its guests run on."""


class GuestInterface(Protocol):
    """The guests of a host."""

    def guests(self) -> list[Guest]:
        """Return all guests, asking the hypervisor once."""

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, None when the hypervisor does not know it."""

    def define(self, spec: GuestSpec) -> None:
        """Make or replace the lasting definition; does not start it.

        Networks of the host that give out addresses keep those of its nics
        for it until it is removed. A guest that is rescued starts from the
        rescue disk; its own disks follow in their order.
        """

    def start(self, uuid: str) -> None:
        """Start a defined guest; nothing when it runs, resumed if paused.

        It starts anew: what was saved of its memory is dropped.
        """

    def shutdown(self, uuid: str) -> None:
        """Ask the guest to switch itself off; it need not obey."""

    def power_off(self, uuid: str) -> None:
        """Switch the guest off now; nothing when it is off."""

    def pause(self, uuid: str) -> None:
        """Stop its processors, keep its memory."""

    def unpause(self, uuid: str) -> None:
        """Let its processors go on."""

    def suspend(self, uuid: str) -> None:
        """Save the memory of a guest to the host's disk, switch it off.

        Nothing when that was done before. Raises GuestFailed for a guest
        that is off and of which nothing is saved.
        """

    def has_managed_save(self, uuid: str) -> bool:
        """Tell whether memory of a guest that is off is saved here."""

    def resume(self, uuid: str) -> None:
        """Let a guest go on from what ``suspend`` saved, which is used up.

        Nothing when it runs. Raises GuestFailed when nothing is saved, and
        when what is saved cannot be used; it is then kept.
        """

    def destroy(self, uuid: str) -> None:
        """Switch the guest off and forget it; its disks stay.

        What was saved of its memory is dropped, and its addresses are kept
        for it no longer, also when the guest itself is gone already.
        """


class DiskInterface(Protocol):
    """The disks of guests, in one place a guest."""

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Make what is missing of the disks, the root one from ``image``.

        ``image`` is the path of the image's file, None for an empty disk. The
        config drive is one of them, for a guest that has one.
        """

    def images_in_use(self) -> set[str]:
        """Return the paths of the images' files that disks are made on.

        Those of all disks that are here, also aside, of whatever guest. They
        are as ``create_disks`` was given them. Raises DiskFailed rather than
        leaving one out.
        """

    def has_disks(self, uuid: str) -> bool:
        """Tell whether the guest's disks are here."""

    def grow_disks(self, spec: GuestSpec) -> None:
        """Make the disks as large as ``spec`` says; never smaller."""

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Make the disk that a rescued guest starts from, from ``image``.

        As large as the image. One that is there stays what it is.
        """

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove the disk that a rescued guest starts from, if there is."""

    def remove_disks(self, uuid: str) -> None:
        """Remove the guest's disks, not those that are set aside."""

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """At the destination: invite another host to hand disks over.

        The transfer_ticket goes to that host by the bus alone: it may hold a
        secret. It holds until the disks are accepted or removed.
        """

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """At the source: make sure, while the guest runs, that it can begin.

        Raises as ``hand_over`` does.
        """

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Iterable[TransferProgress]:
        """At the source: give the disks of a guest that is off to a host.

        The work is done while the answer is gone through, and may be left
        between two steps of it; it goes on when it is asked for again. After
        the last step the disks are there, whole. Nothing when the own ones
        are set aside: it was done before. Raises DiskTransferInterrupted when
        the other host does not answer.
        """

    def commit_received_disks(self, uuid: str) -> None:
        """At the destination: have what was handed over; invite no more.

        Raises DiskFailed when it has not arrived, whole.
        """

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Keep the disks as they are for a way back.

        With ``copy`` the guest's own stay in place too. What was set aside
        before stays what it is.
        """

    def restore_disks(self, uuid: str) -> None:
        """Make the disks that were set aside the guest's again.

        Nothing when none are set aside and the guest has its disks; raises
        DiskMissing when both are missing.
        """

    def discard_disks(self, uuid: str) -> None:
        """Remove the disks that were set aside."""

    def has_retained_disks(self, uuid: str) -> bool:
        """Tell whether disks of the guest are set aside here."""


class LiveMigrationInterface(Protocol):
    """Live migration, seen from both ends."""

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
        """At the destination: remove what was prepared and an incoming guest."""

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """At the source: begin to move the guest; return at once.

        One that is being moved goes on. Raises GuestFailed for a guest that
        is not here, or is off.
        """

    def migration_status(self, uuid: str) -> MigrationStatus:
        """At the source: tell how the move goes, also after a restart."""

    def tune_migration(
        self,
        uuid: str,
        migrate_data: LiveMigrateData,
        elapsed_seconds: float,
    ) -> None:
        """At the source: help a move that is under way since ``seconds``.

        A guest that changes its memory as fast as it is copied never gets
        done by itself. Never raises.
        """

    def abort_migration(self, uuid: str) -> None:
        """At the source: ask the move to stop; the guest stays here."""

    def force_complete(self, uuid: str) -> None:
        """At the source: let the move end soon, whatever the guest does.

        The guest may be paused until it is there, or be run there before all
        of it has come: the driver decides. Of a move that fails all the same
        it may be left paused here. Nothing when it is not being moved.
        """


class ConsoleInterface(Protocol):
    """What guests say and show."""

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the end of what the guest said on its first serial port.

        Empty when it has said nothing yet, or nothing was kept.
        """

    def vnc(self, uuid: str) -> VncEndpoint:
        """Tell where the guest's screen is.

        Raises InstanceNotReady for a guest that is off or not known,
        ConsoleTypeUnavailable where guests have no screen.
        """


class HostContentsInterface(Protocol):
    """All of it at one look, for whoever compares it with the records."""

    def list_host_contents(self) -> list[HostArtifact]:
        """Return what is here of every guest, by uuid, in their order.

        Also what nobody knows any more: disks without a guest, what a crash
        has left of a copy, addresses that a network keeps for a guest that
        is gone. Guests that are not Minova's have no mark. What changes
        meanwhile may be seen as before or as after.
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
    """A hypervisor."""
