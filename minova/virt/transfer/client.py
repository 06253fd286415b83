# SPDX-License-Identifier: Apache-2.0
"""The source's end of transfers: requests to one destination.

Nothing is said before the certificate was seen to be the one that the
invitation names. Each request is made once more over a new connection when
the old one has ended, for every request may be repeated.
"""

import hmac
import http.client
import ssl
from typing import Any

import orjson

from minova import exception
from minova.virt.transfer import certificate
from minova.virt.transfer import ranges

#: Seconds to connect, and to wait for an answer.
_CONNECT = 10.0
_ANSWER = 120.0
#: Statuses that say nothing against the transfer: it is tried again.
_LATER = (408, 429, 502, 503, 504)


class _Pinned(http.client.HTTPSConnection):
    """A connection to whoever has one certificate."""

    def __init__(self, address: str, port: int, fingerprint: str) -> None:
        super().__init__(
            address,
            port,
            timeout=_CONNECT,
            context=certificate.client_context(),
        )
        self._fingerprint = fingerprint

    def connect(self) -> None:
        super().connect()
        assert isinstance(self.sock, ssl.SSLSocket)
        found = self.sock.getpeercert(binary_form=True) or b''
        if not hmac.compare_digest(
            certificate.fingerprint(found), self._fingerprint
        ):
            self.close()
            raise _AnotherCertificate
        self.sock.settimeout(_ANSWER)


class _AnotherCertificate(Exception):
    """Who answers is not the host that has invited."""


class Link:
    """Requests about one guest, to the host that has invited it.

    All raise HandOverInterrupted when the host does not answer, and
    DiskFailed for what it refuses.
    """

    def __init__(self, uuid: str, invitation: dict[str, Any]) -> None:
        self._uuid = uuid
        self._host = str(invitation['host'])
        self._token = str(invitation['token'])
        self._where = str(invitation['address']), int(invitation['port'])
        self._connection = _Pinned(
            *self._where, str(invitation['fingerprint'])
        )

    def __enter__(self) -> 'Link':
        return self

    def __exit__(self, *trouble: object) -> None:
        self._connection.close()

    # -- requests ------------------------------------------------------------

    def plan(self, plan: dict[str, Any]) -> bool:
        """Tell what will come; True when it has arrived before."""
        return bool(self._ask('PUT', '', orjson.dumps(plan))['arrived'])

    def compare(self, path: str, first: int, digests: list[str]) -> list[int]:
        """Return which blocks are not there as they should be."""
        form = orjson.dumps({'first': first, 'digests': digests})
        return list(self._ask('POST', f'/{path}/compare', form)['differ'])

    def send(self, path: str, number: int, block: bytes) -> None:
        """Send a block."""
        cells, body = ranges.pack(block)
        where = f'/{path}/blocks/{number}?cells={cells:x}'
        self._ask('PUT', where, body)

    def finish(self) -> list[str]:
        """Have it all named; return what must be compared again before."""
        return list(self._ask('POST', '/whole', b'')['missing'])

    # -- how -----------------------------------------------------------------

    def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        fresh = self._connection.sock is None
        try:
            try:
                return self._try(method, path, body)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if fresh:
                    raise
                return self._try(method, path, body)
        except _AnotherCertificate as error:
            raise self._failed(
                'has another certificate than its invitation says, so nothing '
                'was said to it; is it the host at that address?'
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._interrupted(
                f'does not answer: {str(error) or type(error).__name__}'
            ) from error

    def _try(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        self._connection.request(
            method,
            f'/v1/{self._uuid}{path}',
            body,
            {
                'Authorization': f'Bearer {self._token}',
                'Content-Length': str(len(body)),
            },
        )
        response = self._connection.getresponse()
        text = response.read()
        if response.status == http.client.OK:
            answer: dict[str, Any] = orjson.loads(text)
            return answer
        try:
            words = str(orjson.loads(text)['error'])
        except (orjson.JSONDecodeError, LookupError, TypeError):
            words = response.reason
        if response.status in _LATER:
            raise self._interrupted(f'cannot now: {words}')
        raise self._failed(f'refuses: {words}')

    def _words(self, text: str) -> str:
        address, port = self._where
        return f'{self._host} at {address}, port {port}, {text}'

    def _interrupted(self, text: str) -> exception.HandOverInterrupted:
        return exception.HandOverInterrupted(
            instance_id=self._uuid, reason=self._words(text)
        )

    def _failed(self, text: str) -> exception.DiskFailed:
        return exception.DiskFailed(
            instance_id=self._uuid, reason=self._words(text)
        )
