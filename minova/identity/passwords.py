# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords and of other secrets."""

import dataclasses
import hashlib
import hmac
import secrets
from typing import Final

#: Base-2 logarithm of the cost of scrypt (RFC 7914): about 50 ms and 16 MiB
#: for an attempt. Each thread that handles logins uses that memory.
_LOG_COST: Final = 14


@dataclasses.dataclass(frozen=True)
class Hash:
    """A salted scrypt hash of a password; salt and digest are hex."""

    log_cost: int
    salt: str
    digest: str


#: No password has it. Its verification takes as long as that of another.
_UNUSABLE: Final = Hash(_LOG_COST, '00' * 16, '')


def hash_password(password: str) -> Hash:
    """Return a hash with a new salt."""
    salt = secrets.token_hex(16)
    return Hash(_LOG_COST, salt, _digest(password, _LOG_COST, salt))


def verify(stored: Hash | None, password: str) -> bool:
    """Return whether the password is correct; for None False, as slowly.

    The duration does not reveal whether there is a hash.
    """
    wanted = stored or _UNUSABLE
    found = _digest(password, wanted.log_cost, wanted.salt)
    return hmac.compare_digest(found, wanted.digest)


def _digest(password: str, log_cost: int, salt: str) -> str:
    return hashlib.scrypt(
        password.encode(), salt=bytes.fromhex(salt), n=1 << log_cost, r=8, p=1
    ).hex()
