# SPDX-License-Identifier: Apache-2.0
"""Servers, at each microversion and for each kind of caller."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
import functools
import hashlib
import re
from typing import Final
from typing import Protocol
from typing import TypedDict

import orjson

from minova import states
from minova.api.views import Document
from minova.api.views import times
from minova.api.views.links import Links
from minova.db.queries.hosts import Service
from minova.engine import service_liveness
from minova.objects.request_spec import RequestSpec


class ServerRow(Protocol):
    """A row of ``server_queries``; its JSON columns are text.

    A row has the attributes of the columns that its query selects.
    """

    id: int
    uuid: str
    display_name: str
    display_description: str | None
    project_id: str
    user_id: str
    vm_state: str
    task_state: str | None
    power_state: int
    progress: int | None
    locked: bool
    locked_reason: str | None
    metadata: str
    tags: str
    server_group: str | None
    network_info: str
    request_spec: str
    image_meta: str
    flavor: str
    image_ref: str
    key_name: str | None
    config_drive: bool
    auto_disk_config: bool
    availability_zone: str | None
    access_ip_v4: str | None
    access_ip_v6: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime | None
    launched_at: datetime.datetime | None
    terminated_at: datetime.datetime | None
    # The host of the server and its names there.
    host: str | None
    node: str | None
    hostname: str | None
    reservation_id: str | None
    launch_index: int
    kernel_id: str | None
    ramdisk_id: str | None
    root_device_name: str | None
    user_data: str | None
    # The service of its host, and the database's time.
    now: datetime.datetime
    last_seen_at: datetime.datetime | None
    forced_down: bool
    fenced_at: datetime.datetime | None
    hypervisor_error: str | None
    disabled: bool


class Fault(TypedDict):
    """The latest fault of a server."""

    code: int
    created_at: datetime.datetime
    message: str


#: An address of a server in a reply.
Address = TypedDict(
    'Address',
    {
        'addr': str,
        'version': int,
        'OS-EXT-IPS:type': str,
        'OS-EXT-IPS-MAC:mac_addr': str,
    },
)


class _FlavorFields(TypedDict):
    """The flavor in the row of a server."""

    flavorid: str
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int
    swap_mb: int
    extra_specs: dict[str, str]


#: The statuses in which a server has a progress.
_PROGRESS_STATUSES: Final = frozenset(
    {'ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'}
)
#: The vm_states in which a server has a fault.
#: The version since which servers show their tags.
TAGS_SINCE: Final = 26
#: The version since which a server shows its group.
GROUPS_SINCE: Final = 71
FAULT_STATES: Final = frozenset({states.ERROR, states.DELETED})


@functools.lru_cache(maxsize=4096)
def host_id(project_id: str, host: str | None) -> str:
    """Return the hostId: different for each host, without its name."""
    if not host:
        return ''
    return hashlib.sha224((project_id + host).encode()).hexdigest()


@functools.lru_cache(maxsize=1024)
def _flavor(text: str) -> _FlavorFields:
    """Return the flavor of a row; many rows have the same text."""
    flavor: _FlavorFields = orjson.loads(text)
    return flavor


@functools.lru_cache(maxsize=256)
def _request_spec(text: str) -> RequestSpec:
    """Return the request spec of a row; many rows have the same text."""
    return RequestSpec.from_wire(orjson.loads(text))


def _scheduler_hints(spec: RequestSpec) -> Document:
    """Return the hints of a server's creation, each a list."""
    if spec.group is None:
        return dict(spec.scheduler_hints)
    return {'group': [spec.group], **spec.scheduler_hints}


@dataclasses.dataclass(frozen=True)
class ServerView:
    """The view of the servers in one reply.

    Parts that many servers share, such as images and flavors, are serialized
    once.
    """

    version: int
    links: Links
    #: Faults are complete.
    is_admin: bool = False
    #: Servers include their host.
    shows_host: bool = False
    #: ``service_down_time``, or None: servers have no host_status.
    down_time: float | None = None
    #: The services by host; None if the rows have these columns.
    services: Mapping[str, Service] | None = None
    shows_extra_specs: bool = True
    _cache: dict[str, orjson.Fragment] = dataclasses.field(
        default_factory=dict
    )

    def brief(self, row: ServerRow) -> Document:
        """Return the server for a list."""
        return {
            'id': row.uuid,
            'name': row.display_name,
            'links': self.links.resource_links('servers', row.uuid),
        }

    def update_response(self, row: ServerRow, fault: Fault | None) -> Document:
        """Return the server for the reply to an update."""
        if self.version >= 75:
            return self.detail(row, fault, groups=True)
        result = self._common(row, fault)
        result['addresses'] = plain_addresses(row)
        self._add_by_microversion(result, row, groups=True)
        return result

    def rebuild_response(
        self, row: ServerRow, fault: Fault | None, user_data: str | None
    ) -> Document:
        """Return the server for the reply to a rebuild."""
        result = self.update_response(row, fault)
        if self.version >= 54:
            result['key_name'] = row.key_name
        if self.version >= 57:
            result['user_data'] = user_data
        return result

    def detail(
        self, row: ServerRow, fault: Fault | None = None, groups: bool = False
    ) -> Document:
        """Return the server in full; lists omit the ``groups``."""
        result = self._common(row, fault)
        task_state = row.task_state
        result['OS-EXT-AZ:availability_zone'] = row.availability_zone or ''
        result['config_drive'] = 'True' if row.config_drive else ''
        result['key_name'] = row.key_name
        result['OS-SRV-USG:launched_at'] = times.strtime(row.launched_at)
        result['OS-SRV-USG:terminated_at'] = times.strtime(row.terminated_at)
        result['OS-EXT-STS:task_state'] = task_state
        result['OS-EXT-STS:vm_state'] = row.vm_state
        result['OS-EXT-STS:power_state'] = row.power_state
        result['os-extended-volumes:volumes_attached'] = []
        if self.shows_host:
            self._add_host(result, row)
        if self.down_time is not None and self.version >= 16:
            result['host_status'] = self._host_status(row, self.down_time)
        self._add_by_microversion(result, row, groups)
        return result

    def _common(self, row: ServerRow, fault: Fault | None) -> Document:
        status = states.api_status(row.vm_state, row.task_state)
        result: Document = {
            'id': row.uuid,
            'name': row.display_name,
            'status': status,
            'tenant_id': row.project_id,
            'user_id': row.user_id,
            'metadata': orjson.Fragment(row.metadata),
            'hostId': host_id(row.project_id, row.host),
            'image': self._get_image(row),
            'flavor': self._cached(row.flavor, self._flavor),
            'created': times.isotime(row.created_at),
            'updated': times.isotime(row.updated_at or row.created_at),
            'addresses': addresses_by_network(row),
            'accessIPv4': row.access_ip_v4 or '',
            'accessIPv6': row.access_ip_v6 or '',
            'links': self.links.resource_links('servers', row.uuid),
            'OS-DCF:diskConfig': 'AUTO' if row.auto_disk_config else 'MANUAL',
        }
        if status in _PROGRESS_STATUSES:
            result['progress'] = row.progress or 0
        if fault is not None and row.vm_state in FAULT_STATES:
            result['fault'] = self._fault(fault)
        return result

    def _cached(
        self, key: str, make: Callable[[str], Document | str]
    ) -> orjson.Fragment:
        made = self._cache.get(key)
        if made is None:
            made = self._cache[key] = orjson.Fragment(orjson.dumps(make(key)))
        return made

    def _get_image(self, row: ServerRow) -> orjson.Fragment:
        if self.version < 98 or not row.image_ref:
            return self._cached(row.image_ref, self._image)
        # Most servers of an image have the same copy of its properties.
        return self._cached(
            f'{row.image_ref} {row.image_meta}', self._image_with_properties
        )

    def _image_with_properties(self, key: str) -> Document:
        image_ref, _, properties = key.partition(' ')
        result = self._image(image_ref)
        assert isinstance(result, dict)
        return result | {'properties': orjson.Fragment(properties)}

    def _image(self, image_ref: str) -> Document | str:
        if not image_ref:
            return ''
        return {
            'id': image_ref,
            'links': self.links.bookmark_links('images', image_ref),
        }

    def _flavor(self, text: str) -> Document:
        flavor = _flavor(text)
        if self.version < 47:
            number = flavor['flavorid']
            return {
                'id': number,
                'links': self.links.bookmark_links('flavors', number),
            }
        result: Document = {
            'original_name': flavor['name'],
            'vcpus': flavor['vcpus'],
            'ram': flavor['memory_mb'],
            'disk': flavor['root_gb'],
            'ephemeral': flavor['ephemeral_gb'],
            'swap': flavor['swap_mb'],
        }
        if self.shows_extra_specs:
            result['extra_specs'] = flavor['extra_specs']
        return result

    def _fault(self, fault: Fault) -> Document:
        return {
            'code': fault['code'],
            'created': times.isotime(fault['created_at']),
            'message': redact_fault(fault['message'], self.is_admin),
        }

    def _add_host(self, result: Document, row: ServerRow) -> None:
        result['OS-EXT-SRV-ATTR:host'] = row.host
        result['OS-EXT-SRV-ATTR:hypervisor_hostname'] = row.node
        result['OS-EXT-SRV-ATTR:instance_name'] = f'instance-{row.id:08x}'
        if self.version >= 3:
            result['OS-EXT-SRV-ATTR:reservation_id'] = row.reservation_id
            result['OS-EXT-SRV-ATTR:launch_index'] = row.launch_index
            result['OS-EXT-SRV-ATTR:hostname'] = row.hostname
            result['OS-EXT-SRV-ATTR:kernel_id'] = row.kernel_id
            result['OS-EXT-SRV-ATTR:ramdisk_id'] = row.ramdisk_id
            result['OS-EXT-SRV-ATTR:root_device_name'] = row.root_device_name
            result['OS-EXT-SRV-ATTR:user_data'] = row.user_data

    def _host_status(self, row: ServerRow, down_time: float) -> str:
        """Return the state of the service on the server's host."""
        if row.host is None:
            return ''
        service = row if self.services is None else self.services.get(row.host)
        if service is None or service.last_seen_at is None:
            return ''
        if service.forced_down or service.fenced_at is not None:
            return 'DOWN'
        if service.disabled or service.hypervisor_error is not None:
            return 'MAINTENANCE'
        if isinstance(service, Service):
            silent = service.heartbeat_age
        else:
            silent = (row.now - service.last_seen_at).total_seconds()
        if service_liveness.is_silent(silent, down_time):
            return 'UNKNOWN'
        return 'UP'

    def _add_by_microversion(
        self, result: Document, row: ServerRow, groups: bool
    ) -> None:
        version = self.version
        if version >= 9:
            result['locked'] = row.locked
        if version >= 19:
            result['description'] = row.display_description
        if version >= TAGS_SINCE:
            result['tags'] = sorted(row.tags.split(',')) if row.tags else []
        if version >= 63:
            result['trusted_image_certificates'] = None
        if version >= GROUPS_SINCE and groups:
            result['server_groups'] = (
                [row.server_group] if row.server_group else []
            )
        if version >= 73:
            result['locked_reason'] = row.locked_reason
        if version >= 90:
            result['OS-EXT-SRV-ATTR:hostname'] = row.hostname
        if version >= 96:
            spec = _request_spec(row.request_spec)
            result['pinned_availability_zone'] = spec.availability_zone
            if version >= 100:
                result['scheduler_hints'] = _scheduler_hints(spec)


def addresses_by_network(row: ServerRow) -> dict[str, list[Address]]:
    """Return the addresses of a server by network."""
    found: dict[str, list[Address]] = {}
    if row.network_info == '[]':
        return found
    for nic in orjson.loads(row.network_info):
        found.setdefault(nic['label'], []).extend(
            {
                'addr': address['address'],
                'version': address['version'],
                'OS-EXT-IPS:type': address['type'],
                'OS-EXT-IPS-MAC:mac_addr': nic['mac'],
            }
            for address in nic['addresses']
        )
    return found


def plain_addresses(row: ServerRow) -> dict[str, list[Document]]:
    """Return the addresses of a server by network, without their ports."""
    return {
        network: [
            {'version': one['version'], 'addr': one['addr']} for one in found
        ]
        for network, found in addresses_by_network(row).items()
    }


#: The scheduler's error text continues with hosts and their reasons.
_NO_VALID_HOST: Final = 'There are not enough hosts available'


def redact(message: str, is_admin: bool) -> str:
    """Return the part of an error text that a caller may see.

    The names and the usage of hosts are for administrators.
    """
    head, found, _ = message.partition(_NO_VALID_HOST)
    return message if is_admin or not found else f'{head}{found}.'


#: Paths and URIs of a host, which begin a word.
_HOST_PATH: Final = re.compile(
    r'(?<![^\s\'"(=\[<])(?:[a-z][a-z0-9+.-]*:/)?/[^\s\'",;)\]>]+'
)


def redact_fault(message: str, is_admin: bool) -> str:
    """Return the part of the text of a failed operation that a caller may see.

    The texts of hypervisors and programs name files and addresses of hosts,
    which are for administrators.
    """
    message = redact(message, is_admin)
    return message if is_admin else _HOST_PATH.sub('(hidden)', message)
