# SPDX-License-Identifier: Apache-2.0
"""Signed tokens, and the list of revoked ones.

A token is ``payload.signature``, both base64url: the payload has user,
project, issue and expiry time; the signature is HMAC-SHA256 (RFC 2104) over it
with the secret of the directory. Only the ids of revoked tokens are stored,
until they expire. Names and roles are not in a token: they are read when a
token is validated.
"""

import base64
import binascii
import dataclasses
import datetime
import hashlib
import hmac
import json

from minova import atomic_files
from minova import clock
from minova import exception

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
#: The signature covers this too: a signature for another purpose with the same
#: secret is not a valid token.
_PURPOSE = b'minova token 2:'


@dataclasses.dataclass(frozen=True)
class Claims:
    """The content of a token."""

    audit_ids: tuple[str, ...]
    """Its own id; after it, the id of its parent token."""

    user_id: str
    project_id: str | None
    methods: tuple[str, ...]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    user_generation: int = 0
    """A token with another generation than its user's is revoked."""

    project_generation: int = 0
    """The same for its project."""

    credential_id: str | None = None
    """The application credential that was used to log in."""


def new_audit_id() -> str:
    """Return a new token id in Keystone's form: 22 characters."""
    return _b64encode(bytes.fromhex(clock.uuid4().replace('-', '')))


def encode_token(claims: Claims, secret: bytes) -> str:
    """Return the token with this content."""
    payload = json.dumps(
        [
            claims.audit_ids,
            claims.user_id,
            claims.project_id,
            claims.methods,
            _to_microseconds(claims.issued_at),
            _to_microseconds(claims.expires_at),
            claims.user_generation,
            claims.project_generation,
            claims.credential_id,
        ],
        separators=(',', ':'),
    ).encode()
    return f'{_b64encode(payload)}.{_b64encode(_signature(payload, secret))}'


def decode_token(token: str, secret: bytes) -> Claims:
    """Return the content of a token; Unauthorized for a wrong signature.

    The caller checks the expiry.
    """
    first, _, second = token.partition('.')
    try:
        payload, signature = _b64decode(first), _b64decode(second)
    except (binascii.Error, ValueError) as error:
        raise exception.Unauthorized from error
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        raise exception.Unauthorized
    # The signature is valid, so the payload is well-formed.
    (
        audit_ids,
        user_id,
        project_id,
        methods,
        issued,
        expires,
        user_generation,
        project_generation,
        credential_id,
    ) = json.loads(payload)
    return Claims(
        audit_ids=tuple(audit_ids),
        user_id=user_id,
        project_id=project_id,
        methods=tuple(methods),
        issued_at=_EPOCH + issued * _MICROSECOND,
        expires_at=_EPOCH + expires * _MICROSECOND,
        user_generation=user_generation,
        project_generation=project_generation,
        credential_id=credential_id,
    )


class Revocations:
    """The revoked tokens that have not expired, in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = clock.lock()
        try:
            found = atomic_files.read_json(path)
        except FileNotFoundError:
            found = {}
        self._expiry: dict[str, int] = _require_valid(path, found)

    def __contains__(self, audit_id: str) -> bool:
        return audit_id in self._expiry

    def add(self, claims: Claims) -> None:
        """Revoke a token, durably."""
        with self._lock:
            now = _to_microseconds(clock.now())
            kept = {
                audit_id: expires_at
                for audit_id, expires_at in self._expiry.items()
                if expires_at > now
            }
            kept[claims.audit_ids[0]] = _to_microseconds(claims.expires_at)
            atomic_files.write_json(self._path, kept)
            self._expiry = kept


def _require_valid(path: str, found: object) -> dict[str, int]:
    if isinstance(found, dict) and all(
        isinstance(expires_at, int) for expires_at in found.values()
    ):
        return found
    raise exception.ConfigInvalid(reason=f'{path} is damaged.')


def _signature(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + payload, hashlib.sha256)


def _to_microseconds(moment: datetime.datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _b64encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b'=').decode()


def _b64decode(text: str) -> bytes:
    padded = text + '=' * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b'-_', validate=True)
