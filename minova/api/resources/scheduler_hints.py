# SPDX-License-Identifier: Apache-2.0
"""The scheduler hints of a new server: requirements for its host.

The hints are kept with the server, so that later moves meet them too. Unknown
ones have no effect; the server shows them.
"""

import ipaddress
from typing import Final

import orjson

from minova import exception
from minova.api.schemas import servers
from minova.api.schemas.types import Json
from minova.objects import request_spec
from minova.objects.request_spec import RequestSpec

#: The objects in a body that have hints.
_KEYS: Final = ('OS-SCH-HNT:scheduler_hints', 'os:scheduler_hints')
_FIELD: Final = 'Invalid input for field/attribute os:scheduler_hints'
#: The length of all hints of a server as JSON, as the database keeps them.
_MAX_LENGTH: Final = 16384


def make_request_spec(body: Json, zone: str | None) -> RequestSpec:
    """Return what a body requires of hosts, in addition to ``zone``.

    InvalidInput for a hint without a meaning.
    """
    given: Json = {}
    for key in _KEYS:
        given |= body.get(key) or {}
    others = {
        name: _list(value)
        for name, value in given.items()
        if name != 'group' and value not in (None, '', [], {})
    }
    _require_network(others)
    if request_spec.QUERY in others:
        (query,) = others[request_spec.QUERY] = [_text(given['query'])]
        _require_json(query)
    length = len(orjson.dumps(others))
    if length > _MAX_LENGTH:
        raise exception.InvalidInput(
            f'{_FIELD}: the hints have {length} bytes as JSON; at most '
            f'{_MAX_LENGTH} are allowed.'
        )
    return RequestSpec(
        availability_zone=zone,
        group=given.get('group'),
        scheduler_hints=others,
    )


def _list(value: object) -> list[str]:
    return [
        _text(one) for one in (value if isinstance(value, list) else [value])
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _require_json(query: str) -> None:
    if len(query) > servers.MAX_QUERY_LENGTH:
        raise exception.InvalidInput(
            f'{_FIELD}.query: has {len(query)} characters as JSON; at most '
            f'{servers.MAX_QUERY_LENGTH} are allowed.'
        )
    try:
        found = orjson.loads(query)
    except orjson.JSONDecodeError as error:
        raise exception.InvalidInput(
            f'{_FIELD}.query: it is not JSON ({error}).'
        ) from error
    if not isinstance(found, list) or not found:
        raise exception.InvalidInput(
            f'{_FIELD}.query: must be a list that begins with an operator, '
            'e.g. [">=", "$free_ram_mb", 1024].'
        )


def _require_network(hints: dict[str, list[str]]) -> None:
    if request_spec.NEAR_HOST_IP not in hints:
        return
    (address,) = hints[request_spec.NEAR_HOST_IP]
    (length,) = hints.get(request_spec.NEAR_HOST_CIDR, [''])
    try:
        ipaddress.ip_network(f'{address}{length}', strict=False)
    except ValueError as error:
        raise exception.InvalidInput(
            f'{_FIELD}.build_near_host_ip: {error}.'
        ) from error
