# SPDX-License-Identifier: Apache-2.0
"""Rules about the NUMA cells and CPUs of guests.

The claims decide: no CPU and no huge page of a host belongs to two of them,
and each CPU is one that the host dedicates.
"""

from collections.abc import Iterator

from minova import cpu_set
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import Allocation
from minova.engine import placements
from minova.numa.host_cells import HostCell
from minova.numa.placement import Placement


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare placements with each other, and with the cells of the host."""
    by_host: dict[str, list[Allocation]] = {}
    for allocation in snapshot.database.allocations:
        by_host.setdefault(allocation.host, []).append(allocation)
    for host, allocations in by_host.items():
        yield from _check_host(snapshot, host, allocations)


def _check_host(
    snapshot: Snapshot, host: str, allocations: list[Allocation]
) -> Iterator[Finding]:
    row = snapshot.database.hosts.get(host)
    cells = [HostCell.from_json(one) for one in row.numa_cells] if row else []
    left = {cpu for cell in cells for cpu in cell.pcpus}
    pages = {
        (cell.id, size): count
        for cell in cells
        for size, count in cell.pages.items()
    }
    for allocation in allocations:
        reason = None
        if allocation.placement is None:
            reason = _why_missing(snapshot, allocation)
        else:
            placement = Placement.from_json(allocation.placement)
            reason = _take(placement, left, pages)
        if reason is not None and _is_settled(snapshot, allocation):
            yield snapshot.instance_finding(
                'placement_invalid',
                reason,
                allocation.instance_uuid,
                host=host,
                subject=allocation.consumer,
            )


def _is_settled(snapshot: Snapshot, allocation: Allocation) -> bool:
    """Tell whether the allocation is the instance's own, and stays so."""
    uuid = allocation.instance_uuid
    instance = snapshot.database.instances.get(uuid)
    return (
        instance is not None
        and allocation.consumer == uuid
        and allocation.host == instance.host
        and snapshot.get_owner(instance) is None
        and not snapshot.has_open_step(uuid, allocation.host)
    )


def _why_missing(snapshot: Snapshot, allocation: Allocation) -> str | None:
    instance = snapshot.database.instances.get(allocation.instance_uuid)
    if instance is None or allocation.consumer != instance.uuid:
        return None
    request = placements.request_of(instance.flavor, instance.image_meta)
    if request is None:
        return None
    return 'The allocation has no NUMA cells, which the flavor requires.'


def _take(
    placement: Placement, left: set[int], pages: dict[tuple[int, int], int]
) -> str | None:
    """Take CPUs and pages from those left; return why that is impossible."""
    missing = set(placement.pcpus) - left
    left -= set(placement.pcpus)
    reason = None
    if missing:
        reason = (
            f'The CPUs {cpu_set.to_text(missing)} are of another guest, or '
            'not in [compute] cpu_dedicated_set.'
        )
    for cell in placement.cells:
        if cell.page_kb is None:
            continue
        key = cell.host_cell, cell.page_kb
        pages[key] = pages.get(key, 0) - cell.page_count
        if pages[key] < 0:
            reason = reason or (
                f'NUMA cell {cell.host_cell} has not the pages of '
                f'{cell.page_kb} KiB that the guest has.'
            )
    return reason
