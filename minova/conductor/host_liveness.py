# SPDX-License-Identifier: Apache-2.0
"""Whose silence counts: only what this conductor was there to hear.

A host that is not heard of is down only if somebody listened: while the
broker is away, or when conductors have just been started, every host is
silent. So only the silence counts from when this conductor began to hear
until it last did.
"""

from minova import clock
from minova.conf import CONF
from minova.db.queries.hosts import Service
from minova.rpc import self_check


class HostLiveness(self_check.RpcSelfCheck):
    """A conductor's hearing, and what it says of the hosts."""

    def down_reason(self, service: Service) -> str | None:
        """Return why a service is taken to be down, None when it is not."""
        if service.forced_down:
            return 'it is forced down'
        if self.reachable_span is None:
            return None
        began, last = self.reachable_span
        unsure = clock.monotonic() - last
        silent = min(service.heartbeat_age - unsure, last - began)
        if silent <= CONF.conductor.service_down_time:
            return None
        since = f'{service.last_seen_at:%Y-%m-%d %H:%M:%S}'
        return f'nothing was heard of it since {since} UTC'
