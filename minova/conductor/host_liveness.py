# SPDX-License-Identifier: Apache-2.0
"""Which hosts this conductor takes to be down.

The rule is ``engine.service_liveness``. A conductor that receives no messages
cannot tell, and takes no host to be down.
"""

from minova import exception
from minova.conf import CONF
from minova.db.queries.hosts import Service
from minova.engine import service_liveness
from minova.rpc import self_check


class HostLiveness(self_check.RpcSelfCheck):
    """A conductor's self-check, and the hosts that it finds to be down."""

    def down_reason(self, service: Service) -> str | None:
        """Return why a service is down, None when it is not known to be."""
        is_proven = service.forced_down or service.fenced_at is not None
        if self.reachable_span is None and not is_proven:
            return None
        return service_liveness.down_reason(service, self.reachable_span)

    def require_down(self, service: Service) -> None:
        """Raise Unavailable while the silence of a host is not known.

        The caller retries: the broker may be down, or this conductor young.
        """
        if self.down_reason(service) is None:
            raise exception.Unavailable(
                what=f'Host {service.host}',
                reason='this conductor has not observed its silence for '
                f'{CONF.conductor.service_down_time:g} s yet',
            )
