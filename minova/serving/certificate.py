# SPDX-License-Identifier: Apache-2.0
"""The self-signed certificate of a TLS server of a host.

A client knows its fingerprint from a message that the host signed, so no
authority signs the certificate: a source of disks from the transfer ticket, a
console proxy from a conductor. Certificate and key are in one file that only
the service can read.
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

#: The validity in the certificate. Clients compare the fingerprint only.
_VALIDITY = datetime.timedelta(days=36500)


def ensure_certificate(path: str, host: str) -> str:
    """Create a certificate and key unless they exist; return the fingerprint.

    An invalid file is replaced. Clients with the old fingerprint fail then:
    transfers of disks start over with a new ticket.
    """
    try:
        return fingerprint(_read(path))
    except (FileNotFoundError, ValueError):
        _write(path, _generate(host))
    return fingerprint(_read(path))


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate in DER form."""
    return hashlib.sha256(der).hexdigest()


def server_context(path: str) -> ssl.SSLContext:
    """Return the TLS context of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(path)
    return context


def client_context() -> ssl.SSLContext:
    """Return the TLS context of a client, which checks the fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _read(path: str) -> bytes:
    with open(path, 'rb') as file:
        text = file.read()
    # Both are required: a key without its certificate is useless.
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
        # Remove a file that a crash left: its mode may differ.
        os.fchmod(number, 0o600)
        file.write(text)
        file.flush()
        os.fsync(number)
    os.replace(part, path)
