# SPDX-License-Identifier: Apache-2.0
"""The filters that ``[scheduler] enabled_filters`` enables, by Nova's names.

Each has an effect only where its data is: in scheduler hints, in the extra
specs of a flavor, in the metadata of aggregates. ``prepare`` returns the
filters that one selection needs, so that the others cost nothing.
"""

from collections.abc import Callable
from collections.abc import Iterable
import ipaddress
from typing import Final

from minova.conductor import host_query
from minova.conductor import spec_operators
from minova.conductor.host_candidate import Candidate
from minova.conductor.host_candidate import Filter
from minova.conductor.host_candidate import HostRequirements
from minova.conf import CONF
from minova.objects.request_spec import DIFFERENT_HOST
from minova.objects.request_spec import NEAR_HOST_CIDR
from minova.objects.request_spec import NEAR_HOST_IP
from minova.objects.request_spec import QUERY
from minova.objects.request_spec import SAME_HOST

#: Returns the filter of a selection, None when it has no effect there.
Prepare = Callable[[HostRequirements], Filter | None]

_AGGREGATE_SCOPE: Final = 'aggregate_instance_extra_specs:'
_CAPABILITY_SCOPE: Final = 'capabilities:'
_TENANT_KEY: Final = 'filter_tenant_id'
_DEFAULT_CIDR: Final = '/24'


def _different_host(required: HostRequirements) -> Filter | None:
    excluded = required.hint_hosts.get(DIFFERENT_HOST)
    if not excluded:
        return None

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        if candidate.row.host not in excluded:
            return None
        return f'it has a server that the hint {DIFFERENT_HOST} names'

    return check


def _same_host(required: HostRequirements) -> Filter | None:
    if SAME_HOST not in required.hint_hosts:
        return None
    allowed = required.hint_hosts[SAME_HOST]

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        if candidate.row.host in allowed:
            return None
        return f'it has no server that the hint {SAME_HOST} names'

    return check


def _near_host(required: HostRequirements) -> Filter | None:
    hints = required.hints
    if NEAR_HOST_IP not in hints:
        return None
    (address,) = hints[NEAR_HOST_IP]
    length = hints.get(NEAR_HOST_CIDR, [_DEFAULT_CIDR])[0]
    try:
        network = ipaddress.ip_network(f'{address}{length}', strict=False)
    except ValueError:
        # Of a hint that an older release has accepted.
        return lambda candidate, required: (
            f'{address}{length} is not a network'
        )

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        try:
            if ipaddress.ip_address(candidate.row.address) in network:
                return None
        except ValueError:
            return f'its address {candidate.row.address} is a name'
        return f'its address {candidate.row.address} is not in {network}'

    return check


def _json(required: HostRequirements) -> Filter | None:
    if QUERY not in required.hints:
        return None
    (text,) = required.hints[QUERY]
    matches = host_query.parse(text)

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        if matches(candidate.facts):
            return None
        return 'it does not match the hint query'

    return check


def _aggregate_extra_specs(required: HostRequirements) -> Filter | None:
    wanted = _scoped(required, _AGGREGATE_SCOPE)
    if not wanted:
        return None

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        for key, value in wanted.items():
            given = candidate.aggregate_values(key)
            if not any(spec_operators.match(one, value) for one in given):
                shown = ', '.join(sorted(given)) or 'nothing'
                return (
                    f'its aggregates set {key} to {shown}, and the flavor '
                    f'requires {value}'
                )
        return None

    return check


def _compute_capabilities(required: HostRequirements) -> Filter | None:
    wanted = _scoped(required, _CAPABILITY_SCOPE)
    if not wanted:
        return None

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        for path, value in wanted.items():
            found = _find_capability(candidate.facts, path)
            if not any(spec_operators.match(one, value) for one in found):
                shown = ', '.join(found) or 'nothing'
                return (
                    f'its capability {path} is {shown[:200]}, and the flavor '
                    f'requires {value}'
                )
        return None

    return check


def _find_capability(facts: object, path: str) -> list[str]:
    """Return the values at a path with colons: one, or those of a list."""
    for name in path.split(':'):
        if not isinstance(facts, dict) or name not in facts:
            return []
        facts = facts[name]
    values: Iterable[object] = facts if isinstance(facts, list) else [facts]
    return [str(value) for value in values if not isinstance(value, dict)]


def _scoped(required: HostRequirements, scope: str) -> dict[str, str]:
    return {
        key.removeprefix(scope): value
        for key, value in required.flavor.extra_specs.items()
        if key.startswith(scope)
    }


def _image_isolation(required: HostRequirements) -> Filter | None:
    options = CONF.scheduler
    prefix = ''
    if options.aggregate_image_properties_isolation_namespace:
        prefix = (
            options.aggregate_image_properties_isolation_namespace
            + options.aggregate_image_properties_isolation_separator
        )
    properties = required.instance.image_meta

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        for key in candidate.aggregate_keys:
            value = properties.get(key)
            if value is None or not key.startswith(prefix):
                continue
            allowed = candidate.aggregate_values(key)
            if value not in allowed:
                return (
                    f'its aggregates are for images with {key} '
                    f'{", ".join(sorted(allowed))}, and the image has {value}'
                )
        return None

    return check


def _multi_tenancy(required: HostRequirements) -> Filter | None:
    project = required.instance.project_id

    def check(candidate: Candidate, required: HostRequirements) -> str | None:
        projects = [
            value
            for key in candidate.aggregate_keys
            if key.startswith(_TENANT_KEY)
            for value in candidate.aggregate_values(key)
        ]
        if not projects or project in projects:
            return None
        return 'its aggregates are for other projects'

    return check


#: In the order of checks.
BY_NAME: Final[dict[str, Prepare]] = {
    'AggregateMultiTenancyIsolation': _multi_tenancy,
    'AggregateInstanceExtraSpecsFilter': _aggregate_extra_specs,
    'AggregateImagePropertiesIsolation': _image_isolation,
    'ComputeCapabilitiesFilter': _compute_capabilities,
    'SameHostFilter': _same_host,
    'DifferentHostFilter': _different_host,
    'SimpleCIDRAffinityFilter': _near_host,
    'JsonFilter': _json,
}


def prepare(required: HostRequirements) -> list[Filter]:
    """Return the enabled filters that have an effect on a selection."""
    enabled = CONF.scheduler.enabled_filters
    prepared = (
        make(required) for name, make in BY_NAME.items() if name in enabled
    )
    return [check for check in prepared if check is not None]
