# SPDX-License-Identifier: Apache-2.0
"""The source's HTTPS client for one destination.

It sends nothing before the certificate matches the fingerprint in the transfer
ticket. Every request may be repeated, so a request on a connection that ended
is repeated once on a new connection.
"""

import contextlib
import hmac
import http.client
import socket
import ssl
from typing import Any

import orjson

from minova import cancellation
from minova import exception
from minova.objects.transfer_ticket import TransferEndpoint
from minova.objects.transfer_ticket import TransferTicket
from minova.serving import certificate
from minova.virt.transfer import blocks
from minova.virt.transfer.receiver import Manifest

#: Seconds to connect, and to wait for a response.
_CONNECT_TIMEOUT = 10.0
_RESPONSE_TIMEOUT = 120.0
#: Statuses after which the transfer is retried.
_RETRYABLE_STATUSES = (408, 429, 502, 503, 504)


class _PinnedConnection(http.client.HTTPSConnection):
    """A connection that accepts one certificate only."""

    def __init__(self, endpoint: TransferEndpoint) -> None:
        super().__init__(
            endpoint.address,
            endpoint.port,
            timeout=_CONNECT_TIMEOUT,
            context=certificate.client_context(),
        )
        self._fingerprint = endpoint.fingerprint

    def connect(self) -> None:
        super().connect()
        assert isinstance(self.sock, ssl.SSLSocket)
        found = self.sock.getpeercert(binary_form=True) or b''
        if not hmac.compare_digest(
            certificate.fingerprint(found), self._fingerprint
        ):
            self.close()
            raise _CertificateMismatch
        self.sock.settimeout(_RESPONSE_TIMEOUT)

    def interrupt(self) -> None:
        """End a request that another thread waits for."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                # SSLSocket.shutdown would take the encryption away from the
                # other thread, which still reads.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _CertificateMismatch(Exception):
    """The server has another certificate than the ticket says."""


def require_endpoint(
    uuid: str, transfer_ticket: TransferTicket
) -> TransferEndpoint:
    """Return the endpoint of a ticket; DiskFailed without one."""
    if transfer_ticket.endpoint is None:
        raise exception.DiskFailed(
            instance_id=uuid,
            reason=f'{transfer_ticket.host} receives no disks over the '
            'network; both hosts need the same driver',
        )
    return transfer_ticket.endpoint


class ReceiverClient:
    """Requests about one guest to the host that issued its ticket.

    All raise DiskTransferInterrupted when the host does not answer, and
    DiskFailed when it rejects the request.
    """

    def __init__(self, uuid: str, transfer_ticket: TransferTicket) -> None:
        self._uuid = uuid
        self._host = transfer_ticket.host
        self._token = transfer_ticket.token
        self._endpoint = require_endpoint(uuid, transfer_ticket)
        self._connection = _PinnedConnection(self._endpoint)

    def __enter__(self) -> 'ReceiverClient':
        return self

    def __exit__(self, *details: object) -> None:
        self._connection.close()

    # -- requests ------------------------------------------------------------

    def send_manifest(self, manifest: Manifest) -> bool:
        """Send the manifest; return whether all files have arrived before."""
        return bool(
            self._request('PUT', '', orjson.dumps(manifest.as_dict()))[
                'arrived'
            ]
        )

    def compare(self, path: str, first: int, digests: list[str]) -> list[int]:
        """Return the numbers of the blocks that differ."""
        form = orjson.dumps({'first': first, 'digests': digests})
        return list(self._request('POST', f'/{path}/compare', form)['differ'])

    def send_block(self, path: str, number: int, block: bytes) -> None:
        """Send a block."""
        cells, body = blocks.pack(block)
        where = f'/{path}/blocks/{number}?cells={cells:x}'
        self._request('PUT', where, body)

    def finish(self) -> list[str]:
        """Commit the files; return those that must be compared first."""
        return list(self._request('POST', '/commit', b'')['missing'])

    # -- how -----------------------------------------------------------------

    def _request(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        fresh = self._connection.sock is None
        try:
            try:
                return self._request_once(method, path, body)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if fresh:
                    raise
                return self._request_once(method, path, body)
        except _CertificateMismatch as error:
            raise self._failed(
                'has another certificate than the transfer ticket says; no '
                'data was sent. Check that the address belongs to this host'
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._interrupted(
                f'does not answer: {str(error) or type(error).__name__}'
            ) from error

    def _request_once(
        self, method: str, path: str, body: bytes
    ) -> dict[str, Any]:
        if self._connection.sock is None:
            # A late connection is closed with this client's memory.
            cancellation.call('transfer-connect', self._connection.connect)
        with cancellation.on_cancel(self._connection.interrupt):
            return self._exchange(method, path, body)

    def _exchange(self, method: str, path: str, body: bytes) -> dict[str, Any]:
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
            reason = str(orjson.loads(text)['error'])
        except (orjson.JSONDecodeError, LookupError, TypeError):
            reason = response.reason
        if response.status in _RETRYABLE_STATUSES:
            raise self._interrupted(f'is not ready: {reason}')
        raise self._failed(f'rejected the request: {reason}')

    def _describe(self, text: str) -> str:
        endpoint = self._endpoint
        return (
            f'{self._host} at {endpoint.address}, port {endpoint.port}, {text}'
        )

    def _interrupted(self, text: str) -> exception.DiskTransferInterrupted:
        return exception.DiskTransferInterrupted(
            instance_id=self._uuid, reason=self._describe(text)
        )

    def _failed(self, text: str) -> exception.DiskFailed:
        return exception.DiskFailed(
            instance_id=self._uuid, reason=self._describe(text)
        )
