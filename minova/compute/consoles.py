# SPDX-License-Identifier: Apache-2.0
"""What the hypervisor says of a guest's consoles, as others can use it."""

import ipaddress
import re
from typing import Final

from minova import machine_id
from minova.conf import CONF
from minova.virt.driver import VncEndpoint

#: How much of a console is told, in bytes: it travels in one message.
MAX_OUTPUT_BYTES: Final = 100 * 1024

#: What XML cannot hold, and a client's screen should not be sent.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)


def decode_output(output: bytes, lines: int | None) -> str:
    """Return what a guest said as text, the last ``lines`` of it or all.

    What is no UTF-8 is shown as a replacement character, what clients cannot
    take is left out. An end of line at the very end is none of the lines.
    """
    whole = _UNWRITABLE.sub('', output.decode(errors='replace'))
    if lines is None:
        return whole
    if lines <= 0:
        return ''
    return '\n'.join(whole.removesuffix('\n').split('\n')[-lines:])


def get_connect_info(endpoint: VncEndpoint) -> dict[str, str | int | None]:
    """Return how a proxy reaches a screen, and from which machine alone."""
    if endpoint.socket is not None:
        return _connect_info(
            None, None, endpoint.socket, machine_id.mount_namespace_id()
        )
    assert endpoint.host is not None
    address = _address(endpoint.host)
    if address is not None and address.is_unspecified:
        # It listens on all; this one is known to lead here from elsewhere.
        return _connect_info(
            CONF.my_ip, endpoint.port, None, _local_machine_id(CONF.my_ip)
        )
    return _connect_info(
        endpoint.host, endpoint.port, None, _local_machine_id(endpoint.host)
    )


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
    host: str | None, port: int | None, socket: str | None, only: str | None
) -> dict[str, str | int | None]:
    return {'host': host, 'port': port, 'socket': socket, 'machine': only}
