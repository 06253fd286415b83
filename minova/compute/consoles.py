# SPDX-License-Identifier: Apache-2.0
"""Console output and addresses of consoles for clients and proxies."""

import ipaddress
import re
from typing import Final

from minova import exception
from minova import machine_id
from minova.conf import CONF
from minova.virt.driver import GraphicsEndpoint

#: Bytes of console output in one answer, which is one message.
MAX_OUTPUT_BYTES: Final = 100 * 1024

#: Characters that XML does not allow; a terminal may act on them.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)


def decode_output(output: bytes, lines: int | None) -> str:
    """Return console output as text: the last ``lines`` lines, or all.

    Bytes that are not UTF-8 become replacement characters, and characters
    that XML does not allow are removed. A newline at the end starts no line.
    """
    whole = _UNWRITABLE.sub('', output.decode(errors='replace'))
    if lines is None:
        return whole
    if lines <= 0:
        return ''
    return '\n'.join(whole.removesuffix('\n').split('\n')[-lines:])


def require_plain(endpoint: GraphicsEndpoint, console_type: str) -> None:
    """Raise ConsoleTypeUnavailable when the proxy cannot relay a server.

    The websocket proxy speaks no TLS to guests; a native client does.
    """
    if endpoint.socket is None and endpoint.port is None:
        raise exception.ConsoleTypeUnavailable(
            console_type=console_type,
            reason='the server of the guest accepts TLS only ([spice] '
            'require_secure). Request the type spice-direct.',
        )


def get_connect_info(
    endpoint: GraphicsEndpoint,
) -> dict[str, str | int | None]:
    """Return the address of a server for a proxy, as the RPC answer."""
    if endpoint.socket is not None:
        return _connect_info(
            None, None, endpoint.socket, machine_id.mount_namespace_id()
        )
    assert endpoint.host is not None
    address = _address(endpoint.host)
    if address is not None and address.is_unspecified:
        # It listens on all addresses; other machines use this one.
        host = CONF.my_ip
    else:
        host = endpoint.host
    reply = _connect_info(host, endpoint.port, None, _local_machine_id(host))
    return reply | {'tls_port': endpoint.tls_port}


def listener_connect_info(
    host: str, port: int, access_path: str, fingerprint: str
) -> dict[str, str | int | None]:
    """Return the address of a console behind the listener of this host."""
    reply = get_connect_info(GraphicsEndpoint(host, port))
    return reply | {'access_path': access_path, 'fingerprint': fingerprint}


def _local_machine_id(host: str) -> str | None:
    address = _address(host)
    is_own = host == 'localhost' or (
        address is not None and address.is_loopback
    )
    return machine_id.network_namespace_id() if is_own else None


def _address(
    host: str,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _connect_info(
    host: str | None, port: int | None, socket: str | None, machine: str | None
) -> dict[str, str | int | None]:
    return {
        'host': host,
        'port': port,
        'tls_port': None,
        'socket': socket,
        'machine': machine,
        'access_path': None,
        'fingerprint': None,
    }
