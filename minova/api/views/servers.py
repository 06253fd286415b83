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

#: A row of ``db.listings``: what is JSON in there is text.
Row = Any
Shown = dict[str, Any]

#: In these a server shows how far it is.
_PROGRESSING: Final = frozenset(
    {'ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'}
)
#: In these it shows what went wrong.
FAULTY: Final = frozenset({states.ERROR, states.DELETED})


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
class View:
    """How servers are shown in one reply.

    What many servers of a reply have in common, an image or a flavor, is
    made once.
    """

    version: int
    links: Links
    #: The caller sees faults in full.
    admin: bool = False
    #: The caller sees where a server is.
    placed: bool = False
    #: ``service_down_time``, if the state of a server's host is seen.
    down_time: float | None = None
    #: The services by host; without it the rows say what there is to say.
    services: Mapping[str, Any] | None = None
    extra_specs: bool = True
    _made: dict[str, Any] = dataclasses.field(default_factory=dict)

    def brief(self, row: Row) -> Shown:
        """Return what a plain list shows."""
        return {
            'id': row.uuid,
            'name': row.display_name,
            'links': self.links.to('servers', row.uuid),
        }

    def updated(self, row: Row, fault: Shown | None) -> Shown:
        """Return what the reply to a change shows."""
        if self.version >= 75:
            return self.detail(row, fault, groups=True)
        shown = self._common(row, fault)
        self._add_newer(shown, row, groups=True)
        return shown

    def detail(
        self, row: Row, fault: Shown | None = None, groups: bool = False
    ) -> Shown:
        """Return all that is seen of a server.

        A list leaves the ``groups`` out.
        """
        shown = self._common(row, fault)
        task_state = row.task_state
        shown['OS-EXT-AZ:availability_zone'] = row.availability_zone or ''
        shown['config_drive'] = 'True' if row.config_drive else ''
        shown['key_name'] = row.key_name
        shown['OS-SRV-USG:launched_at'] = times.plain(row.launched_at)
        shown['OS-SRV-USG:terminated_at'] = times.plain(row.terminated_at)
        shown['OS-EXT-STS:task_state'] = task_state
        shown['OS-EXT-STS:vm_state'] = row.vm_state
        shown['OS-EXT-STS:power_state'] = row.power_state
        shown['os-extended-volumes:volumes_attached'] = []
        if self.placed:
            self._add_place(shown, row)
        if self.down_time is not None and self.version >= 16:
            shown['host_status'] = self._host_status(row, self.down_time)
        self._add_newer(shown, row, groups)
        return shown

    def _common(self, row: Row, fault: Shown | None) -> Shown:
        status = states.status(row.vm_state, row.task_state)
        shown = {
            'id': row.uuid,
            'name': row.display_name,
            'status': status,
            'tenant_id': row.project_id,
            'user_id': row.user_id,
            'metadata': orjson.Fragment(row.metadata),
            'hostId': host_id(row.project_id, row.host),
            'image': self._once(row.image_ref, self._image),
            'flavor': self._once(row.flavor, self._flavor),
            'created': times.stamp(row.created_at),
            'updated': times.stamp(row.updated_at or row.created_at),
            'addresses': addresses(row),
            'accessIPv4': row.access_ip_v4 or '',
            'accessIPv6': row.access_ip_v6 or '',
            'links': self.links.to('servers', row.uuid),
            'OS-DCF:diskConfig': 'AUTO' if row.auto_disk_config else 'MANUAL',
        }
        if status in _PROGRESSING:
            shown['progress'] = row.progress or 0
        if fault is not None and row.vm_state in FAULTY:
            shown['fault'] = self._fault(fault)
        return shown

    def _once(self, key: str, make: Callable[[str], Any]) -> Any:
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = orjson.Fragment(orjson.dumps(make(key)))
        return made

    def _image(self, image_ref: str) -> Shown | str:
        if not image_ref:
            return ''
        return {
            'id': image_ref,
            'links': self.links.bookmark('images', image_ref),
        }

    def _flavor(self, text: str) -> Shown:
        flavor = _flavor(text)
        if self.version < 47:
            number = flavor['flavorid']
            return {
                'id': number,
                'links': self.links.bookmark('flavors', number),
            }
        shown = {
            'original_name': flavor['name'],
            'vcpus': flavor['vcpus'],
            'ram': flavor['memory_mb'],
            'disk': flavor['root_gb'],
            'ephemeral': flavor['ephemeral_gb'],
            'swap': flavor['swap_mb'],
        }
        if self.extra_specs:
            shown['extra_specs'] = flavor['extra_specs']
        return shown

    def _fault(self, fault: Mapping[str, Any]) -> Shown:
        return {
            'code': fault['code'],
            'created': times.stamp(fault['created_at']),
            'message': seen(fault['message'], self.admin),
        }

    def _add_place(self, shown: Shown, row: Row) -> None:
        shown['OS-EXT-SRV-ATTR:host'] = row.host
        shown['OS-EXT-SRV-ATTR:hypervisor_hostname'] = row.node
        shown['OS-EXT-SRV-ATTR:instance_name'] = f'instance-{row.id:08x}'
        if self.version >= 3:
            shown['OS-EXT-SRV-ATTR:reservation_id'] = row.reservation_id
            shown['OS-EXT-SRV-ATTR:launch_index'] = row.launch_index
            shown['OS-EXT-SRV-ATTR:hostname'] = row.hostname
            shown['OS-EXT-SRV-ATTR:kernel_id'] = row.kernel_id
            shown['OS-EXT-SRV-ATTR:ramdisk_id'] = row.ramdisk_id
            shown['OS-EXT-SRV-ATTR:root_device_name'] = row.root_device_name
            shown['OS-EXT-SRV-ATTR:user_data'] = row.user_data

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
            silent = service.silent
        return 'UP' if silent <= down_time else 'UNKNOWN'

    def _add_newer(self, shown: Shown, row: Row, groups: bool) -> None:
        version = self.version
        if version >= 9:
            shown['locked'] = row.locked
        if version >= 19:
            shown['description'] = row.display_description
        if version >= 26:
            shown['tags'] = orjson.Fragment(row.tags)
        if version >= 63:
            shown['trusted_image_certificates'] = None
        if version >= 71 and groups:
            shown['server_groups'] = []
        if version >= 73:
            shown['locked_reason'] = row.locked_reason


def addresses(row: Row) -> Shown:
    """Return the addresses of a server by network."""
    found: Shown = {}
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
_NOT_ENOUGH: Final = 'There are not enough hosts available'


def seen(message: str, admin: bool) -> str:
    """Return what a caller sees of a failure's text.

    Which hosts there are and how full they are is for administrators.
    """
    head, found, _ = message.partition(_NOT_ENOUGH)
    return message if admin or not found else f'{head}{found}.'
