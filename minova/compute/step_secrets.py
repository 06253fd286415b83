# SPDX-License-Identifier: Apache-2.0
"""The secrets of steps, which are in the memory of this process only."""

import base64
from collections.abc import Iterator
import contextlib
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from minova import cancellation
from minova import clock

#: Seconds between two checks for a secret that has not arrived.
_POLL_INTERVAL: Final = 0.2


class StepSecrets:
    """The secrets of the steps of one host, by the id of the step."""

    def __init__(self) -> None:
        self._guard = clock.lock()
        self._secrets: dict[str, str] = {}

    @contextlib.contextmanager
    def hold(self, step: str, secret: str) -> Iterator[None]:
        """Keep the secret of a step until the context ends."""
        with self._guard:
            self._secrets[step] = secret
        try:
            yield
        finally:
            with self._guard:
                self._secrets.pop(step, None)

    def get(self, step: str, timeout: float) -> str | None:
        """Return the secret of a step; None if it does not arrive in time."""
        until = clock.monotonic() + timeout
        while True:
            with self._guard:
                found = self._secrets.get(step)
            if found is not None or clock.monotonic() >= until:
                return found
            cancellation.wait(_POLL_INTERVAL)


def encrypt_for_key(secret: str, public_key: str | None) -> str | None:
    """Encrypt a secret for the owner of an SSH key; None without an RSA key.

    The form is the one that ``nova get-password`` and ``openssl pkeyutl
    -decrypt`` read: RSA with PKCS #1 v1.5, in base64.
    """
    if public_key is None:
        return None
    try:
        key = load_ssh_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    try:
        sealed = key.encrypt(secret.encode(), padding.PKCS1v15())
    except ValueError:
        # The secret is too long for the key.
        return None
    return base64.b64encode(sealed).decode()
