# SPDX-License-Identifier: Apache-2.0
"""The certificate of a host's transfers, made at its first start.

Nobody has signed it and nobody need: who connects knows its fingerprint. It
is kept with its key in one file that only the service may read.
"""

import datetime
import hashlib
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minova import clock

#: How long it says that it is valid. Nobody asks: another fingerprint is
#: another certificate, whatever their dates.
_VALIDITY = datetime.timedelta(days=36500)


def ensure_certificate(path: str, host: str) -> str:
    """Have a certificate and its key in a file; return its fingerprint.

    A file that cannot be understood is replaced: invitations that name the
    old one are refused, and what they were for begins anew.
    """
    try:
        return fingerprint(_read(path))
    except (FileNotFoundError, ValueError):
        _write(path, _generate(host))
    return fingerprint(_read(path))


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate in its DER form."""
    return hashlib.sha256(der).hexdigest()


def server_context(path: str) -> ssl.SSLContext:
    """Return how the destination speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(path)
    return context


def client_context() -> ssl.SSLContext:
    """Return how the source speaks TLS; it then compares the fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _read(path: str) -> bytes:
    with open(path, 'rb') as file:
        text = file.read()
    # Both must be there: a key without its certificate serves nobody.
    serialization.load_pem_private_key(text, None)
    made = x509.load_pem_x509_certificate(text)
    return made.public_bytes(serialization.Encoding.DER)


def _generate(host: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.public_bytes(serialization.Encoding.PEM)


def _write(path: str, text: bytes) -> None:
    part = f'{path}.part'
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, 'wb') as file:
        # Also one that a crash has left may have been made by others.
        os.fchmod(number, 0o600)
        file.write(text)
        file.flush()
        os.fsync(number)
    os.replace(part, path)
