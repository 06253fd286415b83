# SPDX-License-Identifier: Apache-2.0
"""Public keys: formats, fingerprints, generation.

A fingerprint has the form that the API always had: the MD5 digest of the
binary form of an ssh key, the SHA-1 digest of a certificate, in hexadecimal
pairs. It is for comparison by people; nothing relies on its security.
"""

import base64
import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from minova import exception

SSH = 'ssh'
X509 = 'x509'

_FIELD = 'Invalid input for field/attribute keypair.public_key'
_EXPONENT = 65537
_BITS = 3072
#: The comment of a generated public key.
_COMMENT = 'Generated-by-Minova'


def fingerprint(kind: str, public_key: str) -> str:
    """Return the fingerprint of a public key; raise InvalidInput."""
    if kind == X509:
        return _hex_pairs(_certificate_digest(public_key))
    return _hex_pairs(_ssh_digest(public_key))


def generate() -> tuple[str, str]:
    """Return a new ssh key: the public key, and the private key in PEM.

    RSA, which every ssh server and client supports, in the form that old
    clients can read.
    """
    private = rsa.generate_private_key(_EXPONENT, _BITS)
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return f'{public.decode()} {_COMMENT}\n', secret.decode()


def _ssh_digest(public_key: str) -> bytes:
    """Return the digest of a line in the form of ``authorized_keys``.

    Unknown key types are valid too: the binary form is a sequence of fields,
    each after its length, and the first one is the type (RFC 4253, 6.6), which
    must equal the first word of the line.
    """
    words = public_key.strip(' \n\r\t').split(' ', 2)
    if '\n' in public_key.strip() or len(words) < 2:
        raise exception.InvalidInput(
            f'{_FIELD}: must be one line, "TYPE BASE64 [COMMENT]", as in the '
            '.pub file that ssh-keygen writes.'
        )
    kind, text = words[0], words[1]
    try:
        content = base64.b64decode(text, validate=True)
        parts = _fields(content)
    except (ValueError, struct.error):
        parts = []
    if len(parts) < 2 or parts[0] != kind.encode():
        raise exception.InvalidInput(
            f'{_FIELD}: the base64 in the second field is not a key of type '
            f'{kind}.'
        )
    return hashlib.md5(content, usedforsecurity=False).digest()


def _fields(content: bytes) -> list[bytes]:
    """Return the fields of a key; struct.error or ValueError if malformed."""
    found = []
    offset = 0
    while offset < len(content):
        (length,) = struct.unpack_from('>I', content, offset)
        offset += 4 + length
        if offset > len(content):
            raise ValueError('the last field is incomplete')
        found.append(content[offset - length : offset])
    return found


def _certificate_digest(public_key: str) -> bytes:
    try:
        found = x509.load_pem_x509_certificate(public_key.encode())
    except ValueError as error:
        raise exception.InvalidInput(
            f'{_FIELD}: must be an X.509 certificate in PEM.'
        ) from error
    return found.fingerprint(hashes.SHA1())  # noqa: S303  see the docstring


def _hex_pairs(digest: bytes) -> str:
    return digest.hex(':')
