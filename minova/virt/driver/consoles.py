# SPDX-License-Identifier: Apache-2.0
"""The consoles of guests."""

import dataclasses
import socket
from typing import Final
from typing import Protocol

from minova import exception

#: The type for native clients, which have a proxy of their own.
SPICE_DIRECT: Final = 'spice-direct'
#: The protocol of each type of console that a graphics server has.
_GRAPHICS_PROTOCOLS: Final = {
    'novnc': 'vnc',
    'spice-html5': 'spice',
    SPICE_DIRECT: 'spice',
}


def graphics_protocol(console_type: str) -> str:
    """Return the protocol of a console type of graphics servers.

    Raises ConsoleTypeUnavailable for another type, such as one that a newer
    API service knows.
    """
    if console_type not in _GRAPHICS_PROTOCOLS:
        raise exception.ConsoleTypeUnavailable(
            console_type=console_type,
            reason='the release of its host does not have this type.',
        )
    return _GRAPHICS_PROTOCOLS[console_type]


@dataclasses.dataclass(frozen=True)
class GraphicsEndpoint:
    """The VNC or SPICE server of a guest.

    Either ``host`` and ``port`` or a Unix ``socket`` on the hypervisor's
    machine. ``host`` may be a loopback or a wildcard address. Only SPICE has a
    ``tls_port``, and only where QEMU has a certificate; ``port`` is None
    where it accepts TLS only.
    """

    host: str | None
    port: int | None
    socket: str | None = None
    tls_port: int | None = None


class ConsoleInterface(Protocol):
    """The consoles of guests."""

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the end of the output of the guest's first serial port.

        Empty without output.
        """

    def graphics(self, uuid: str, console_type: str) -> GraphicsEndpoint:
        """Return the endpoint of the guest's server for a console type.

        Raises InstanceNotReady for an unknown guest and one that is off,
        ConsoleTypeUnavailable for a guest without such a server.
        """

    def check_serial_console(self, uuid: str) -> None:
        """Check that ``open_serial_console`` is possible.

        Raises InstanceNotReady for an unknown guest and one that is off.
        """

    def open_serial_console(self, uuid: str) -> socket.socket:
        """Return a connection to the guest's first serial port.

        It ends with the guest's process, and when another connection is
        opened: a serial port has one at a time. Raises InstanceNotReady for an
        unknown guest and one that is off.
        """
