# SPDX-License-Identifier: Apache-2.0
"""What the hypervisor says of a guest's consoles, as others can use it."""

import ipaddress
import re
from typing import Any
from typing import Final

from minova import machine
from minova.conf import CONF
from minova.virt.driver import Screen

#: How much of a console is told, in bytes: it travels in one message.
MOST: Final = 100 * 1024

#: What XML cannot hold, and a client's screen should not be sent.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)


def text(said: bytes, lines: int | None) -> str:
    """Return what a guest said as text, the last ``lines`` of it or all.

    What is no UTF-8 is shown as a replacement character, what clients cannot
    take is left out. An end of line at the very end is none of the lines.
    """
    whole = _UNWRITABLE.sub('', said.decode(errors='replace'))
    if lines is None:
        return whole
    if lines <= 0:
        return ''
    return '\n'.join(whole.removesuffix('\n').split('\n')[-lines:])


def way_to(screen: Screen) -> dict[str, Any]:
    """Return how a proxy reaches a screen, and from which machine alone."""
    if screen.socket is not None:
        return _way(None, None, screen.socket, machine.files())
    assert screen.host is not None
    address = _address(screen.host)
    if address is not None and address.is_unspecified:
        # It listens on all; this one is known to lead here from elsewhere.
        return _way(CONF.my_ip, screen.port, None, _only(CONF.my_ip))
    return _way(screen.host, screen.port, None, _only(screen.host))


def _only(host: str) -> str | None:
    address = _address(host)
    is_own = host == 'localhost' or (
        address is not None and address.is_loopback
    )
    return machine.network() if is_own else None


def _address(
    host: str,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _way(
    host: str | None, port: int | None, socket: str | None, only: str | None
) -> dict[str, Any]:
    return {'host': host, 'port': port, 'socket': socket, 'machine': only}
