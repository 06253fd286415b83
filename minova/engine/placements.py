# SPDX-License-Identifier: Apache-2.0
"""Claims of hosts, with the NUMA cells and CPUs of guests.

The claim locks the row of the host. The placement is chosen beside all others
on the host under that lock, so that no CPU and no huge page is given twice.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from minova.db.connections.engine import Connection
from minova.db.queries import hosts
from minova.db.queries import placements
from minova.db.queries.hosts import Host
from minova.db.queries.hosts import Resources
from minova.numa import fitting
from minova.numa import request as numa_request
from minova.numa.host_cells import HostCell
from minova.numa.placement import Placement
from minova.numa.request import NumaRequest
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance


def request_of(
    flavor: Flavor, image_meta: Mapping[str, Any]
) -> NumaRequest | None:
    """Return what a guest requires of NUMA cells; None for any cell."""
    return numa_request.of_flavor(
        flavor.extra_specs, image_meta, flavor.vcpus, flavor.memory_mb
    )


def resources_of(flavor: Flavor, image_meta: Mapping[str, Any]) -> Resources:
    """Return the resources that a guest needs."""
    return count_resources(flavor, request_of(flavor, image_meta))


def count_resources(flavor: Flavor, request: NumaRequest | None) -> Resources:
    """Return the resources that a guest with this request needs."""
    pcpus = request.pcpus if request is not None else 0
    vcpus = 0 if pcpus else flavor.vcpus
    return Resources(vcpus, flavor.memory_mb, flavor.disk_gb, pcpus)


def running_request_of(
    connection: Connection, instance: Instance
) -> NumaRequest | None:
    """Return what a guest requires that runs while it changes its host.

    Its memory pages keep their size.
    """
    request = request_of(instance.flavor, instance.image_meta)
    held = find(connection, instance, instance.host)
    if request is None or request.pages != 'large' or held is None:
        return request
    sizes = {cell.page_kb for cell in Placement.from_json(held).cells}
    return dataclasses.replace(request, pages=max(size or 0 for size in sizes))


def claim(
    connection: Connection,
    instance: Instance,
    host: str,
    consumer: str,
    flavor: Flavor,
    is_running: bool = False,
) -> bool:
    """Claim a flavor and, if it needs some, cells; False if none are free."""
    request = request_of(flavor, instance.image_meta)
    if is_running:
        request = running_request_of(connection, instance)
    wanted = count_resources(flavor, request)
    if not hosts.claim(connection, host, instance.uuid, consumer, wanted):
        return False
    if request is None or _place(
        connection, instance.uuid, host, consumer, request
    ):
        return True
    hosts.release(connection, instance.uuid, host, consumer)
    return False


def restore(
    connection: Connection,
    instance: Instance,
    host: str,
    consumer: str,
    resources: Resources,
) -> None:
    """Record an allocation without a check of the host's capacity.

    An allocation of the instance itself without a placement gets one if one
    is free; the guest may run on the CPUs of another.
    """
    hosts.set_allocation(connection, host, instance.uuid, consumer, resources)
    has_placement = any(
        (one.instance_uuid, one.consumer) == (instance.uuid, consumer)
        for one in placements.list_placements(connection, host)
    )
    if consumer == instance.uuid and not has_placement:
        replace(connection, instance, host)


def replace(connection: Connection, instance: Instance, host: str) -> bool:
    """Choose a placement for the own allocation of an instance.

    It has an effect when the guest is defined again, by a hard reboot or a
    move. False if the instance needs none or nothing is free.
    """
    hosts.lock(connection, host)
    request = request_of(instance.flavor, instance.image_meta)
    return request is not None and _place(
        connection, instance.uuid, host, instance.uuid, request
    )


def _place(
    connection: Connection,
    instance_uuid: str,
    host: str,
    consumer: str,
    request: NumaRequest,
) -> bool:
    """Choose and store the placement of an allocation.

    Its transaction has locked the row of the host. False if nothing is free.
    """
    (row,) = hosts.list_hosts(connection, host)
    others = [
        Placement.from_json(one.placement)
        for one in placements.list_placements(connection, host)
        if (one.instance_uuid, one.consumer) != (instance_uuid, consumer)
    ]
    found = fit(row, others, request)
    if not isinstance(found, Placement):
        return False
    placements.set_placement(
        connection, host, instance_uuid, consumer, found.to_json()
    )
    return True


def fit(
    row: Host, others: list[Placement], request: NumaRequest
) -> Placement | fitting.Unfit:
    """Return a placement on a host beside others, or why there is none."""
    return fitting.fit(
        [HostCell.from_json(one) for one in row.numa_cells],
        others,
        request,
        row.cpu_allocation_ratio,
        row.ram_allocation_ratio,
    )


def find(
    connection: Connection,
    instance: Instance,
    host: str | None,
    consumer: str | None = None,
) -> dict[str, Any] | None:
    """Return the placement of a guest on the host of a step.

    A resize that stays on its host has two claims there, of the old flavor
    and of the new one: that of ``consumer`` is returned if it has one.
    """
    if request_of(instance.flavor, instance.image_meta) is None:
        return None
    held = {
        row['consumer']: row['placement']
        for row in hosts.list_allocations(connection, instance.uuid)
        if row['host'] == host
    }
    for one in (consumer, instance.uuid, *sorted(held)):
        if one in held:
            found: dict[str, Any] | None = held[one]
            return found
    return None
