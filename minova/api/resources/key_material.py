# SPDX-License-Identifier: Apache-2.0
"""Public keys and certificates: formats, fingerprints, generation.

A fingerprint has the form that the API always had: the MD5 digest of the
binary form of an ssh key, the SHA-1 digest of a certificate, in hexadecimal
pairs. It is for comparison by people; nothing relies on its security.
"""

import base64
import datetime
import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID

from minova import clock
from minova import exception

SSH = 'ssh'
X509 = 'x509'

_FIELD = 'Invalid input for field/attribute keypair.public_key'
_EXPONENT = 65537
_BITS = 3072
#: The comment of a generated public key.
_COMMENT = 'Generated-by-Minova'
#: The validity of a generated certificate.
_VALIDITY = datetime.timedelta(days=3650)
#: The maximum length of a common name in bytes (RFC 5280, appendix A.1).
_MAX_COMMON_NAME = 64
#: The user principal name, from which Windows finds the account.
_UPN = x509.ObjectIdentifier('1.3.6.1.4.1.311.20.2.3')
_DER_UTF8_STRING = 0x0C
#: The flag of a length of several bytes, and the first length that needs them.
_DER_LONG_LENGTH = 0x80


def fingerprint(kind: str, public_key: str) -> str:
    """Return the fingerprint of a public key; raise InvalidInput."""
    if kind == X509:
        return _hex_pairs(_certificate_digest(public_key))
    return _hex_pairs(_ssh_digest(public_key))


def generate(kind: str, user_id: str) -> tuple[str, str]:
    """Return the public and the private part of a new key pair."""
    private = rsa.generate_private_key(_EXPONENT, _BITS)
    if kind == X509:
        return _certify(private, user_id)
    return _ssh_pair(private)


def _ssh_pair(private: rsa.RSAPrivateKey) -> tuple[str, str]:
    """Return the public key, and the private key in PEM.

    RSA, which every ssh server and client supports, in the form that old
    clients can read.
    """
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return f'{public.decode()} {_COMMENT}\n', secret.decode()


def _certify(private: rsa.RSAPrivateKey, user_id: str) -> tuple[str, str]:
    """Return a certificate in PEM, and a PKCS #12 archive in base64.

    The archive has the private key and the certificate, without a password.
    A Windows guest accepts the certificate for the login of its user.
    """
    short = user_id.encode()[:_MAX_COMMON_NAME].decode(errors='ignore')
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)])
    now = clock.now()
    principal = x509.OtherName(_UPN, _der_utf8(f'{user_id}@localhost'))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALIDITY)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([principal]), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    archive = pkcs12.serialize_key_and_certificates(
        None, private, certificate, None, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return public.decode(), base64.b64encode(archive).decode()


def _der_utf8(text: str) -> bytes:
    """Return a UTF8String in DER (X.690)."""
    content = text.encode()
    count = len(content)
    if count < _DER_LONG_LENGTH:
        length = bytes([count])
    else:
        octets = (count.bit_length() + 7) // 8
        length = bytes([_DER_LONG_LENGTH | octets]) + count.to_bytes(octets)
    return bytes([_DER_UTF8_STRING]) + length + content


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
