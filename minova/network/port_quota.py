# SPDX-License-Identifier: Apache-2.0
"""How many ports a project may have, in all and in one shared network."""

import collections
from collections.abc import Sequence
import ipaddress

from minova import exception
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import ports
from minova.db.queries.networks import Network


def count_that_fits(
    connection: Connection,
    project_id: str,
    port_limit: int,
    nics: Sequence[Network],
    minimum: int,
    maximum: int,
) -> int:
    """Return how many servers with these nics fit, at most ``maximum``.

    The caller holds the lock of the project. Raises PortLimitExceeded or
    NetworkShareExceeded if fewer than ``minimum`` fit.
    """
    is_limited = port_limit >= 0 or any(map(_get_share, nics))
    if not nics or not is_limited:
        return maximum
    used = ports.count_for_project(connection, project_id)
    count = maximum
    if port_limit >= 0:
        total = sum(used.values())
        count = min(count, max(port_limit - total, 0) // len(nics))
        if count < minimum:
            raise exception.PortLimitExceeded(
                requested=minimum * len(nics), used=total, allowed=port_limit
            )
    each = collections.Counter(network.id for network in nics)
    for network in {one.id: one for one in nics}.values():
        share = _get_share(network)
        if share is None:
            continue
        own, wanted = used.get(network.id, 0), each[network.id]
        count = min(count, max(share - own, 0) // wanted)
        if count < minimum:
            raise exception.NetworkShareExceeded(
                network=network.name,
                requested=minimum * wanted,
                used=own,
                allowed=share,
            )
    return count


def pool_size(network: Network) -> int:
    """Return the number of addresses that can be allocated."""
    first, last = (
        ipaddress.ip_address(end)
        for end in (network.pool_first, network.pool_last)
    )
    size = int(last) - int(first) + 1
    gateway = network.gateway and ipaddress.ip_address(network.gateway)
    return size - bool(gateway and int(first) <= int(gateway) <= int(last))


def _get_share(network: Network) -> int | None:
    """Return the most addresses that one project may have, None: all."""
    percent: int = CONF.quota.shared_network_percent
    if network.project_id is not None or percent == 100:
        return None
    # Integers, because a pool of IPv6 exceeds the precision of floats.
    return max(1, -(-pool_size(network) * percent // 100))
