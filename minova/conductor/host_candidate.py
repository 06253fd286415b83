# SPDX-License-Identifier: Apache-2.0
"""What filters and weighers see: a host, and what one selection requires."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any
from typing import Final

from minova.db.queries.aggregates import Aggregate
from minova.db.queries.hosts import Host
from minova.db.queries.hosts import Resources
from minova.db.queries.hosts import Service
from minova.db.queries.placements import PlacedGuest
from minova.db.queries.server_groups import GroupPlacement
from minova.engine import placements
from minova.extra_specs import parser
from minova.extra_specs import traits
from minova.extra_specs.parser import GuestRequirements
from minova.numa import request as numa_request
from minova.numa.request import NumaRequest
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance

#: Why a host is not a candidate, by its name.
Reasons = Mapping[str, str]

_MULTIPLIER: Final = '_weight_multiplier'


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A host, its compute service and its aggregates."""

    row: Host
    service: Service
    #: Why its compute is down, None when it is up.
    down_reason: str | None
    aggregates: tuple[Aggregate, ...] = ()
    #: The number of open steps on the host, if it is weighed.
    running_steps: int = 0
    #: The guests in its NUMA cells.
    placed: tuple[PlacedGuest, ...] = ()

    def has_name(self, name: str) -> bool:
        """Tell whether a request that names ``name`` means this host."""
        return name in (self.row.host, self.row.hypervisor_hostname)

    @functools.cached_property
    def is_ready(self) -> bool:
        """Whether the compute is up and enabled, and its hypervisor works."""
        service = self.service
        return (
            self.down_reason is None
            and not service.disabled
            and service.hypervisor_error is None
        )

    @functools.cached_property
    def free(self) -> tuple[float, float, float, float]:
        """The amounts that can be claimed, in the order of Resources."""
        row = self.row
        memory = (
            row.memory_mb - row.reserved_memory_mb
        ) * row.ram_allocation_ratio
        disk = (row.disk_gb - row.reserved_disk_gb) * row.disk_allocation_ratio
        return (
            row.vcpus * row.cpu_allocation_ratio - row.vcpus_used,
            memory - row.memory_mb_used,
            disk - row.disk_gb_used,
            row.pcpus - row.pcpus_used,
        )

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        """The facts of the host, under Nova's names."""
        row, free = self.row, self.free
        return {
            'host': row.host,
            'hypervisor_hostname': row.hypervisor_hostname,
            'hypervisor_type': row.hypervisor_type,
            'hypervisor_version': row.hypervisor_version,
            'cpu_info': row.cpu_info,
            'vcpus_total': row.vcpus,
            'vcpus_used': row.vcpus_used,
            'total_usable_ram_mb': row.memory_mb,
            'free_ram_mb': row.memory_mb - row.memory_mb_used,
            'total_usable_disk_gb': row.disk_gb,
            'free_disk_mb': (row.disk_gb - row.disk_gb_used) * 1024,
            'usable_vcpus': free[0],
            'cpu_allocation_ratio': row.cpu_allocation_ratio,
            'ram_allocation_ratio': row.ram_allocation_ratio,
            'disk_allocation_ratio': row.disk_allocation_ratio,
            'service': {'host': row.host, 'disabled': self.service.disabled},
        }

    @functools.cached_property
    def aggregate_keys(self) -> tuple[str, ...]:
        """The keys in the metadata of its aggregates, sorted."""
        return tuple(
            sorted({key for one in self.aggregates for key in one.metadata})
        )

    def aggregate_values(self, key: str) -> set[str]:
        """Return the values of a key in its aggregates; commas separate."""
        return {
            value.strip()
            for one in self.aggregates
            if key in one.metadata
            for value in one.metadata[key].split(',')
        }

    @functools.cached_property
    def multipliers(self) -> dict[str, float]:
        """The multipliers of weighers that its aggregates set."""
        found: dict[str, float] = {}
        for key in self.aggregate_keys:
            if not key.endswith(_MULTIPLIER):
                continue
            values = [_number(one) for one in self.aggregate_values(key)]
            numbers = [one for one in values if one is not None]
            if numbers:
                found[key] = min(numbers)
        return found


def _number(text: str) -> float | None:
    """Return the number in a metadata value, None when it is none."""
    try:
        return float(text)
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True)
class HostRequirements:
    """What one selection requires of a host.

    ``flavor`` is that of the instance after the operation. ``live_source`` is
    the host from which a running guest migrates. ``is_forced``: the operator
    takes ``requested_host`` although it is disabled, or of another zone.
    ``running`` is what a guest that migrates while it runs requires of NUMA
    cells, None for that of its flavor. ``group`` is the placement of the
    instance's server group, ``hint_hosts`` the hosts of the servers that a
    scheduler hint names, by the hint.
    """

    instance: Instance
    flavor: Flavor
    requested_host: str | None = None
    excluded_hosts: Reasons = dataclasses.field(default_factory=dict)
    live_source: Host | None = None
    is_forced: bool = False
    group: GroupPlacement | None = None
    running: NumaRequest | None = None
    hint_hosts: Mapping[str, frozenset[str]] = dataclasses.field(
        default_factory=dict
    )

    @functools.cached_property
    def guest(self) -> GuestRequirements:
        """What the image and the flavor require of the guest."""
        flavor = self.flavor
        return parser.parse(
            flavor.extra_specs,
            self.instance.image_meta,
            flavor.vcpus,
            flavor.memory_mb,
        ).requirements

    @functools.cached_property
    def traits(self) -> dict[str, str]:
        """The traits that the guest needs, with what lacks without each."""
        return traits.required_by(self.guest)

    @functools.cached_property
    def image_needs(self) -> dict[str, str | None]:
        """The kind of guest that the image needs, None for any."""
        return {
            'architecture': self.guest.architecture,
            'hypervisor type': self.guest.hypervisor,
            'VM mode': self.guest.vm_mode,
        }

    @functools.cached_property
    def resources(self) -> Resources:
        """The resources that the guest needs."""
        return placements.count_resources(self.flavor, self.numa)

    @functools.cached_property
    def numa(self) -> NumaRequest | None:
        """What the guest requires of NUMA cells; None for any cell."""
        return self.running or numa_request.of_requirements(self.guest)

    @functools.cached_property
    def zone(self) -> str | None:
        """The requested zone; None for any, and when a host is forced."""
        if self.is_forced:
            return None
        return self.instance.request_spec.availability_zone

    @functools.cached_property
    def hints(self) -> dict[str, list[str]]:
        """The scheduler hints of the request that created the instance."""
        return self.instance.request_spec.scheduler_hints


#: Returns why a host is filtered out, None when it passes.
Filter = Callable[[Candidate, HostRequirements], str | None]
