# SPDX-License-Identifier: Apache-2.0
"""Ed25519 keys, which sign messages between services.

The text form of a key and of a signature is base64. Who has the public key
can check a signature and cannot make one.
"""

import base64
import binascii
import functools
import hashlib
from typing import Self

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ed25519


class SigningKey:
    """A private key; ``public_key`` is the text of its public part."""

    def __init__(self, private: ed25519.Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key().public_bytes_raw()
        self.public_key = base64.b64encode(public).decode()

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the key that ``to_text`` wrote; ValueError for another."""
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(_decode(text)))

    def to_text(self) -> str:
        """Return the private key as text, a secret."""
        return base64.b64encode(self._private.private_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature of ``content``."""
        return base64.b64encode(self._private.sign(content)).decode()


def is_signed(public_key: str, signature: str, content: bytes) -> bool:
    """Tell whether the owner of ``public_key`` has signed ``content``."""
    try:
        _public_key(public_key).verify(_decode(signature), content)
    except (exceptions.InvalidSignature, ValueError):
        return False
    return True


def check_public_key(text: str) -> str:
    """Return a public key in its one text form; ValueError for no key."""
    raw = _public_key(text.strip()).public_bytes_raw()
    return base64.b64encode(raw).decode()


def fingerprint(public_key: str) -> str:
    """Return what names a public key in lists and logs."""
    digest = hashlib.sha256(_decode(public_key)).digest()
    return 'SHA256:' + base64.b64encode(digest).decode().rstrip('=')


@functools.lru_cache(4096)
def _public_key(text: str) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_decode(text))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f'not base64: {error}') from error
