# SPDX-License-Identifier: Apache-2.0
"""The filters of hosts: one set for every way to a host.

A create, a resize and a migration, with or without a requested host, and every
retry of them, pass the same filters. Each filter returns the reason why a host
is filtered out. ``placement_filters`` has those that an option enables.
"""

from collections.abc import Iterable
from typing import Final

from minova import exception
from minova.conductor import placement_filters
from minova.conductor.host_candidate import Candidate
from minova.conductor.host_candidate import Filter
from minova.conductor.host_candidate import HostRequirements
from minova.engine import placements
from minova.numa.fitting import Unfit
from minova.numa.placement import Placement

#: The units of Resources.
_UNITS: Final = (
    *('vcpus', 'MiB of memory', 'GiB of disk'),
    'dedicated CPUs ([compute] cpu_dedicated_set)',
)


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
    zone, own = required.zone, candidate.row.availability_zone
    if zone in (None, own):
        return None
    return f'it is in zone {own}, and zone {zone} is requested'


def _supports_image(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    needed = required.image_needs
    for supported in candidate.row.supported_instances:
        for value, own in zip(needed.values(), supported, strict=True):
            if value is not None and value != own:
                break
        else:
            return None
    wanted = [f'{name} {value}' for name, value in needed.items() if value]
    if not wanted:
        return None
    return f'it does not support the {" with ".join(wanted)} of the image'


def _has_traits(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    missing = [
        what
        for trait, what in required.traits.items()
        if trait not in candidate.row.traits
    ]
    return f'it has no {" and no ".join(missing)}' if missing else None


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


def _fits_server_group(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    if required.group is None:
        return None
    return required.group.find_refusal(candidate.row.host)


def _has_resources(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    needed = required.resources
    vcpus, memory_mb, disk_gb, pcpus = candidate.free
    if (
        needed.vcpus <= vcpus
        and needed.memory_mb <= memory_mb
        and needed.disk_gb <= disk_gb
        and needed.pcpus <= pcpus
    ):
        return None
    for need, free, unit in zip(needed, candidate.free, _UNITS, strict=True):
        if need > free:
            return f'{free:.0f} of {need} {unit} are free'
    return None


def _fits_numa_cells(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    if required.numa is None:
        return None
    others = [Placement.from_json(one.placement) for one in candidate.placed]
    found = placements.fit(candidate.row, others, required.numa)
    return found.reason if isinstance(found, Unfit) else None


FILTERS: Final[tuple[Filter, ...]] = (
    _not_excluded,
    _is_requested_host,
    _compute_is_up,
    _compute_is_enabled,
    _hypervisor_answers,
    _in_availability_zone,
    _supports_image,
    _has_traits,
    _can_receive_running_guest,
    _fits_server_group,
    _has_resources,
    _fits_numa_cells,
)


#: The filters of an operation that keeps the host and its claim.
_KEEP_FILTERS: Final[tuple[Filter, ...]] = (
    _compute_is_up,
    _hypervisor_answers,
    _supports_image,
    _has_traits,
)


def find_keep_refusal(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    """Return why the host of an instance cannot keep it, if it cannot."""
    return _find_first(_KEEP_FILTERS, candidate, required)


#: The filters that every host passes that is ready.
_OF_READY_HOSTS: Final = frozenset(
    {_compute_is_up, _compute_is_enabled, _hypervisor_answers}
)


class HostFilters:
    """The filters of one selection: those of every one, and enabled ones."""

    def __init__(self, required: HostRequirements) -> None:
        """Leave out what has no effect on the selection."""
        self._required = required
        unneeded = set()
        if required.requested_host is None:
            unneeded.add(_is_requested_host)
        if not required.excluded_hosts:
            unneeded.add(_not_excluded)
        if required.live_source is None:
            unneeded.add(_can_receive_running_guest)
        if required.group is None:
            unneeded.add(_fits_server_group)
        if required.numa is None:
            unneeded.add(_fits_numa_cells)
        if required.zone is None:
            unneeded.add(_in_availability_zone)
        if not any(required.image_needs.values()):
            unneeded.add(_supports_image)
        if not required.traits:
            unneeded.add(_has_traits)
        self._filters = [
            *(one for one in FILTERS if one not in unneeded),
            *placement_filters.prepare(required),
        ]
        self._filters_if_ready = [
            one for one in self._filters if one not in _OF_READY_HOSTS
        ]

    def find_refusal(self, candidate: Candidate) -> str | None:
        """Return the reason of the first filter that a host does not pass."""
        filters = (
            self._filters_if_ready if candidate.is_ready else self._filters
        )
        return _find_first(filters, candidate, self._required)


def _find_first(
    filters: Iterable[Filter], candidate: Candidate, required: HostRequirements
) -> str | None:
    for check in filters:
        reason = check(candidate, required)
        if reason is not None:
            return reason
    return None


def find_refusal(
    candidate: Candidate, required: HostRequirements
) -> str | None:
    """Return the reason why one host does not pass, None when it does."""
    return HostFilters(required).find_refusal(candidate)
