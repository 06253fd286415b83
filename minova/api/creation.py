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
from minova.api import attachments
from minova.api import boot_images
from minova.api import flavor_lookup
from minova.api import key_pairs
from minova.api import placement
from minova.api import quotas
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import servers as schemas
from minova.api.schemas import types
from minova.conf import CONF
from minova.db import ports
from minova.db.engine import Connection
from minova.images import Image
from minova.operations import begin

Server = dict[str, Any]

_RULE: Final = 'os_compute_api:servers:create'
_LONGEST_HOSTNAME: Final = 63


def create(ask: Ask) -> Any:
    """Begin to make what the body describes."""
    server = ask.body['server']
    project = ask.project
    _refuse_what_is_not_offered(ask.body)
    count = _count(server)
    place = placement.wanted(ask, server)
    wanted = attachments.wanted(server, count)
    quotas.require_metadata(len(server.get('metadata', {})))
    image = boot_images.find(ask, _image_ref(server))
    quotas.prepare(ask.database, project)
    reservation = f'r-{clock.uuid4()[:8]}'

    def work(connection: Connection) -> list[begin.Begun]:
        flavor = flavor_lookup.usable(
            connection, ask, str(server['flavorRef'])
        )
        boot_images.require_fit(image, flavor)
        placement.require(connection, place)
        quotas.require(connection, project, [flavor] * count)
        key = key_pairs.of_server(connection, ask, server)
        nics = _nics(connection, project, wanted, count)
        params = {
            'image_name': image.name or '',
            'host': place.node or place.host,
            'zone': place.zone,
        }
        return [
            begin.create(
                connection,
                ask.context,
                begin.new_instance(
                    ask.context,
                    flavor,
                    **_fields(server, image, number, count),
                    **nics[number],
                    reservation_id=reservation,
                    availability_zone=place.zone,
                    **key,
                ),
                ask.backend.publisher,
                params,
            )
            for number in range(count)
        ]

    begun = ports.allocating(ask.database, work)
    for one in begun:
        ask.wake(one)
    if types.truth(server.get('return_reservation_id', False)):
        return {'reservation_id': reservation}
    return _created(ask, server, begun[0].instance.uuid)


def _created(ask: Ask, server: Server, uuid: str) -> Any:
    links = ask.links.to('servers', uuid)
    ask.headers['Location'] = links[0]['href']
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


def _fields(
    server: Server, image: Image, number: int, count: int
) -> dict[str, Any]:
    name = server['name']
    if count > 1:
        name = f'{name}-{number + 1}'
    found = schemas.changes_of(server) | boot_images.fields(image)
    user_data = server.get('user_data')
    found |= {
        'display_name': name,
        'hostname': hostname(name),
        'launch_index': number,
        'root_device_name': '/dev/vda',
        'metadata': server.get('metadata', {}),
        'tags': _without_doubles(server.get('tags', [])),
        'user_data': user_data or None,
        'config_drive': types.truth(server.get('config_drive', False))
        or boot_images.needs_config_drive(image),
        'auto_disk_config': _disk_config(server) == 'AUTO',
    }
    # What the user calls nothing is called like the server.
    found.setdefault('display_description', None)
    return found


def hostname(name: str) -> str:
    """Return the host name that is made of a server's name.

    Letters, digits and hyphens, in lower case: blanks, ``_`` and ``.`` become
    hyphens, everything else is left out.
    """
    plain = re.sub('[ _.]', '-', name).encode('ascii', 'ignore').decode()
    plain = re.sub('[^a-z0-9-]', '', plain.lower())
    return plain.strip('-')[:_LONGEST_HOSTNAME].rstrip('-') or 'server'


def _nics(
    connection: Connection,
    project: str,
    wanted: Sequence[network.Wanted] | None,
    count: int,
) -> list[dict[str, Any]]:
    """Give ports to servers that are to be; return the fields of each."""
    service = network.service()
    chosen = service.choose(connection, project, wanted)
    uuids = [clock.uuid4() for _ in range(count)]
    given = service.allocate(connection, chosen, uuids)
    return [
        {'uuid': uuid, 'network_info': nics}
        for uuid, nics in zip(uuids, given, strict=True)
    ]


def _disk_config(server: Server) -> str:
    return str(server.get('OS-DCF:diskConfig', 'MANUAL'))


def _without_doubles(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _count(server: Server) -> int:
    """Return how many servers are wanted: as many as may be."""
    least, most = (
        types.whole(server[name], types.number(1), f'server.{name}')
        if name in server
        else None
        for name in ('min_count', 'max_count')
    )
    if least is not None and most is not None and least > most:
        raise exception.InvalidInput('min_count must be <= max_count')
    count = most or least or 1
    if count > CONF.api.max_servers_per_request:
        raise exception.InvalidInput(
            'Invalid input for field/attribute server.max_count: at most '
            f'{CONF.api.max_servers_per_request} servers are created with '
            'one request.'
        )
    return count


def _image_ref(server: Server) -> str:
    """Return the image's id, from the reference or from the one disk."""
    named = server.get('imageRef') or ''
    disk = _root_disk(server.get('block_device_mapping_v2', []))
    if named and disk and named != disk:
        raise exception.InvalidInput(
            'imageRef and the image in block_device_mapping_v2 must be the '
            'same.'
        )
    if not (named or disk):
        raise exception.InvalidInput(
            'Invalid imageRef provided: a server is made from an image here.'
        )
    return str(named or disk)


# -- what is not offered -----------------------------------------------------


def _refuse_what_is_not_offered(body: dict[str, Any]) -> None:
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
