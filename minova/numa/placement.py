# SPDX-License-Identifier: Apache-2.0
"""Where the cells of a guest are on a host."""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Self

from minova import cpu_set


@dataclasses.dataclass(frozen=True)
class PlacedCell:
    """A cell of a guest, and its cell of the host.

    ``cpus`` are CPUs of the host: of a dedicated guest one for each of
    ``vcpus``, in their order; of another guest those that its vCPUs share.
    ``page_kb`` is the size of huge pages, None for normal pages.
    """

    host_cell: int
    vcpus: tuple[int, ...]
    cpus: tuple[int, ...]
    memory_mb: int
    page_kb: int | None = None

    @property
    def page_count(self) -> int:
        """The number of huge pages."""
        if self.page_kb is None:
            return 0
        return self.memory_mb * 1024 // self.page_kb


@dataclasses.dataclass(frozen=True)
class Placement:
    """The cells of a guest on a host.

    ``emulator_cpus`` are CPUs that only the threads of the emulator use.
    """

    cells: tuple[PlacedCell, ...]
    is_dedicated: bool = False
    emulator_cpus: tuple[int, ...] = ()

    @property
    def pcpus(self) -> tuple[int, ...]:
        """The CPUs of the host that the guest has for itself."""
        if not self.is_dedicated:
            return ()
        return self.emulator_cpus + tuple(
            cpu for cell in self.cells for cpu in cell.cpus
        )

    @property
    def pins(self) -> dict[int, int]:
        """The CPU of the host of each vCPU of a dedicated guest."""
        if not self.is_dedicated:
            return {}
        return {
            vcpu: cpu
            for cell in self.cells
            for vcpu, cpu in zip(cell.vcpus, cell.cpus, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Return the placement as JSON."""
        return {
            'is_dedicated': self.is_dedicated,
            'emulator_cpus': list(self.emulator_cpus),
            'cells': [
                {
                    'host_cell': cell.host_cell,
                    'vcpus': list(cell.vcpus),
                    'cpus': list(cell.cpus)
                    if self.is_dedicated
                    else cpu_set.to_text(cell.cpus),
                    'memory_mb': cell.memory_mb,
                    'page_kb': cell.page_kb,
                }
                for cell in self.cells
            ],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the placement that ``to_json`` has encoded."""
        return cls(
            is_dedicated=values['is_dedicated'],
            emulator_cpus=tuple(values['emulator_cpus']),
            cells=tuple(
                PlacedCell(
                    host_cell=cell['host_cell'],
                    vcpus=tuple(cell['vcpus']),
                    cpus=_cpus(cell['cpus']),
                    memory_mb=cell['memory_mb'],
                    page_kb=cell['page_kb'],
                )
                for cell in values['cells']
            ),
        )


def _cpus(given: list[int] | str) -> tuple[int, ...]:
    if isinstance(given, str):
        return tuple(sorted(cpu_set.parse_or_empty(given)))
    return tuple(given)
