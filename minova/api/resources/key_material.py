# SPDX-License-Identifier: Apache-2.0
"""Keys themselves: what a public key must look like, fingerprints, new ones.

A fingerprint is shown as the API always has: of an ssh key the MD5 digest of
its binary form, of a certificate its SHA-1 digest, in hexadecimal pairs. It is
for people to compare; nothing is trusted because of it.
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
#: What stands behind a generated public key.
_COMMENT = 'Generated-by-Minova'


def fingerprint(kind: str, public_key: str) -> str:
    """Return the fingerprint of a public key; InvalidInput if it is none."""
    if kind == X509:
        return _hex_pairs(_certificate_digest(public_key))
    return _hex_pairs(_ssh_digest(public_key))


def generate() -> tuple[str, str]:
    """Return a new ssh key: the public half, and the private one in PEM.

    RSA, which every ssh server and client knows, in the form that old clients
    read too.
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
    """Return the digest of a line as in OpenSSH's ``authorized_keys``.

    Kinds of keys that are newer than this code are taken as well: the binary
    form is a row of fields, each behind its length, and the first is the name
    of the kind (RFC 4253, 6.6), which must be the first word of the line.
    """
    words = public_key.strip(' \n\r\t').split(' ', 2)
    if '\n' in public_key.strip() or len(words) < 2:
        raise exception.InvalidInput(
            f'{_FIELD}: must be one line, "KIND BASE64 [COMMENT]", as in the '
            'file that ssh-keygen writes beside the private key.'
        )
    kind, text = words[0], words[1]
    try:
        content = base64.b64decode(text, validate=True)
        parts = _fields(content)
    except (ValueError, struct.error):
        parts = []
    if len(parts) < 2 or parts[0] != kind.encode():
        raise exception.InvalidInput(
            f'{_FIELD}: the second word is no key of the kind that the first '
            'one names.'
        )
    return hashlib.md5(content, usedforsecurity=False).digest()


def _fields(content: bytes) -> list[bytes]:
    """Return the fields of a key; struct.error or ValueError if it is none."""
    found = []
    offset = 0
    while offset < len(content):
        (length,) = struct.unpack_from('>I', content, offset)
        offset += 4 + length
        if offset > len(content):
            raise ValueError('the last field is cut off')
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
