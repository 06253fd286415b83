# SPDX-License-Identifier: Apache-2.0
"""The choice of a placement on a host, or the reason why there is none.

Each cell of a guest gets another cell of the host, as in Nova, so that the
guest sees the distances that it has. The choice of a host cell for one guest
cell does not change those for others: it is a matching of two sets.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from minova.extra_specs.numa import NumaCell
from minova.numa.host_cells import HostCell
from minova.numa.placement import PlacedCell
from minova.numa.placement import Placement
from minova.numa.request import NumaRequest


@dataclasses.dataclass(frozen=True)
class _FreeCell:
    """A cell of a host, less the placements there."""

    cell: HostCell
    pcpus: frozenset[int]
    vcpus_used: int
    #: Free for guests with normal pages, after the overcommit.
    memory_mb: float
    #: The memory in normal pages; one guest gets at most this.
    normal_mb: int
    pages: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Unfit:
    """The reason why a guest does not fit."""

    reason: str


def fit(
    cells: Sequence[HostCell],
    placed: Iterable[Placement],
    request: NumaRequest,
    cpu_ratio: float = 1.0,
    ram_ratio: float = 1.0,
) -> Placement | Unfit:
    """Return a placement beside those that are on the host.

    The ratios overcommit shared CPUs and normal memory pages, which no guest
    overcommits with itself; dedicated CPUs and huge pages belong to one guest.
    """
    if not cells:
        return Unfit('its compute service reports no NUMA cells')
    if len(cells) < len(request.cells):
        return Unfit(f'it has {len(cells)} of {len(request.cells)} NUMA cells')
    others = list(placed)
    free = [_free_cell(cell, others, ram_ratio) for cell in cells]
    # The emptiest cell first: guests spread over the host.
    free.sort(key=lambda one: (-len(one.pcpus), -one.memory_mb, one.cell.id))
    options: list[list[PlacedCell]] = []
    for number, cell in enumerate(request.cells):
        isolated = int(request.isolates_emulator and number == 0)
        tried = [
            _fit_cell(one, cell, request, cpu_ratio, isolated) for one in free
        ]
        fitting = [one for one in tried if isinstance(one, PlacedCell)]
        if not fitting:
            return next(one for one in tried if isinstance(one, Unfit))
        options.append(fitting)
    chosen = _match(options)
    if chosen is None:
        return Unfit(
            f'it has no {len(options)} different NUMA cells for the guest'
        )
    emulator_cpus: tuple[int, ...] = ()
    if request.isolates_emulator:
        # Behind the CPUs of the vCPUs of the first cell.
        count = len(request.cells[0].vcpus)
        emulator_cpus = chosen[0].cpus[count:]
        chosen[0] = dataclasses.replace(chosen[0], cpus=chosen[0].cpus[:count])
    return Placement(tuple(chosen), request.is_dedicated, emulator_cpus)


def _free_cell(
    cell: HostCell, placed: Iterable[Placement], ram_ratio: float
) -> _FreeCell:
    here = [
        one
        for placement in placed
        for one in placement.cells
        if one.host_cell == cell.id
    ]
    taken = {cpu for placement in placed for cpu in placement.pcpus}
    floating = [
        len(one.vcpus)
        for placement in placed
        if not placement.is_dedicated
        for one in placement.cells
        if one.host_cell == cell.id
    ]
    pages = dict(cell.pages)
    # The memory of huge pages is not there for normal pages.
    huge_mb = sum(size * n for size, n in cell.pages.items()) // 1024
    normal_mb = cell.memory_mb - huge_mb
    memory_mb = normal_mb * ram_ratio
    for one in here:
        if one.page_kb is None:
            memory_mb -= one.memory_mb
        else:
            pages[one.page_kb] = pages.get(one.page_kb, 0) - one.page_count
    return _FreeCell(
        cell, cell.pcpus - taken, sum(floating), memory_mb, normal_mb, pages
    )


def _fit_cell(
    free: _FreeCell,
    wanted: NumaCell,
    request: NumaRequest,
    cpu_ratio: float,
    isolated: int,
) -> PlacedCell | Unfit:
    if request.is_dedicated:
        cpus = _pick_pcpus(free, len(wanted.vcpus) + isolated, request)
    else:
        cpus = _shared_cpus(free, len(wanted.vcpus), cpu_ratio)
    if isinstance(cpus, Unfit):
        return cpus
    page_kb = _pick_pages(free, wanted.memory_mb, request.pages)
    if isinstance(page_kb, Unfit):
        return page_kb
    return PlacedCell(
        free.cell.id, wanted.vcpus, cpus, wanted.memory_mb, page_kb
    )


def _shared_cpus(
    free: _FreeCell, count: int, cpu_ratio: float
) -> tuple[int, ...] | Unfit:
    cpus = free.cell.cpus
    left = len(cpus) * cpu_ratio - free.vcpus_used
    if count > len(cpus):
        return Unfit(
            f'NUMA cell {free.cell.id} has {len(cpus)} of {count} shared CPUs'
        )
    if count > left:
        return Unfit(
            f'{left:.0f} of {count} vCPUs are free in NUMA cell {free.cell.id}'
        )
    return tuple(sorted(cpus))


def _pick_pcpus(
    free: _FreeCell, count: int, request: NumaRequest
) -> tuple[int, ...] | Unfit:
    """Return dedicated CPUs, those of one core beside each other."""
    if not free.cell.pcpus:
        return Unfit(
            f'NUMA cell {free.cell.id} has no dedicated CPUs; see [compute] '
            'cpu_dedicated_set'
        )
    has_threads = any(len(one) > 1 for one in free.cell.siblings)
    if request.thread_policy == 'isolate' and has_threads:
        return Unfit(
            'its cores have several threads, and the guest has '
            'hw:cpu_thread_policy=isolate'
        )
    if request.thread_policy == 'require' and not has_threads:
        return Unfit(
            'its cores have one thread, and the guest has '
            'hw:cpu_thread_policy=require'
        )
    in_cores = frozenset[int]().union(*free.cell.siblings)
    cores = [one & free.pcpus for one in free.cell.siblings]
    cores += [frozenset({cpu}) for cpu in free.pcpus - in_cores]
    if request.thread_policy == 'require':
        # A core with one CPU left has no pair for it.
        cores = [one for one in cores if len(one) > 1]
    # The fullest cores first: whole cores for the guest, halves for the last.
    cores.sort(key=lambda core: (-len(core), sorted(core)))
    found = [cpu for core in cores for cpu in sorted(core)]
    if len(found) < count:
        return Unfit(
            f'{len(found)} of {count} dedicated CPUs are free in NUMA cell '
            f'{free.cell.id}'
        )
    return tuple(found[:count])


def _pick_pages(
    free: _FreeCell, memory_mb: int, pages: int | str | None
) -> int | Unfit | None:
    """Return the size of huge pages, None for normal ones."""
    if pages is None:
        left_mb = min(free.memory_mb, free.normal_mb)
        if left_mb >= memory_mb:
            return None
        return Unfit(
            f'{max(left_mb, 0):.0f} of {memory_mb} MiB are free in '
            f'NUMA cell {free.cell.id}'
        )
    sizes = sorted(free.pages, reverse=True) if pages == 'large' else [pages]
    for size in sizes:
        assert isinstance(size, int)
        if memory_mb * 1024 % size:
            continue
        if free.pages.get(size, 0) * size >= memory_mb * 1024:
            return size
    left = ', '.join(
        f'{max(n, 0)} of {size} KiB' for size, n in sorted(free.pages.items())
    )
    return Unfit(
        f'NUMA cell {free.cell.id} has no {pages} memory pages for '
        f'{memory_mb} MiB (free: {left or "none"})'
    )


def _match(options: list[list[PlacedCell]]) -> list[PlacedCell] | None:
    """Return one option of each guest cell, with different host cells.

    Augmenting paths; see Kuhn, "The Hungarian method", 1955.
    """
    owner: dict[int, int] = {}
    chosen: dict[int, PlacedCell] = {}

    def assign(guest: int, seen: set[int]) -> bool:
        # A free cell first, so that the cells before this one keep theirs.
        free_first = sorted(
            options[guest], key=lambda option: option.host_cell in owner
        )
        for option in free_first:
            host = option.host_cell
            if host in seen:
                continue
            seen.add(host)
            if host not in owner or assign(owner[host], seen):
                owner[host] = guest
                chosen[guest] = option
                return True
        return False

    for guest in range(len(options)):
        if not assign(guest, set()):
            return None
    return [chosen[guest] for guest in range(len(options))]
