# SPDX-License-Identifier: Apache-2.0
"""The consoles of guests."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class VncEndpoint:
    """The VNC server of a guest.

    Either ``host`` and ``port`` or a Unix ``socket`` on the hypervisor's
    machine. ``host`` may be a loopback or a wildcard address.
    """

    host: str | None
    port: int | None
    socket: str | None = None


class ConsoleInterface(Protocol):
    """The consoles of guests."""

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the end of the output of the guest's first serial port.

        Empty without output.
        """

    def vnc(self, uuid: str) -> VncEndpoint:
        """Return the VNC endpoint of the guest.

        Raises InstanceNotReady for an unknown guest and one that is off,
        ConsoleTypeUnavailable when guests have no VNC.
        """
