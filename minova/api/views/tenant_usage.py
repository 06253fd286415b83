# SPDX-License-Identifier: Apache-2.0
"""The usage of projects: hours of servers, and of what their flavors have."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
import itertools
import math
import operator

from minova.api.views import Document
from minova.api.views import times
from minova.db.queries.tenant_usage import UsedServer

_HOUR = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Period:
    """The period of a usage, and the current time."""

    begin: datetime.datetime
    end: datetime.datetime
    now: datetime.datetime

    def count_hours(self, server: UsedServer) -> float:
        """Return for how many hours of the period a server existed."""
        begin = max(server.launched_at, self.begin)
        end = min(server.terminated_at or self.end, self.end)
        return max((end - begin) / _HOUR, 0.0)


def by_project(
    servers: Iterable[UsedServer], period: Period, is_detailed: bool
) -> list[Document]:
    """Return the usage of each project; ``servers`` are in their order."""
    return [
        _project(project_id, list(own), period, is_detailed)
        for project_id, own in itertools.groupby(
            servers, key=lambda server: server.project_id
        )
    ]


def _project(
    project_id: str,
    servers: Sequence[UsedServer],
    period: Period,
    is_detailed: bool,
) -> Document:
    hours = [period.count_hours(server) for server in servers]

    def total(count: Callable[[UsedServer], int]) -> float:
        return math.fsum(map(operator.mul, map(count, servers), hours))

    usage: Document = {
        'tenant_id': project_id,
        'start': times.strtime(period.begin),
        'stop': times.strtime(period.end),
        'total_hours': math.fsum(hours),
        'total_vcpus_usage': total(lambda one: one.flavor['vcpus']),
        'total_memory_mb_usage': total(lambda one: one.flavor['memory_mb']),
        'total_local_gb_usage': total(_local_gb),
    }
    if is_detailed:
        usage['server_usages'] = [
            _server(server, spent, period.now)
            for server, spent in zip(servers, hours, strict=True)
        ]
    return usage


def _local_gb(server: UsedServer) -> int:
    root: int = server.flavor['root_gb']
    ephemeral: int = server.flavor['ephemeral_gb']
    return root + ephemeral


def _server(
    server: UsedServer, hours: float, now: datetime.datetime
) -> Document:
    ended = server.terminated_at
    uptime = (ended or now) - server.launched_at
    return {
        'instance_id': server.uuid,
        'name': server.display_name,
        'tenant_id': server.project_id,
        'flavor': server.flavor['name'],
        'vcpus': server.flavor['vcpus'],
        'memory_mb': server.flavor['memory_mb'],
        'local_gb': _local_gb(server),
        'hours': hours,
        'uptime': int(uptime.total_seconds()),
        'started_at': times.strtime(server.launched_at),
        'ended_at': times.strtime(ended),
        'state': server.vm_state if ended is None else 'terminated',
    }
