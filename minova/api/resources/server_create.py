# SPDX-License-Identifier: Apache-2.0
"""POST /servers: one server or several, in one transaction.

All refusals happen before the first write. A conductor selects the host after
the reply.
"""

from collections.abc import Sequence
import dataclasses
import re
import secrets
from typing import Final

from minova import clock
from minova import exception
from minova import network
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import boot_images
from minova.api.resources import flavor_lookup
from minova.api.resources import key_pairs
from minova.api.resources import requested_host
from minova.api.resources import requested_networks
from minova.api.resources import scheduler_hints
from minova.api.resources import server_groups
from minova.api.resources.requested_host import RequestedHost
from minova.api.schemas import servers as schemas
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instance_tags
from minova.db.queries import ports
from minova.engine import begin
from minova.images import Image
from minova.objects.flavor import Flavor
from minova.objects.operation_params import CreateParams
from minova.objects.request_spec import RequestSpec
from minova.quotas import checks

Server = Json

_RULE: Final = 'os_compute_api:servers:create'
_MAX_HOSTNAME_LENGTH: Final = 63


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What a body asks for, checked as far as it needs no transaction."""

    request: ApiRequest
    server: Server
    minimum: int
    maximum: int
    destination: RequestedHost
    spec: RequestSpec
    networks: Sequence[network.NetworkRequest] | None
    image: Image
    reservation: str

    def write(self, connection: Connection) -> list[begin.Begun]:
        """Begin to create as many servers as the quotas allow."""
        request, server = self.request, self.server
        flavor = boot_images.fit_flavor(
            request,
            self.image,
            flavor_lookup.get_usable(connection, request, server['flavorRef']),
        )
        requested_host.require_exists(connection, self.destination)
        key = key_pairs.fields_for_server(connection, request, server)
        nics = _allocate_within_quota(
            connection,
            request,
            flavor,
            self.networks,
            self.minimum,
            self.maximum,
        )
        group = server_groups.lock_for_create(
            connection, request, self.spec.group, len(nics)
        )
        begun = [
            self._begin_one(
                connection,
                flavor,
                key | nic | self._fields(number, len(nics)),
            )
            for number, nic in enumerate(nics)
        ]
        uuids = [one.instance.uuid for one in begun]
        server_groups.join(connection, request, group, uuids)
        tags = set(server.get('tags', []))
        instance_tags.add(connection, uuids, tags)
        return begun

    def _fields(self, number: int, count: int) -> dict[str, object]:
        return _instance_fields(self.server, self.image, number, count) | {
            'availability_zone': self.destination.zone,
            'request_spec': self.spec,
            'reservation_id': self.reservation,
        }

    def _begin_one(
        self,
        connection: Connection,
        flavor: Flavor,
        fields: dict[str, object],
    ) -> begin.Begun:
        request = self.request
        return begin.create(
            connection,
            request.context,
            begin.new_instance(request.context, flavor, **fields),
            request.backend.publisher_id,
            CreateParams(
                image_name=self.image.name or '',
                host=self.destination.node or self.destination.host,
            ),
        )


def create(request: ApiRequest) -> Document:
    """Begin to create the servers of a body."""
    plan = _make_plan(request)
    begun = ports.write_with_retry(request.database, plan.write)
    for one in begun:
        request.wake(one)
    if types.to_bool(plan.server.get('return_reservation_id', False)):
        return {'reservation_id': plan.reservation}
    return _make_response(request, plan.server, begun[0].instance.uuid)


def _make_plan(request: ApiRequest) -> _Plan:
    server = request.body['server']
    _refuse_unsupported(request.body)
    minimum, maximum = _server_counts(server)
    destination = requested_host.parse_requested_host(request, server)
    return _Plan(
        request,
        server,
        minimum,
        maximum,
        destination,
        scheduler_hints.make_request_spec(request.body, destination.zone),
        requested_networks.parse_networks(server, maximum),
        boot_images.get_bootable_image(request, _image_ref(server)),
        f'r-{clock.uuid4()[:8]}',
    )


def _make_response(request: ApiRequest, server: Server, uuid: str) -> Document:
    links = request.links.resource_links('servers', uuid)
    request.location = links[0]['href']
    return {
        'server': {
            'id': uuid,
            'links': links,
            'OS-DCF:diskConfig': _disk_config(server),
            'security_groups': [{'name': 'default'}],
            'adminPass': server.get('adminPass') or secrets.token_urlsafe(9),
        }
    }


# -- fields of the instance --------------------------------------------------


def _instance_fields(
    server: Server, image: Image, number: int, count: int
) -> dict[str, object]:
    name = server['name']
    if count > 1:
        name = f'{name}-{number + 1}'
    found = schemas.instance_changes(server) | boot_images.instance_fields(
        image
    )
    user_data = server.get('user_data')
    found |= {
        'display_name': name,
        'launch_index': number,
        'root_device_name': '/dev/vda',
        'metadata': server.get('metadata', {}),
        'user_data': user_data or None,
        'config_drive': types.to_bool(server.get('config_drive', False))
        or boot_images.needs_config_drive(image),
        'auto_disk_config': _disk_config(server) == 'AUTO',
    }
    # A server without a description has null, not its name.
    found.setdefault('display_description', None)
    found.setdefault('hostname', sanitize_hostname(name))
    return found


def sanitize_hostname(name: str) -> str:
    """Return the host name for a server's name.

    Lower-case letters, digits and hyphens: blanks, ``_`` and ``.`` become
    hyphens, other characters are removed.
    """
    plain = re.sub('[ _.]', '-', name).encode('ascii', 'ignore').decode()
    plain = re.sub('[^a-z0-9-]', '', plain.lower())
    return plain.strip('-')[:_MAX_HOSTNAME_LENGTH].rstrip('-') or 'server'


def _allocate_within_quota(
    connection: Connection,
    request: ApiRequest,
    flavor: Flavor,
    requested: Sequence[network.NetworkRequest] | None,
    minimum: int,
    maximum: int,
) -> list[dict[str, object]]:
    """Allocate ports for new servers; return the fields of each server.

    The servers are as many as the quotas allow, at most ``maximum``.
    """
    project = request.project
    quota = checks.ServerQuota(
        connection, project, request.context.user_id or ''
    )
    server = request.body['server']
    quota.require_metadata(len(server.get('metadata', {})))
    count = quota.count_that_fits(flavor, minimum, maximum)
    service = network.load()
    chosen = service.select(connection, project, requested)
    count = service.count_that_fits(
        connection, project, quota.ports, chosen, minimum, count
    )
    uuids = [clock.uuid4() for _ in range(count)]
    given = service.allocate(connection, project, chosen, uuids)
    return [
        {'uuid': uuid, 'network_info': nics}
        for uuid, nics in zip(uuids, given, strict=True)
    ]


def _disk_config(server: Server) -> str:
    return str(server.get('OS-DCF:diskConfig', 'MANUAL'))


def _server_counts(server: Server) -> tuple[int, int]:
    """Return the least and the greatest number of servers to create."""
    min_count, max_count = (
        types.to_int(server[name], types.integer_schema(1), f'server.{name}')
        if name in server
        else None
        for name in ('min_count', 'max_count')
    )
    if (
        min_count is not None
        and max_count is not None
        and min_count > max_count
    ):
        raise exception.InvalidInput('min_count must be <= max_count')
    minimum = min_count or 1
    maximum = max_count or minimum
    if maximum > CONF.api.max_servers_per_request:
        raise exception.InvalidInput(
            'Invalid input for field/attribute server.max_count: one request '
            f'creates at most {CONF.api.max_servers_per_request} servers; see '
            '[api] max_servers_per_request.'
        )
    if maximum > 1 and 'hostname' in server:
        raise exception.InvalidInput(
            f'{maximum} servers cannot have the same hostname; create one '
            'server at a time, or omit hostname.'
        )
    return minimum, maximum


def _image_ref(server: Server) -> str:
    """Return the id of the image, from imageRef or from the root disk."""
    image_ref = types.reference_id(server.get('imageRef') or '')
    disk = _root_disk(server.get('block_device_mapping_v2', []))
    if image_ref and disk and image_ref != disk:
        raise exception.InvalidInput(
            'imageRef and the image in block_device_mapping_v2 must be the '
            'same.'
        )
    if not (image_ref or disk):
        raise exception.InvalidInput(
            'Missing imageRef attribute: a server needs an image.'
        )
    return str(image_ref or disk)


# -- unsupported parts of a body ---------------------------------------------


def _refuse_unsupported(body: Json) -> None:
    server = body['server']
    groups = [group['name'] for group in server.get('security_groups', [])]
    refusals = (
        (
            any(name != 'default' for name in groups),
            'security_groups: Minova has the group "default" only.',
        ),
        (
            server.get('block_device_mapping'),
            'block_device_mapping: Minova does not support volumes.',
        ),
    )
    _refuse(refusals)
    refuse_unsupported_content(server, 'server')


def refuse_unsupported_content(server: Json, name: str) -> None:
    """Raise InvalidInput for unsupported content of a new root disk.

    ``name`` is that of ``server`` in the body: of a create or a rebuild.
    """
    user_data = ''.join((server.get('user_data') or '').split())
    _refuse(
        (
            (
                server.get('personality'),
                'personality: Minova does not inject files; use user_data.',
            ),
            (
                server.get('trusted_image_certificates'),
                (
                    'trusted_image_certificates: Minova does not verify '
                    'image signatures.'
                ),
            ),
            (
                len(user_data) % 4,
                f'{name}.user_data: must be complete base64.',
            ),
        )
    )


def _refuse(refusals: Sequence[tuple[object, str]]) -> None:
    for refused, text in refusals:
        if refused:
            raise exception.InvalidInput(
                f'Invalid input for field/attribute {text}'
            )


def _root_disk(disks: list[Json]) -> str | None:
    """Return the image of the root disk, the only supported disk."""
    found = None
    for disk in disks:
        local = (
            disk.get('source_type') == 'image'
            and disk.get('destination_type', 'local') == 'local'
            and str(disk.get('boot_index', 0)) == '0'
        )
        if not local or found is not None:
            raise exception.InvalidInput(
                'Invalid input for field/attribute block_device_mapping_v2: '
                'Minova supports a root disk from an image only: '
                '[{"boot_index": 0, "source_type": "image", '
                '"destination_type": "local", "uuid": IMAGE}]. '
                'Ephemeral disks and swap come with the flavor.'
            )
        found = disk.get('uuid') or disk.get('image_id')
    return found


ROUTES: Final = (
    Route('POST', '/servers', create, _RULE, 202, body=schemas.CREATE),
)
