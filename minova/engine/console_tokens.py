# SPDX-License-Identifier: Apache-2.0
"""Tokens of consoles, from whoever may see a screen to whoever shows it.

A token says of which instance the screen may be seen, not where it is. That
the instance's host is asked each time: after a migration the same token leads
to the new host, and never to another guest that has got the old port.
"""

import datetime
import hashlib
import secrets

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.db.connections.engine import Database
from minova.db.queries import console_tokens
from minova.rpc.compute import ComputeClients


def issue(database: Database, instance_uuid: str, console_type: str) -> str:
    """Return a new token for an instance's console.

    It counts for ``[vnc] token_ttl`` seconds.
    """
    token = secrets.token_urlsafe(32)
    now = clock.now()
    values: dict[str, str | datetime.datetime] = {
        'token_hash': _hash_of(token),
        'instance_uuid': instance_uuid,
        'console_type': console_type,
        'created_at': now,
        'expires_at': now + datetime.timedelta(seconds=CONF.vnc.token_ttl),
    }
    database.write(
        lambda connection: console_tokens.insert(connection, values)
    )
    return token


def validate(database: Database, token: str) -> console_tokens.TokenTarget:
    """Return instance_uuid, console_type and host that a token is for.

    ConsoleTokenNotFound for one that does not count.
    """
    number, now = _hash_of(token), clock.now()
    found = database.read(
        lambda connection: console_tokens.find(connection, number, now)
    )
    if found is None:
        raise exception.ConsoleTokenNotFound
    return found


def get_connect_info(
    computes: ComputeClients,
    context: Context,
    found: console_tokens.TokenTarget,
) -> dict[str, str | int | None]:
    """Return what a proxy must know to show what was redeemed."""
    if found.host is None:
        raise exception.InstanceNotReady(
            instance_id=found.instance_uuid, reason='it is on no host'
        )
    connect_info = computes.for_host(found.host).get_vnc_console(
        context, instance_uuid=found.instance_uuid
    )
    return connect_info | {
        'instance_uuid': found.instance_uuid,
        'console_type': found.console_type,
        'compute': found.host,
    }


def _hash_of(token: str) -> str:
    # It is random and long: nobody finds it by trying, so no salt is needed.
    return hashlib.sha256(token.encode()).hexdigest()
