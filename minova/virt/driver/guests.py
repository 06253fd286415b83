# SPDX-License-Identifier: Apache-2.0
"""The guests of a host: their definition and their power."""

import dataclasses
from typing import Any
from typing import Protocol

from minova.states import POWERED_ON
from minova.states import PowerState


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
    own root disk. ``placement`` is where the guest is in the NUMA cells of the
    host, as ``numa.Placement`` encodes it; None for any cell.
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
    placement: dict[str, Any] | None = None


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

    @property
    def is_on(self) -> bool:
        """Whether the guest is on, paused or not."""
        return self.power in POWERED_ON


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

    def inject_nmi(self, uuid: str) -> None:
        """Send a guest that is on a non-maskable interrupt.

        Raises GuestFailed for a guest that is off.
        """

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
