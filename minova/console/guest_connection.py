# SPDX-License-Identifier: Apache-2.0
"""Connections from the proxy to the consoles of guests.

A VNC or SPICE server has an address or a Unix socket. A serial console is
behind the listener of the guest's host (``compute.console_listener``): over
TLS, with the certificate of the fingerprint that the host gave, and a path
that is valid once.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
import hmac
import socket
import ssl
from typing import Final

from minova import clock
from minova.serving import certificate
from minova.serving import relay

#: The maximum size of the answer to CONNECT.
_MAX_HEAD: Final = 4096
_HEAD_END: Final = b'\r\n\r\n'


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """The console of a token: its instance and the address of the console.

    The address is a Unix socket, or host and port. ``compute`` is the host of
    the instance, ``machine`` the only machine that reaches the address, None
    for any. ``access_path`` and ``fingerprint`` are those of a listener of a
    compute, None for another console.
    """

    instance_uuid: str
    console_type: str
    compute: str
    machine: str | None
    socket: str | None
    host: str | None
    port: int | None
    access_path: str | None = None
    fingerprint: str | None = None

    @classmethod
    def from_reply(cls, reply: Mapping[str, str | int | None]) -> 'Endpoint':
        """Return the endpoint in a reply of ``check_console``."""
        port = reply['port']
        return cls(
            instance_uuid=str(reply['instance_uuid']),
            console_type=str(reply['console_type']),
            compute=str(reply['compute']),
            machine=_text(reply['machine']),
            socket=_text(reply['socket']),
            host=_text(reply['host']),
            port=None if port is None else int(port),
            access_path=_text(reply['access_path']),
            fingerprint=_text(reply['fingerprint']),
        )


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    """Return a connection to the console of ``endpoint``, or OSError.

    Two threads may use it: one that sends, and one that receives.
    """
    if endpoint.socket is not None:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        try:
            made.connect(endpoint.socket)
        except OSError:
            made.close()
            raise
    else:
        address = (endpoint.host, endpoint.port)
        made = socket.create_connection(address, timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay.keep_alive(made)
    if endpoint.access_path is not None:
        return _open_path(made, endpoint)
    made.settimeout(None)
    return made


def _open_path(plain: socket.socket, endpoint: Endpoint) -> socket.socket:
    """Return a console behind the listener of a compute."""
    try:
        secured = certificate.client_context().wrap_socket(plain)
    except OSError:
        plain.close()
        raise
    try:
        _request_path(secured, endpoint)
        ours, theirs = socket.socketpair()
    except OSError:
        secured.close()
        raise
    clock.spawn('console-tls', _relay_and_close, secured, theirs)
    return ours


def _request_path(secured: ssl.SSLSocket, endpoint: Endpoint) -> None:
    found = secured.getpeercert(binary_form=True) or b''
    if not hmac.compare_digest(
        certificate.fingerprint(found), str(endpoint.fingerprint)
    ):
        raise ConnectionError(
            'the listener has another certificate than its host says'
        )
    request = f'CONNECT {endpoint.access_path} HTTP/1.1\r\n\r\n'
    secured.sendall(request.encode())
    head = b''
    while not head.endswith(_HEAD_END):
        # One byte at a time: what follows belongs to the console.
        byte = secured.recv(1)
        head += byte
        if not byte or len(head) > _MAX_HEAD:
            raise ConnectionError('the listener closed the connection')
    status = head.partition(b'\r\n')[0].decode('latin-1')
    if status.split(' ')[1:2] != ['200']:
        raise ConnectionError(f'the listener answered {status}')


def _relay_and_close(secured: socket.socket, plain: socket.socket) -> None:
    with contextlib.closing(secured), contextlib.closing(plain):
        relay.relay(secured, plain)
