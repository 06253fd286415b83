# SPDX-License-Identifier: Apache-2.0
"""The filters of hosts: one set for every way to a host.

A create, a resize and a migration, with or without a requested host, and every
retry of them, pass the same filters. Each filter returns the reason why a host
is filtered out.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools

from minova import exception
from minova.db.queries.hosts import Host
from minova.db.queries.hosts import Service
from minova.extra_specs import parser
from minova.extra_specs.parser import GuestRequirements
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance

#: Why a host is not a candidate, by its name.
Reasons = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A host and its compute service."""

    row: Host
    service: Service
    #: Why its compute is down, None when it is up.
    down_reason: str | None

    def has_name(self, name: str) -> bool:
        """Tell whether a request that names ``name`` means this host."""
        return name in (self.row.host, self.row.hypervisor_hostname)


@dataclasses.dataclass(frozen=True)
class HostRequirements:
    """What one selection requires of a host.

    ``flavor`` is that of the instance after the operation. ``live_source`` is
    the host from which a running guest migrates. ``is_forced``: the operator
    takes ``requested_host`` although it is disabled, or of another zone.
    """

    instance: Instance
    flavor: Flavor
    requested_host: str | None = None
    excluded_hosts: Reasons = dataclasses.field(default_factory=dict)
    live_source: Host | None = None
    is_forced: bool = False

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


#: Returns why a host is filtered out, None when it passes.
Filter = Callable[[Candidate, HostRequirements], str | None]


def _is_requested_host(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    name = required.requested_host
    if name is None or candidate.has_name(name):
        return None
    return f'host {name} is requested'


def _not_excluded(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    return required.excluded_hosts.get(candidate.row.host)


def _compute_is_up(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    return candidate.down_reason


def _compute_is_enabled(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    if required.is_forced or not candidate.service.disabled:
        return None
    reason = candidate.service.disabled_reason
    return f'it is disabled ({reason})' if reason else 'it is disabled'


def _hypervisor_answers(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    error = candidate.service.hypervisor_error
    return error and f'its hypervisor cannot be used ({error})'


def _in_availability_zone(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    zone = required.instance.request_spec.availability_zone
    own = candidate.row.availability_zone
    if required.is_forced or zone in (None, own):
        return None
    return f'it is in zone {own}, and zone {zone} is requested'


def _supports_image(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    guest = required.guest
    needed = {
        'architecture': guest.architecture,
        'hypervisor type': guest.hypervisor,
        'VM mode': guest.vm_mode,
    }
    for supported in candidate.row.supported_instances:
        if all(
            value in (None, own)
            for value, own in zip(needed.values(), supported, strict=True)
        ):
            return None
    wanted = [f'{name} {value}' for name, value in needed.items() if value]
    if not wanted:
        return None
    return f'it does not support the {" with ".join(wanted)} of the image'


def _can_receive_running_guest(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    source, dest = required.live_source, candidate.row
    if source is None:
        return None
    if dest.hypervisor_type != source.hypervisor_type:
        return str(
            exception.InvalidHypervisorType(
                source=source.hypervisor_type, destination=dest.hypervisor_type
            )
        )
    if dest.hypervisor_version < source.hypervisor_version:
        return str(
            exception.DestinationHypervisorTooOld(
                source=source.hypervisor_version,
                destination=dest.hypervisor_version,
            )
        )
    return None


def _has_resources(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    free = free_resources(candidate.row)
    flavor = required.flavor
    for name, need, unit in (
        ('vcpus', flavor.vcpus, 'vcpus'),
        ('memory_mb', flavor.memory_mb, 'MiB of memory'),
        ('disk_gb', flavor.disk_gb, 'GiB of disk'),
    ):
        if need > free[name]:
            return f'{free[name]:.0f} of {need} {unit} are free'
    return None


FILTERS: tuple[Filter, ...] = (
    _not_excluded,
    _is_requested_host,
    _compute_is_up,
    _compute_is_enabled,
    _hypervisor_answers,
    _in_availability_zone,
    _supports_image,
    _can_receive_running_guest,
    _has_resources,
)


#: The filters of an operation that keeps the host and its claim.
_KEEP_FILTERS: tuple[Filter, ...] = (
    _compute_is_up,
    _hypervisor_answers,
    _supports_image,
)


def find_keep_refusal(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    """Return why the host of an instance cannot keep it, if it cannot."""
    return _find_refusal(_KEEP_FILTERS, candidate, required)


def find_refusal(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    """Return the reason of the first filter that a host does not pass."""
    return _find_refusal(FILTERS, candidate, required)


def _find_refusal(
    filters: tuple[Filter, ...],
    candidate: Candidate,
    required: HostRequirements,
) -> str | None:
    for check in filters:
        reason = check(candidate, required)
        if reason is not None:
            return reason
    return None


def free_resources(row: Host) -> dict[str, float]:
    """Return the resources of a host that can still be claimed."""
    memory = (
        row.memory_mb - row.reserved_memory_mb
    ) * row.ram_allocation_ratio
    disk = (row.disk_gb - row.reserved_disk_gb) * row.disk_allocation_ratio
    return {
        'vcpus': row.vcpus * row.cpu_allocation_ratio - row.vcpus_used,
        'memory_mb': memory - row.memory_mb_used,
        'disk_gb': disk - row.disk_gb_used,
    }
