# SPDX-License-Identifier: Apache-2.0
"""Tokens of consoles, from whoever may see a screen to whoever shows it.

A token says of which instance the screen may be seen, not where it is. That
the instance's host is asked each time: after a migration the same token leads
to the new host, and never to another guest that has got the old port.
"""

import datetime
import hashlib
import secrets
from typing import Any

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import Context
from minova.db import consoles
from minova.db.engine import Database
from minova.rpc.compute import Computes


def issue(database: Database, instance_uuid: str, console_type: str) -> str:
    """Return a new token for an instance's console.

    It counts for ``[vnc] token_lifetime`` seconds.
    """
    token = secrets.token_urlsafe(32)
    now = clock.now()
    values = {
        'token_hash': _hash_of(token),
        'instance_uuid': instance_uuid,
        'console_type': console_type,
        'created_at': now,
        'expires_at': now
        + datetime.timedelta(seconds=CONF.vnc.token_lifetime),
    }
    database.write(lambda connection: consoles.insert(connection, values))
    return token


def redeem(database: Database, token: str) -> Any:
    """Return instance_uuid, console_type and host that a token is for.

    ConsoleTokenNotFound for one that does not count.
    """
    number, now = _hash_of(token), clock.now()
    found = database.read(
        lambda connection: consoles.find(connection, number, now)
    )
    if found is None:
        raise exception.ConsoleTokenNotFound
    return found


def way_to(computes: Computes, context: Context, found: Any) -> dict[str, Any]:
    """Return what a proxy must know to show what was redeemed."""
    if found.host is None:
        raise exception.InstanceNotReady(
            instance_id=found.instance_uuid, reason='it is on no host'
        )
    way = computes.at(found.host).get_vnc_console(
        context, instance_uuid=found.instance_uuid
    )
    return way | {
        'instance_uuid': found.instance_uuid,
        'console_type': found.console_type,
        'compute': found.host,
    }


def _hash_of(token: str) -> str:
    # It is random and long: nobody finds it by trying, so no salt is needed.
    return hashlib.sha256(token.encode()).hexdigest()
