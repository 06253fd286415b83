# SPDX-License-Identifier: Apache-2.0
"""The weighers: which of the hosts that pass the filters is the best.

Each gives a host a number from -1 to 1, which its multiplier scales. The
metadata of an aggregate may set another multiplier for its hosts, under the
name of the option; the smallest wins when several aggregates do.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import Final

from minova.conductor.host_candidate import Candidate
from minova.conductor.host_candidate import HostRequirements
from minova.conf import CONF
from minova.db.queries import server_groups

#: Returns the raw weight of a host for a selection.
RawWeight = Callable[[Candidate, HostRequirements], float]


@dataclasses.dataclass(frozen=True)
class _Weigher:
    option: str
    weigh: RawWeight
    #: The policy of groups whose servers it is for; None: it is for all.
    policy: str | None = None


def _weigh_group(candidate: Candidate, required: HostRequirements) -> float:
    assert required.group is not None
    return required.group.weigh(candidate.row.host)


_WEIGHERS: Final = (
    _Weigher('ram_weight_multiplier', lambda one, required: one.free[1]),
    _Weigher('cpu_weight_multiplier', lambda one, required: one.free[0]),
    _Weigher('disk_weight_multiplier', lambda one, required: one.free[2]),
    _Weigher(
        'io_ops_weight_multiplier', lambda one, required: one.running_steps
    ),
    _Weigher(
        'soft_affinity_weight_multiplier',
        _weigh_group,
        server_groups.SOFT_AFFINITY,
    ),
    _Weigher(
        'soft_anti_affinity_weight_multiplier',
        _weigh_group,
        server_groups.SOFT_ANTI_AFFINITY,
    ),
)


def rank(
    candidates: Sequence[Candidate], required: HostRequirements
) -> list[Candidate]:
    """Return the hosts, the best first; equals in the order of names."""
    policy = required.group.group.policy if required.group else None
    totals = [0.0] * len(candidates)
    # Few hosts have multipliers of their own.
    special = [
        number for number, one in enumerate(candidates) if one.multipliers
    ]
    for weigher in _WEIGHERS:
        if weigher.policy in (None, policy):
            _add(totals, weigher, candidates, required, special)
    order = sorted(
        zip(totals, candidates, strict=True),
        key=lambda pair: (-pair[0], pair[1].row.host),
    )
    return [candidate for _, candidate in order]


def _add(
    totals: list[float],
    weigher: _Weigher,
    candidates: Sequence[Candidate],
    required: HostRequirements,
    special: Sequence[int],
) -> None:
    """Add the weights of one weigher to the totals.

    ``special`` are the places of hosts with multipliers of their own.
    """
    common: float = CONF.scheduler[weigher.option]
    own = {
        number: candidates[number].multipliers.get(weigher.option, common)
        for number in special
    }
    if not candidates or not (common or any(own.values())):
        return
    weigh = weigher.weigh
    weights = [weigh(one, required) for one in candidates]
    most = max(max(weights), -min(weights))
    if most <= 0:
        return
    factor = common / most
    for number, weight in enumerate(weights):
        totals[number] += factor * weight
    for number, multiplier in own.items():
        totals[number] += (multiplier - common) * weights[number] / most
