# SPDX-License-Identifier: Apache-2.0
"""The reports of a compute about its host and the guests on it."""

from typing import Any

from minova.objects import base


@base.register
class HostReport(base.Object):
    """A host with its capacity.

    ``memory_mb`` and ``disk_gb`` are the capacity of the machine;
    ``reserved_*`` is the part that the host itself needs. An allocation ratio
    is the overcommit factor of its resource. ``supported_instances`` has
    architecture, hypervisor type and VM mode of each kind of guest that the
    host can run. ``traits`` are those of ``extra_specs.traits``.
    ``numa_cells`` are those of ``numa.HostCell``. Guests share
    ``vcpus``; each of ``pcpus`` is for one guest.
    """

    VERSION = '1.0'

    host: str
    incarnation: str
    version: str
    address: str
    availability_zone: str
    hypervisor_hostname: str
    hypervisor_type: str
    hypervisor_version: int
    cpu_info: dict[str, Any]
    supported_instances: list[list[str]]
    traits: list[str]
    numa_cells: list[dict[str, Any]]
    vcpus: int
    pcpus: int
    memory_mb: int
    disk_gb: int
    reserved_memory_mb: int
    reserved_disk_gb: int
    cpu_allocation_ratio: float
    ram_allocation_ratio: float
    disk_allocation_ratio: float


@base.register
class GuestReport(base.Object):
    """The state of one guest, as its hypervisor reports it.

    ``power_state`` is None when the hypervisor does not know the guest.
    ``generation`` is the generation of the instance row that the compute
    compared (-1: no row of this host), ``guest_generation`` the generation of
    the operation that last defined the guest.
    """

    VERSION = '1.0'

    uuid: str
    power_state: int | None
    generation: int
    guest_generation: int | None
    reason: str | None


@base.register
class HostArtifact(base.Object):
    """Everything that a host has for one instance uuid, stale or not.

    ``power_state`` is None without a guest. ``is_incoming``: the host is
    prepared for a guest that migrates in. ``operation`` and ``generation``
    stand in the guest's metadata, None for a guest that Minova did not define.
    ``has_disks``: the disks are complete. ``has_retained_disks``: disks are
    kept for a revert. ``has_partial_disks``: an interrupted copy or removal
    left parts. ``has_snapshots``: copies of a disk wait for their upload, or
    remain of one. ``has_reserved_addresses``: a network of the host reserves
    addresses for it. ``macs`` are those of the guest's network interfaces,
    None without a guest.
    """

    VERSION = '1.0'

    uuid: str
    power_state: int | None
    is_incoming: bool
    operation: str | None
    generation: int | None
    has_disks: bool
    has_retained_disks: bool
    has_partial_disks: bool
    has_snapshots: bool
    has_config_drive: bool
    has_reserved_addresses: bool
    macs: list[str] | None = None
