# SPDX-License-Identifier: Apache-2.0
"""What a flavor and an image require of the NUMA cells of a host."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from minova.extra_specs import parser
from minova.extra_specs.numa import NumaCell
from minova.extra_specs.parser import GuestRequirements


@dataclasses.dataclass(frozen=True)
class NumaRequest:
    """The cells of a guest, each for another cell of the host.

    ``pages`` is the size of memory pages in KiB, 'large', or None for normal
    pages. ``isolates_emulator``: a CPU more, for the threads of the emulator.
    """

    cells: tuple[NumaCell, ...]
    is_dedicated: bool = False
    thread_policy: str = 'prefer'
    isolates_emulator: bool = False
    pages: int | str | None = None

    @property
    def pcpus(self) -> int:
        """The CPUs that the guest has for itself."""
        if not self.is_dedicated:
            return 0
        vcpus = sum(len(cell.vcpus) for cell in self.cells)
        return vcpus + self.isolates_emulator


def of_requirements(guest: GuestRequirements) -> NumaRequest | None:
    """Return the request of a guest; None for a guest of any cell."""
    if not guest.numa_cells:
        return None
    return NumaRequest(
        guest.numa_cells,
        guest.is_dedicated,
        guest.cpu_thread_policy or 'prefer',
        guest.emulator_threads == 'isolate',
        guest.pages,
    )


def of_flavor(
    extra_specs: Mapping[str, object],
    properties: Mapping[str, Any],
    vcpus: int,
    memory_mb: int,
) -> NumaRequest | None:
    """Return the request of a flavor and an image."""
    return of_requirements(
        parser.parse(extra_specs, properties, vcpus, memory_mb).requirements
    )
