# SPDX-License-Identifier: Apache-2.0
"""Which key a host has: its enrollment, and the end of it.

A compute shows its public key at each start. The key of a new name is
accepted at first use, or only with the token of an operator (``[conductor]
host_enrollment``). A name that has a key gets another one from an operator
only: the new owner of a name is indistinguishable from an impostor.
"""

import datetime
import hashlib
import hmac
import secrets

import sqlalchemy as sa

from minova import exception
from minova.conf import CONF
from minova.db.queries import hosts
from minova.db.queries import message_keys
from minova.db.queries import operations
from minova.db.queries.message_keys import HostKey
from minova.rpc import signing

#: How the disabled service of a revoked host is marked.
REVOKED_REASON = 'AUTO: the key of the host is revoked'


def require_key(host: str, found: HostKey | None) -> str:
    """Return the public key of a host, or raise MessageRefused."""
    if found is None or found.host != host or found.public_key is None:
        raise _refused(
            f'host {host} is not enrolled. Its compute service enrolls it at '
            'its start; if that is refused, the log there has the reason'
        )
    if found.revoked_at is not None:
        raise _revoked(host)
    return found.public_key


def enroll(
    connection: sa.Connection, host: str, public_key: str, token: str | None
) -> datetime.datetime:
    """Accept the key of a host; return the time of the database.

    Raises MessageRefused, with what an operator can do.
    """
    found = message_keys.find_host_key(connection, host)
    if found is None:
        if CONF.conductor.host_enrollment == 'closed':
            raise _refused(
                f'host {host} is not enrolled, and [conductor] '
                f'host_enrollment is closed. {_advice(host)}'
            )
        now = message_keys.get_now(connection)
        _save_key(connection, host, public_key, now)
        return now
    if found.host != host:
        raise _refused(f'another host has the name {found.host}')
    if _is_token_of(found, token):
        _save_key(connection, host, public_key, found.now)
    elif found.revoked_at is not None:
        raise _revoked(host)
    elif found.public_key is None:
        raise _refused(
            f'host {host} needs its enrollment token, which is valid until '
            f'{found.token_expires_at:%Y-%m-%d %H:%M:%S} UTC. {_advice(host)}'
        )
    elif found.public_key != public_key:
        raise _refused(
            f'host {host} has another key, enrolled at '
            f'{found.enrolled_at:%Y-%m-%d %H:%M:%S} UTC. If the host was '
            'installed again or its state directory is new, replace the key. '
            f'{_advice(host, " --replace")}'
        )
    return found.now


def _is_token_of(found: HostKey, token: str | None) -> bool:
    return (
        token is not None
        and found.token_hash is not None
        and found.token_expires_at is not None
        and found.token_expires_at > found.now
        and hmac.compare_digest(found.token_hash, _hash_of(token))
    )


def _save_key(
    connection: sa.Connection,
    host: str,
    public_key: str,
    now: datetime.datetime,
) -> None:
    message_keys.save_host_key(
        connection,
        host,
        {
            'public_key': signing.check_public_key(public_key),
            'enrolled_at': now,
            'revoked_at': None,
            'token_hash': None,
            'token_expires_at': None,
        },
    )


# -- for an operator ---------------------------------------------------------


def enroll_key(
    connection: sa.Connection, host: str, public_key: str, replace: bool
) -> None:
    """Accept a key that an operator brings; Conflict for a known host."""
    _require_replaceable(connection, host, replace)
    now = message_keys.get_now(connection)
    _save_key(connection, host, public_key, now)
    _enable_service(connection, host)


def issue_token(
    connection: sa.Connection, host: str, lifetime: float, replace: bool
) -> str:
    """Return a token with which a host may show a key, once.

    The key that the host has ends at once. Conflict for a known host.
    """
    _require_replaceable(connection, host, replace)
    now = message_keys.get_now(connection)
    token = secrets.token_urlsafe(32)
    message_keys.save_host_key(
        connection,
        host,
        {
            'public_key': None,
            'enrolled_at': None,
            'revoked_at': None,
            'token_hash': _hash_of(token),
            'token_expires_at': now + datetime.timedelta(seconds=lifetime),
        },
    )
    _enable_service(connection, host)
    return token


def revoke(connection: sa.Connection, host: str) -> None:
    """Refuse every message of a host from now on; HostNotFound.

    Its service gets no new servers.
    """
    found = message_keys.find_host_key(connection, host)
    if found is None or found.host != host:
        raise exception.HostNotFound(host=host)
    message_keys.save_host_key(
        connection,
        host,
        {
            'revoked_at': found.now,
            'token_hash': None,
            'token_expires_at': None,
        },
    )
    for service in _services(connection, host):
        if not service.disabled:
            hosts.update_service(
                connection,
                service.id,
                {'disabled': True, 'disabled_reason': REVOKED_REASON},
            )


def _require_replaceable(
    connection: sa.Connection, host: str, replace: bool
) -> None:
    found = message_keys.find_host_key(connection, host)
    if found is None:
        return
    if found.host != host:
        raise exception.Conflict(f'Another host has the name {found.host}.')
    is_valid = found.public_key is not None and found.revoked_at is None
    if is_valid and not replace:
        raise exception.Conflict(
            f'Host {host} has a key since '
            f'{found.enrolled_at:%Y-%m-%d %H:%M:%S} UTC. Repeat the command '
            'with --replace to end that key.'
        )


def _enable_service(connection: sa.Connection, host: str) -> None:
    """Enable the service again that ``revoke`` has disabled."""
    for service in _services(connection, host):
        if service.disabled_reason == REVOKED_REASON:
            hosts.update_service(
                connection,
                service.id,
                {'disabled': False, 'disabled_reason': None},
            )


def _services(connection: sa.Connection, host: str) -> list[hosts.Service]:
    return hosts.list_services(connection, operations.COMPUTE_BINARY, host)


def _hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _advice(host: str, options: str = '') -> str:
    return (
        f'On a machine of the control plane run: minova-manage host enroll '
        f'{host}{options}'
    )


def _revoked(host: str) -> exception.MessageRefused:
    return _refused(f'the key of host {host} is revoked. {_advice(host)}')


def _refused(reason: str) -> exception.MessageRefused:
    return exception.MessageRefused(what='The control plane', reason=reason)
