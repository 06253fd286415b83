# SPDX-License-Identifier: Apache-2.0
"""Key pairs: by their public halves servers let their users in.

They are a user's own, in whatever project; administrators may name another
user. A private key that is generated is in the reply and kept nowhere.
"""

from typing import Any
from typing import Final

from oslo_db import exception as db_exception

from minova import clock
from minova import exception
from minova.api import key_material
from minova.api import pages
from minova.api.ask import Ask
from minova.api.routes import Route
from minova.api.schemas import key_pairs as schemas
from minova.api.schemas import queries
from minova.api.schemas.queries import Param
from minova.api.views import times
from minova.conf import CONF
from minova.db import key_pairs
from minova.db import usage
from minova.db.engine import Connection
from minova.db.key_pairs import KeyPair

Shown = dict[str, Any]

_USER: Final = Param(since=10)
_ONE_QUERY: Final = queries.Query({'user_id': _USER}, strict_since=75)
_LIST_QUERY: Final = queries.Query(
    {
        'user_id': _USER,
        'limit': Param(queries.number, since=35),
        'marker': Param(since=35),
    },
    strict_since=75,
)


def index(ask: Ask) -> Any:
    """List the key pairs of a user, from 2.35 on in pages."""
    user = _user(ask, ask.query.get('user_id'))
    paged = ask.version >= 35
    marker = ask.query.get('marker')
    found = ask.database.read(
        lambda connection: key_pairs.page(
            connection,
            user,
            pages.limit(ask) + 1 if paged else None,
            marker,
        )
    )
    if found is None:
        raise exception.InvalidInput(f'marker [{marker}] not found')
    links: list[dict[str, str]] = []
    shown = found
    if paged:
        page, links = pages.cut(
            ask, 'os-keypairs', found, lambda pair: pair.name
        )
        shown = list(page)
    reply: Shown = {
        'keypairs': [{'keypair': _brief(ask, pair)} for pair in shown]
    }
    if links:
        reply['keypairs_links'] = links
    return reply


def show(ask: Ask, name: str) -> Any:
    """Show a key pair."""
    user = _user(ask, ask.query.get('user_id'))
    pair = ask.database.read(
        lambda connection: key_pairs.get(connection, user, name)
    )
    if pair is None:
        raise exception.KeyPairNotFound(name=name[:64], user_id=user)
    shown = _brief(ask, pair) | {
        'user_id': pair.user_id,
        'id': pair.id,
        'created_at': times.plain(pair.created_at),
        'updated_at': None,
        'deleted': False,
        'deleted_at': None,
    }
    return {'keypair': shown}


def create(ask: Ask) -> Any:
    """Import a public key, or make a new pair."""
    given = ask.body['keypair']
    user = _user(ask, given.get('user_id'))
    name, kind = given['name'], given.get('type', key_material.SSH)
    secret = None
    if 'public_key' in given:
        public_key = given['public_key']
    elif kind == key_material.SSH:
        public_key, secret = key_material.generate()
    else:
        raise exception.InvalidInput(
            'Invalid input for field/attribute keypair.public_key: '
            'certificates are not generated; make one and import it.'
        )
    values = {
        'user_id': user,
        'name': name,
        'type': kind,
        'public_key': public_key,
        'fingerprint': key_material.fingerprint(kind, public_key),
        'created_at': clock.now(),
    }
    _insert(ask, values)
    if ask.version >= 2:
        ask.status = 201
    shown = _brief(ask, KeyPair(id=0, **values)) | {'user_id': user}
    if secret is not None:
        shown['private_key'] = secret
    return {'keypair': shown}


def _insert(ask: Ask, values: dict[str, Any]) -> None:
    user, name = values['user_id'], values['name']
    limit = CONF.quota.key_pairs
    if limit >= 0:
        usage.prepare_lock(ask.database, _lock(user))

    def work(connection: Connection) -> None:
        if limit >= 0:
            usage.lock(connection, _lock(user))
        if key_pairs.get(connection, user, name) is not None:
            raise exception.KeyPairExists(name=name)
        if 0 <= limit <= key_pairs.count(connection, user):
            raise exception.KeyPairLimitExceeded(limit=limit)
        try:
            key_pairs.insert(connection, values)
        except db_exception.DBDuplicateEntry as error:
            # Somebody made it a moment ago.
            raise exception.KeyPairExists(name=name) from error

    ask.database.write(work)


def _lock(user_id: str) -> str:
    # Locks are named after projects; no project's id has a blank.
    return f'key pairs of {user_id}'


def delete(ask: Ask, name: str) -> None:
    """Remove a key pair; servers made with it keep its public key."""
    user = _user(ask, ask.query.get('user_id'))
    if not ask.database.write(
        lambda connection: key_pairs.delete(connection, user, name)
    ):
        raise exception.KeyPairNotFound(name=name[:64], user_id=user)
    ask.status = 204 if ask.version >= 2 else 202


def of_server(
    connection: Connection, ask: Ask, server: dict[str, Any]
) -> dict[str, Any]:
    """Return what an instance keeps of the key pair that it is made with.

    InvalidInput when its user has none of that name.
    """
    name = server.get('key_name')
    if name is None:
        return {}
    user = ask.context.user_id or ''
    pair = key_pairs.get(connection, user, name)
    if pair is None:
        raise exception.InvalidInput(
            f'Invalid key_name provided: user {user} has no key pair '
            f'{name[:64]!r}; import it with POST /os-keypairs.'
        )
    return {'key_name': pair.name, 'key_data': pair.public_key}


# -- what they need ----------------------------------------------------------


def _user(ask: Ask, named: str | None) -> str:
    """Return whose key pairs are asked for; Forbidden if not the caller's."""
    user = named or ask.context.user_id
    if not user:
        raise exception.Forbidden(
            'This needs a token of a user; the one given is of none.'
        )
    ask.require(str(ask.rule), user_id=user)
    return str(user)


def _brief(ask: Ask, pair: KeyPair) -> Shown:
    shown = {
        'name': pair.name,
        'public_key': pair.public_key,
        'fingerprint': pair.fingerprint,
    }
    if ask.version >= 2:
        shown['type'] = pair.type
    return shown


_RULE: Final = 'os_compute_api:os-keypairs'
_ALL: Final = '/os-keypairs'
_ONE: Final = f'{_ALL}/{{name}}'
ROUTES: Final = (
    Route('GET', _ALL, index, f'{_RULE}:index', query=_LIST_QUERY),
    Route('POST', _ALL, create, f'{_RULE}:create', body=schemas.CREATE),
    Route('GET', _ONE, show, f'{_RULE}:show', query=_ONE_QUERY),
    Route('DELETE', _ONE, delete, f'{_RULE}:delete', 202, query=_ONE_QUERY),
)
