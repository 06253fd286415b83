# SPDX-License-Identifier: Apache-2.0
"""Key pairs: servers accept the public key for the login of their users.

A key pair belongs to a user, in all projects; administrators may name another
user. The private key of a generated pair is in the reply and stored nowhere.
"""

import dataclasses
from typing import Final

from oslo_db import exception as db_exception

from minova import clock
from minova import exception
from minova.api.http import pagination
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.resources import key_material
from minova.api.schemas import key_pairs as schemas
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.schemas.types import Json
from minova.api.views import Document
from minova.api.views import times
from minova.api.views.links import Link
from minova.db.connections.engine import Connection
from minova.db.queries import key_pairs
from minova.db.queries.key_pairs import KeyPair
from minova.quotas import checks

_USER: Final = Param(since=10)
_ONE_QUERY: Final = queries.QuerySchema({'user_id': _USER}, strict_since=75)
_LIST_QUERY: Final = queries.QuerySchema(
    {
        'user_id': _USER,
        'limit': Param(queries.parse_number, since=35),
        'marker': Param(since=35),
    },
    strict_since=75,
)


def index(request: ApiRequest) -> Document:
    """List the key pairs of a user; in pages from 2.35 on."""
    user = _get_user_id(request, request.query.get('user_id'))
    paged = request.version >= 35
    marker = request.query.get('marker')
    found = request.database.read(
        lambda connection: key_pairs.list_page(
            connection,
            user,
            pagination.get_page_size(request) + 1 if paged else None,
            marker,
        )
    )
    if found is None:
        raise exception.InvalidInput(f'marker [{marker}] not found')
    links: list[Link] = []
    result = found
    if paged:
        page, links = pagination.paginate(
            request, 'os-keypairs', found, lambda pair: pair.name
        )
        result = list(page)
    reply = [{'keypair': _brief(request, pair)} for pair in result]
    return pagination.make_list('keypairs', reply, links)


def show(request: ApiRequest, name: str) -> Document:
    """Show a key pair."""
    user = _get_user_id(request, request.query.get('user_id'))
    pair = request.database.read(
        lambda connection: key_pairs.get(connection, user, name)
    )
    if pair is None:
        raise exception.KeyPairNotFound(name=name[:64], user_id=user)
    result = _brief(request, pair) | {
        'user_id': pair.user_id,
        'id': pair.id,
        'created_at': times.strtime(pair.created_at),
        'updated_at': None,
        'deleted': False,
        'deleted_at': None,
    }
    return {'keypair': result}


def create(request: ApiRequest) -> Document:
    """Import a public key, or generate a pair."""
    given = request.body['keypair']
    user = _get_user_id(request, given.get('user_id'))
    name, kind = given['name'], given.get('type', key_material.SSH)
    secret = None
    if 'public_key' in given:
        public_key = given['public_key']
    else:
        # A refused request must not get there: it takes long.
        request.database.write(
            lambda connection: _require_free(request, connection, user, name)
        )
        public_key, secret = key_material.generate(kind, user)
    pair = KeyPair(
        id=0,
        user_id=user,
        name=name,
        type=kind,
        public_key=public_key,
        fingerprint=key_material.fingerprint(kind, public_key),
        created_at=clock.now(),
    )
    _insert(request, pair)
    if request.version >= 2:
        request.status = 201
    result = _brief(request, pair) | {'user_id': user}
    if secret is not None:
        result['private_key'] = secret
    return {'keypair': result}


def _require_free(
    request: ApiRequest, connection: Connection, user: str, name: str
) -> None:
    """Raise an error if the name is taken or the quota is reached."""
    if key_pairs.get(connection, user, name) is not None:
        raise exception.KeyPairExists(name=name)
    project = request.context.project_id or ''
    checks.require_key_pair(connection, project, user)


def _insert(request: ApiRequest, pair: KeyPair) -> None:
    user, name = pair.user_id, pair.name
    values = dataclasses.asdict(pair)
    del values['id']

    def work(connection: Connection) -> None:
        _require_free(request, connection, user, name)
        try:
            key_pairs.insert(connection, values)
        except db_exception.DBDuplicateEntry as error:
            # Another request created it after the check.
            raise exception.KeyPairExists(name=name) from error

    request.database.write(work)


def delete(request: ApiRequest, name: str) -> None:
    """Delete a key pair; its servers keep the public key."""
    user = _get_user_id(request, request.query.get('user_id'))
    if not request.database.write(
        lambda connection: key_pairs.delete(connection, user, name)
    ):
        raise exception.KeyPairNotFound(name=name[:64], user_id=user)
    request.status = 204 if request.version >= 2 else 202


def fields_for_server(
    connection: Connection, request: ApiRequest, server: Json
) -> dict[str, object]:
    """Return the fields of an instance that come from its key pair.

    InvalidInput if the user has no key pair of that name.
    """
    name = server.get('key_name')
    if name is None:
        return {}
    user = request.context.user_id or ''
    pair = key_pairs.get(connection, user, name)
    if pair is None:
        raise exception.InvalidInput(
            f'Invalid key_name provided. User {user} has no key pair '
            f'{name[:64]!r}; import it with POST /os-keypairs.'
        )
    return {'key_name': pair.name, 'key_data': pair.public_key}


# -- helpers ----------------------------------------------------------------


def _get_user_id(request: ApiRequest, named: str | None) -> str:
    """Return the owner of the key pairs; Forbidden for another user's."""
    user = named or request.context.user_id
    if not user:
        raise exception.Forbidden(
            'This request needs a token with a user; the token has none.'
        )
    request.require(str(request.rule), user_id=user)
    return str(user)


def _brief(request: ApiRequest, pair: KeyPair) -> Document:
    result: Document = {
        'name': pair.name,
        'public_key': pair.public_key,
        'fingerprint': pair.fingerprint,
    }
    if request.version >= 2:
        result['type'] = pair.type
    return result


_RULE: Final = 'os_compute_api:os-keypairs'
_ALL: Final = '/os-keypairs'
_ONE: Final = f'{_ALL}/{{name}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index', query=_LIST_QUERY),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.CREATE),
    Route('GET', _ONE, show, f'{_RULE}:show', query=_ONE_QUERY),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 202, query=_ONE_QUERY),
)
