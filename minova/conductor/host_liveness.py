# SPDX-License-Identifier: Apache-2.0
"""Which hosts this conductor takes to be down.

The rule is ``engine.service_liveness``. A conductor that receives no messages
cannot tell, and takes no host to be down.
"""

from minova.db.queries.hosts import Service
from minova.engine import service_liveness
from minova.rpc import self_check


class HostLiveness(self_check.RpcSelfCheck):
    """A conductor's self-check, and the hosts that it finds to be down."""

    def down_reason(self, service: Service) -> str | None:
        """Return why a service is down, None when it is not known to be."""
        if self.reachable_span is None and not service.forced_down:
            return None
        return service_liveness.down_reason(service, self.reachable_span)
