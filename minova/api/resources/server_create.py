# SPDX-License-Identifier: Apache-2.0
"""POST /servers: one server or several, all of them or none.

Everything that can be refused is refused before anything is written. Hints
for the scheduler (``same_host``, ``different_host``, ``query``,
``build_near_host_ip``, ``different_cell``, ``target_cell``, ``reservation``)
are accepted and have no effect. Which host takes the servers is decided
after the reply.
"""

from collections.abc import Sequence
import re
import secrets
from typing import Any
from typing import Final

from minova import clock
from minova import exception
from minova import network
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import boot_images
from minova.api.resources import flavor_lookup
from minova.api.resources import key_pairs
from minova.api.resources import quotas
from minova.api.resources import requested_host
from minova.api.resources import requested_networks
from minova.api.schemas import servers as schemas
from minova.api.schemas import types
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import ports
from minova.engine import begin
from minova.images import Image
from minova.objects.operation_params import CreateParams

Server = dict[str, Any]

_RULE: Final = 'os_compute_api:servers:create'
_MAX_HOSTNAME_LENGTH: Final = 63


def create(request: ApiRequest) -> Any:
    """Begin to make what the body describes."""
    server = request.body['server']
    project = request.project
    _refuse_unsupported(request.body)
    count = _server_count(server)
    destination = requested_host.parse_requested_host(request, server)
    requested = requested_networks.parse_networks(server, count)
    quotas.require_metadata(len(server.get('metadata', {})))
    image = boot_images.get_bootable_image(request, _image_ref(server))
    quotas.prepare_lock(request.database, project)
    reservation = f'r-{clock.uuid4()[:8]}'

    def work(connection: Connection) -> list[begin.Begun]:
        flavor = flavor_lookup.get_usable(
            connection, request, str(server['flavorRef'])
        )
        boot_images.require_image_fits(image, flavor)
        requested_host.require_exists(connection, destination)
        quotas.require_available(connection, project, [flavor] * count)
        key = key_pairs.fields_for_server(connection, request, server)
        nics = _allocate_networks(connection, project, requested, count)
        params = CreateParams(
            image_name=image.name or '',
            host=destination.node or destination.host,
            availability_zone=destination.zone,
        )
        return [
            begin.create(
                connection,
                request.context,
                begin.new_instance(
                    request.context,
                    flavor,
                    **_instance_fields(server, image, number, count),
                    **nics[number],
                    reservation_id=reservation,
                    availability_zone=destination.zone,
                    **key,
                ),
                request.backend.publisher_id,
                params,
            )
            for number in range(count)
        ]

    begun = ports.write_with_retry(request.database, work)
    for one in begun:
        request.wake(one)
    if types.to_bool(server.get('return_reservation_id', False)):
        return {'reservation_id': reservation}
    return _make_response(request, server, begun[0].instance.uuid)


def _make_response(request: ApiRequest, server: Server, uuid: str) -> Any:
    links = request.links.resource_links('servers', uuid)
    request.headers['Location'] = links[0]['href']
    return {
        'server': {
            'id': uuid,
            'links': links,
            'OS-DCF:diskConfig': _disk_config(server),
            'security_groups': [{'name': 'default'}],
            'adminPass': server.get('adminPass') or secrets.token_urlsafe(9),
        }
    }


# -- what the instance is ----------------------------------------------------


def _instance_fields(
    server: Server, image: Image, number: int, count: int
) -> dict[str, Any]:
    name = server['name']
    if count > 1:
        name = f'{name}-{number + 1}'
    found = schemas.instance_changes(server) | boot_images.instance_fields(
        image
    )
    user_data = server.get('user_data')
    found |= {
        'display_name': name,
        'hostname': sanitize_hostname(name),
        'launch_index': number,
        'root_device_name': '/dev/vda',
        'metadata': server.get('metadata', {}),
        'tags': _deduplicate(server.get('tags', [])),
        'user_data': user_data or None,
        'config_drive': types.to_bool(server.get('config_drive', False))
        or boot_images.needs_config_drive(image),
        'auto_disk_config': _disk_config(server) == 'AUTO',
    }
    # What the user calls nothing is called like the server.
    found.setdefault('display_description', None)
    return found


def sanitize_hostname(name: str) -> str:
    """Return the host name that is made of a server's name.

    Letters, digits and hyphens, in lower case: blanks, ``_`` and ``.`` become
    hyphens, everything else is left out.
    """
    plain = re.sub('[ _.]', '-', name).encode('ascii', 'ignore').decode()
    plain = re.sub('[^a-z0-9-]', '', plain.lower())
    return plain.strip('-')[:_MAX_HOSTNAME_LENGTH].rstrip('-') or 'server'


def _allocate_networks(
    connection: Connection,
    project: str,
    requested: Sequence[network.NetworkRequest] | None,
    count: int,
) -> list[dict[str, Any]]:
    """Give ports to servers that are to be; return the fields of each."""
    service = network.load()
    chosen = service.select(connection, project, requested)
    uuids = [clock.uuid4() for _ in range(count)]
    given = service.allocate(connection, chosen, uuids)
    return [
        {'uuid': uuid, 'network_info': nics}
        for uuid, nics in zip(uuids, given, strict=True)
    ]


def _disk_config(server: Server) -> str:
    return str(server.get('OS-DCF:diskConfig', 'MANUAL'))


def _deduplicate(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _server_count(server: Server) -> int:
    """Return how many servers are wanted: as many as may be."""
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
    count = max_count or min_count or 1
    if count > CONF.api.max_servers_per_request:
        raise exception.InvalidInput(
            'Invalid input for field/attribute server.max_count: at most '
            f'{CONF.api.max_servers_per_request} servers are created with '
            'one request.'
        )
    return count


def _image_ref(server: Server) -> str:
    """Return the image's id, from the reference or from the one disk."""
    image_ref = server.get('imageRef') or ''
    disk = _root_disk(server.get('block_device_mapping_v2', []))
    if image_ref and disk and image_ref != disk:
        raise exception.InvalidInput(
            'imageRef and the image in block_device_mapping_v2 must be the '
            'same.'
        )
    if not (image_ref or disk):
        raise exception.InvalidInput(
            'Invalid imageRef provided: a server is made from an image here.'
        )
    return str(image_ref or disk)


# -- what is not offered -----------------------------------------------------


def _refuse_unsupported(body: dict[str, Any]) -> None:
    server = body['server']
    hints = body.get('os:scheduler_hints') or {}
    hints = hints | (body.get('OS-SCH-HNT:scheduler_hints') or {})
    groups = [group['name'] for group in server.get('security_groups', [])]
    user_data = ''.join(server.get('user_data', '').split())
    refusals = (
        (
            any(name != 'default' for name in groups),
            'security_groups: there is only "default" in this release.',
        ),
        (
            server.get('personality'),
            'personality: files are not injected; user_data can write them.',
        ),
        (
            server.get('block_device_mapping'),
            'block_device_mapping: volumes are not offered in this release.',
        ),
        (
            server.get('trusted_image_certificates'),
            (
                'trusted_image_certificates: signatures of images are not '
                'checked in this release.'
            ),
        ),
        (
            'group' in hints,
            (
                'os:scheduler_hints.group: server groups are not offered in '
                'this release.'
            ),
        ),
        (
            len(user_data) % 4,
            'server.user_data: must be complete base64.',
        ),
    )
    for refused, text in refusals:
        if refused:
            raise exception.InvalidInput(
                f'Invalid input for field/attribute {text}'
            )


def _root_disk(disks: list[dict[str, Any]]) -> str | None:
    """Return the image of the root disk; there is no other disk."""
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
                'only a root disk from an image is offered in this release: '
                '[{"boot_index": 0, "source_type": "image", '
                '"destination_type": "local", "uuid": IMAGE}]. Ephemeral '
                'disks and swap come with the flavor.'
            )
        found = disk.get('uuid') or disk.get('image_id')
    return found


ROUTES: Final = (
    Route('POST', '/servers', create, _RULE, 202, body=schemas.CREATE),
)
