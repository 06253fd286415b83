# SPDX-License-Identifier: Apache-2.0
"""How a server is shown, at each microversion and to each kind of caller."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import hashlib
from typing import Any
from typing import Final

import orjson

from minova import states
from minova.api.views import times
from minova.api.views.links import Links
from minova.engine import service_liveness

#: A row of ``db.listings``: what is JSON in there is text.
Row = Any
Document = dict[str, Any]

#: In these a server shows how far it is.
_PROGRESS_STATUSES: Final = frozenset(
    {'ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'}
)
#: In these it shows what went wrong.
FAULT_STATES: Final = frozenset({states.ERROR, states.DELETED})


@functools.lru_cache(maxsize=4096)
def host_id(project_id: str, host: str | None) -> str:
    """Return what tells a project its hosts apart without naming them."""
    if not host:
        return ''
    return hashlib.sha224((project_id + host).encode()).hexdigest()


@functools.lru_cache(maxsize=1024)
def _flavor(text: str) -> Mapping[str, Any]:
    """Return the flavor in a row; most rows have the same few."""
    flavor: Mapping[str, Any] = orjson.loads(text)
    return flavor


@dataclasses.dataclass(frozen=True)
class ServerView:
    """How servers are shown in one reply.

    What many servers of a reply have in common, an image or a flavor, is
    made once.
    """

    version: int
    links: Links
    #: The caller sees faults in full.
    is_admin: bool = False
    #: The caller sees where a server is.
    shows_host: bool = False
    #: ``service_down_time``, if the state of a server's host is seen.
    down_time: float | None = None
    #: The services by host; without it the rows say what there is to say.
    services: Mapping[str, Any] | None = None
    shows_extra_specs: bool = True
    _cache: dict[str, Any] = dataclasses.field(default_factory=dict)

    def brief(self, row: Row) -> Document:
        """Return what a plain list shows."""
        return {
            'id': row.uuid,
            'name': row.display_name,
            'links': self.links.resource_links('servers', row.uuid),
        }

    def update_response(self, row: Row, fault: Document | None) -> Document:
        """Return what the reply to a change shows."""
        if self.version >= 75:
            return self.detail(row, fault, groups=True)
        result = self._common(row, fault)
        self._add_by_microversion(result, row, groups=True)
        return result

    def detail(
        self, row: Row, fault: Document | None = None, groups: bool = False
    ) -> Document:
        """Return all that is seen of a server.

        A list leaves the ``groups`` out.
        """
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

    def _common(self, row: Row, fault: Document | None) -> Document:
        status = states.api_status(row.vm_state, row.task_state)
        result = {
            'id': row.uuid,
            'name': row.display_name,
            'status': status,
            'tenant_id': row.project_id,
            'user_id': row.user_id,
            'metadata': orjson.Fragment(row.metadata),
            'hostId': host_id(row.project_id, row.host),
            'image': self._cached(row.image_ref, self._image),
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

    def _cached(self, key: str, make: Callable[[str], Any]) -> Any:
        made = self._cache.get(key)
        if made is None:
            made = self._cache[key] = orjson.Fragment(orjson.dumps(make(key)))
        return made

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
        result = {
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

    def _fault(self, fault: Mapping[str, Any]) -> Document:
        return {
            'code': fault['code'],
            'created': times.isotime(fault['created_at']),
            'message': redact(fault['message'], self.is_admin),
        }

    def _add_host(self, result: Document, row: Row) -> None:
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

    def _host_status(self, row: Row, down_time: float) -> str:
        """Return in what state the service on a server's host is."""
        if row.host is None:
            return ''
        service = row if self.services is None else self.services.get(row.host)
        if service is None or service.last_seen_at is None:
            return ''
        if service.forced_down:
            return 'DOWN'
        if service.disabled:
            return 'MAINTENANCE'
        if self.services is None:
            silent = (row.now - row.last_seen_at).total_seconds()
        else:
            silent = service.heartbeat_age
        if service_liveness.is_silent(silent, down_time):
            return 'UNKNOWN'
        return 'UP'

    def _add_by_microversion(
        self, result: Document, row: Row, groups: bool
    ) -> None:
        version = self.version
        if version >= 9:
            result['locked'] = row.locked
        if version >= 19:
            result['description'] = row.display_description
        if version >= 26:
            result['tags'] = orjson.Fragment(row.tags)
        if version >= 63:
            result['trusted_image_certificates'] = None
        if version >= 71 and groups:
            result['server_groups'] = []
        if version >= 73:
            result['locked_reason'] = row.locked_reason


def addresses_by_network(row: Row) -> Document:
    """Return the addresses of a server by network."""
    found: Document = {}
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


#: After this a scheduler's refusal lists the hosts and what they lack.
_NO_VALID_HOST: Final = 'There are not enough hosts available'


def redact(message: str, is_admin: bool) -> str:
    """Return what a caller sees of a failure's text.

    Which hosts there are and how full they are is for administrators.
    """
    head, found, _ = message.partition(_NO_VALID_HOST)
    return message if is_admin or not found else f'{head}{found}.'
