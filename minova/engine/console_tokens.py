# SPDX-License-Identifier: Apache-2.0
"""Console tokens: the API issues them, the console proxy redeems them.

A token names an instance, not a host or a port. The host of the instance is
asked for the port each time: after a migration the same token leads to the new
host, and never to another guest that reuses the old port.
"""

import datetime
import hashlib
import secrets
from typing import Final

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.db.connections.engine import Database
from minova.db.queries import console_tokens
from minova.rpc.compute import ComputeClients

#: The type of consoles for native clients, which have a proxy of their own.
SPICE_DIRECT: Final = 'spice-direct'


def issue(database: Database, instance_uuid: str, console_type: str) -> str:
    """Return a new token for an instance's console.

    The token is valid for ``[vnc] token_ttl`` seconds.
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
    """Return the instance_uuid, console_type and host of a token.

    Raises ConsoleTokenNotFound for an unknown or expired token.
    """
    number, now = _hash_of(token), clock.now()
    found = database.read(
        lambda connection: console_tokens.find(connection, number, now)
    )
    if found is None:
        raise exception.ConsoleTokenNotFound
    return found


def require_relayed(found: console_tokens.TokenTarget) -> None:
    """Raise ConsoleTypeUnavailable for a token of another proxy.

    minova-novncproxy does not relay consoles of type spice-direct.
    """
    if found.console_type == SPICE_DIRECT:
        raise exception.ConsoleTypeUnavailable(
            console_type=found.console_type,
            reason='the proxy of native SPICE clients serves it.',
        )


def get_connect_info(
    computes: ComputeClients,
    context: Context,
    found: console_tokens.TokenTarget,
) -> dict[str, str | int | None]:
    """Return the address of the console and what the proxy logs of it."""
    if found.host is None:
        raise exception.InstanceNotReady(
            instance_id=found.instance_uuid, reason='it has no host'
        )
    connect_info = computes.for_host(found.host).get_remote_console(
        context,
        instance_uuid=found.instance_uuid,
        console_type=found.console_type,
    )
    return connect_info | {
        'instance_uuid': found.instance_uuid,
        'console_type': found.console_type,
        'compute': found.host,
    }


def _hash_of(token: str) -> str:
    # The token has 256 random bits, which makes a salt useless.
    return hashlib.sha256(token.encode()).hexdigest()
