# SPDX-License-Identifier: Apache-2.0
"""The NUMA cells of a host, as its compute reports them."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Self

from minova import cpu_set
from minova import exception


@dataclasses.dataclass(frozen=True)
class HostCell:
    """A NUMA cell.

    ``cpus`` are those that guests share, ``pcpus`` those for one guest each.
    ``siblings`` are the sets of CPUs that are threads of one core, of cores
    with several. ``pages`` has the number of huge pages by their KiB.
    """

    id: int
    cpus: frozenset[int]
    memory_mb: int
    pcpus: frozenset[int] = frozenset()
    siblings: tuple[frozenset[int], ...] = ()
    pages: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the cell as JSON; the sets of CPUs are texts."""
        return {
            'id': self.id,
            'cpus': cpu_set.to_text(self.cpus),
            'pcpus': cpu_set.to_text(self.pcpus),
            'siblings': [cpu_set.to_text(one) for one in self.siblings],
            'memory_mb': self.memory_mb,
            'pages': {str(size): n for size, n in self.pages.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the cell that ``to_json`` has encoded."""
        return cls(
            id=values['id'],
            cpus=cpu_set.parse_or_empty(values['cpus']),
            pcpus=cpu_set.parse_or_empty(values['pcpus']),
            siblings=tuple(cpu_set.parse(one) for one in values['siblings']),
            memory_mb=values['memory_mb'],
            pages={int(size): n for size, n in values['pages'].items()},
        )


def assign_cpus(
    cells: Iterable[HostCell], dedicated: str | None, shared: str | None
) -> list[HostCell]:
    """Return the cells with the CPUs that guests may use.

    ``dedicated`` and ``shared`` are the options of [compute]; with
    ``dedicated`` alone no CPU is shared. Raises ConfigInvalid for sets that
    overlap, or have CPUs that the host lacks.
    """
    found = list(cells)
    every = frozenset().union(*(cell.cpus for cell in found))
    pcpus = _read_option('cpu_dedicated_set', dedicated, every)
    cpus = _read_option('cpu_shared_set', shared, every)
    both = pcpus & cpus
    if both:
        raise exception.ConfigInvalid(
            reason='[compute] cpu_dedicated_set and cpu_shared_set both have '
            f'the CPUs {cpu_set.to_text(both)}; remove them from one.'
        )
    if not pcpus and not cpus:
        cpus = every
    return [
        dataclasses.replace(
            cell, cpus=cell.cpus & cpus, pcpus=cell.cpus & pcpus
        )
        for cell in found
    ]


def _read_option(
    name: str, text: str | None, every: frozenset[int]
) -> frozenset[int]:
    if not text:
        return frozenset()
    try:
        given = cpu_set.parse(text)
    except ValueError as error:
        raise exception.ConfigInvalid(
            reason=f'[compute] {name} is {text!r}; it {error}'
        ) from error
    if not given <= every:
        raise exception.ConfigInvalid(
            reason=f'[compute] {name} is {text!r}; the host has no CPU '
            f'{cpu_set.to_text(given - every)}, only '
            f'{cpu_set.to_text(every)}.'
        )
    return given


def parse_pages(texts: Iterable[str]) -> dict[int, int]:
    """Return the huge pages of each cell from ``KIB:COUNT`` each.

    Raises ConfigInvalid for other texts.
    """
    found = {}
    for text in texts:
        size, colon, count = text.partition(':')
        if not (colon and size.isdecimal() and count.isdecimal()):
            raise exception.ConfigInvalid(
                reason=f'the huge pages {text!r} are not KIB:COUNT, such as '
                '2048:512.'
            )
        found[int(size)] = int(count)
    return found


def divide(
    cpus: int,
    memory_mb: int,
    count: int,
    threads: int = 1,
    pages: Mapping[int, int] | None = None,
) -> tuple[HostCell, ...]:
    """Return ``count`` equal cells of a host that is not a real machine.

    ``threads`` CPUs in a row are a core; each cell has ``pages``.
    """
    per_cell = cpus // count
    found = []
    for number in range(count):
        first = number * per_cell
        last = cpus if number == count - 1 else first + per_cell
        found.append(
            HostCell(
                id=number,
                cpus=frozenset(range(first, last)),
                memory_mb=memory_mb // count,
                siblings=tuple(
                    frozenset(range(core, min(core + threads, last)))
                    for core in range(first, last, threads)
                    if threads > 1
                ),
                pages=dict(pages or {}),
            )
        )
    return tuple(found)
