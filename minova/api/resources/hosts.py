# SPDX-License-Identifier: Apache-2.0
"""os-hosts, for clients that know neither services nor hypervisors.

Only before 2.43. A host is enabled and disabled; its maintenance mode and its
power are not Minova's.
"""

from collections.abc import Iterable
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import services
from minova.api.schemas import queries
from minova.api.schemas import services as schemas
from minova.api.schemas.queries import Param
from minova.api.views import Document
from minova.db.connections.engine import Connection
from minova.db.queries import host_usage
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Host
from minova.engine import service_liveness

_UNTIL: Final = 42
_LIST: Final = queries.QuerySchema({'zone': Param()})


def index(request: ApiRequest) -> Document:
    """List the services that are enabled, with the zones of their hosts."""
    found, zones = request.database.read(
        lambda connection: (
            hosts.list_services(connection),
            services.read_zones(connection),
        )
    )
    rows = [
        {
            'host_name': one.host,
            'service': one.binary.removeprefix('nova-'),
            'zone': zones.get(one.host, services.INTERNAL_ZONE)
            if one.binary == operations.COMPUTE_BINARY
            else services.INTERNAL_ZONE,
        }
        for one in found
        if service_liveness.is_enabled(one)
    ]
    zone = request.query.get('zone')
    return {'hosts': [row for row in rows if zone in (None, row['zone'])]}


def show(request: ApiRequest, host_name: str) -> Document:
    """Show the resources of a host: all, used, and used by project."""

    def read(
        connection: Connection,
    ) -> tuple[Host, list[host_usage.ProjectUsage]]:
        return (
            _require_host(connection, host_name),
            host_usage.list_by_project(connection, host_name),
        )

    host, usage = request.database.read(read)
    used = host.vcpus_used, host.memory_mb_used, host.disk_gb_used
    rows = [
        ('(total)', (host.vcpus, host.memory_mb, host.disk_gb)),
        ('(used_now)', used),
        ('(used_max)', used),
        *((one.project_id, one[1:]) for one in usage),
    ]
    return {'host': list(_resources(host_name, rows))}


def _resources(
    host_name: str, rows: Iterable[tuple[str, tuple[int, ...]]]
) -> Iterable[Document]:
    for project, (vcpus, memory_mb, disk_gb) in rows:
        yield {
            'resource': {
                'host': host_name,
                'project': project,
                'cpu': vcpus,
                'memory_mb': memory_mb,
                'disk_gb': disk_gb,
            }
        }


def _require_host(connection: Connection, host_name: str) -> Host:
    for host in hosts.list_hosts(connection, host_name):
        return host
    raise exception.HostNotFound(host=host_name[:64])


def update(request: ApiRequest, host_name: str) -> Document:
    """Enable or disable the compute service of a host."""
    if 'maintenance_mode' in request.body:
        raise exception.NotSupported(
            'Hosts have no maintenance mode. Disable the host, and migrate '
            'its servers.'
        )
    is_enabled = request.body['status'].strip().lower() == 'enable'

    def work(connection: Connection) -> None:
        _require_host(connection, host_name)
        for service in hosts.list_services(
            connection, operations.COMPUTE_BINARY, host_name
        ):
            hosts.update_service(
                connection,
                service.id,
                {'disabled': not is_enabled, 'disabled_reason': None},
            )

    request.database.write(work)
    return {
        'host': host_name,
        'status': 'enabled' if is_enabled else 'disabled',
    }


def change_power(request: ApiRequest, host_name: str) -> Document:
    """Refuse to start, stop or reboot the machine."""
    request.database.read(
        lambda connection: _require_host(connection, host_name)
    )
    raise exception.NotSupported(
        'Minova does not change the power of hosts. Use the management '
        'interface of the machine.'
    )


_RULE: Final = 'os_compute_api:os-hosts'
_ALL: Final = '/os-hosts'
_ONE: Final = f'{_ALL}/{{host_name}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:list', query=_LIST, until=_UNTIL),
    Route('GET', _ONE, show, f'{_RULE}:show', until=_UNTIL),
    Route(
        'PUT',
        _ONE,
        update,
        f'{_RULE}:update',
        body=schemas.UPDATE_HOST,
        until=_UNTIL,
    ),
    *(
        Route(
            'GET',
            f'{_ONE}/{action}',
            change_power,
            f'{_RULE}:{rule}',
            until=_UNTIL,
        )
        for action, rule in (
            ('startup', 'start'),
            ('shutdown', 'shutdown'),
            ('reboot', 'reboot'),
        )
    ),
)
