# SPDX-License-Identifier: Apache-2.0
"""The host: its inventory, its health and its events."""

import dataclasses
from typing import Any
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The resources and the hypervisor of a host.

    ``version`` is a growing number, as libvirt's 9000000 for 9.0.0.
    ``supported_instances`` are the architecture, hypervisor type and VM mode
    of each kind of guest that the host can run, emulated or not. ``traits``
    are those of ``extra_specs.traits`` that the host has.
    ``numa_cells`` has all CPUs of each cell, as ``numa.HostCell`` encodes it.
    """

    hypervisor_hostname: str
    hypervisor_type: str
    version: int
    cpu_info: dict[str, Any]
    vcpus: int
    memory_mb: int
    disk_gb: int
    supported_instances: tuple[tuple[str, str, str], ...]
    traits: tuple[str, ...] = ()
    numa_cells: tuple[dict[str, Any], ...] = ()


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
