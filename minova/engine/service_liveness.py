# SPDX-License-Identifier: Apache-2.0
"""When a service is down: the one rule.

A service is down when an operator has forced it down, when its host was fenced
and it has not registered since, or when its last heartbeat is older than
``[conductor] service_down_time`` by the clock of the database. The API, the
audit, minova-manage and the predictions of ``next_steps`` apply the rule as it
is. A conductor acts on it, so it counts only the silence that it was able to
observe: while the broker is down, and just after a conductor has started,
every host is silent.
"""

from minova import clock
from minova.conf import CONF
from minova.db.queries.hosts import Service

#: From when to when an observer received messages, by ``clock.monotonic``.
Span = tuple[float, float]


def is_up(service: Service) -> bool:
    """Tell whether a service can receive requests."""
    return down_reason(service) is None


def down_reason(service: Service, observed: Span | None = None) -> str | None:
    """Return why a service is down, None when it is up.

    With ``observed``, silence outside of it does not count.
    """
    if service.forced_down:
        return 'it is forced down'
    if service.fenced_at is not None:
        return f'it was fenced at {service.fenced_at:%Y-%m-%d %H:%M:%S} UTC'
    silence = service.heartbeat_age
    if observed is not None:
        began, last = observed
        unobserved = clock.monotonic() - last
        silence = min(silence - unobserved, last - began)
    if not is_silent(silence):
        return None
    return f'no heartbeat since {service.last_seen_at:%Y-%m-%d %H:%M:%S} UTC'


def disabled_reason(service: Service) -> str | None:
    """Return why a service gets no instances, None when it is enabled.

    A compute whose hypervisor cannot be used counts as disabled until the
    hypervisor answers again. An operator's reason comes first.
    """
    if service.disabled and service.disabled_reason:
        return service.disabled_reason
    if service.hypervisor_error is not None:
        return f'AUTO: {service.hypervisor_error}'
    return '' if service.disabled else None


def is_enabled(service: Service) -> bool:
    """Tell whether a service may get instances."""
    return disabled_reason(service) is None


def is_silent(heartbeat_age: float, down_time: float | None = None) -> bool:
    """Tell whether a heartbeat is too old, in seconds.

    ``down_time`` saves reading the option for each of many rows.
    """
    if down_time is None:
        down_time = CONF.conductor.service_down_time
    return heartbeat_age > down_time
