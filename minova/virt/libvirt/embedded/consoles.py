# SPDX-License-Identifier: Apache-2.0
"""The consoles of the guests of an embedded host."""

import socket

from minova.virt import simulated_console
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.consoles import Consoles
from minova.virt.libvirt.consoles import ConsoleStorage


class EmbeddedConsoles(Consoles):
    """Serial consoles are simulated; there are no others."""

    def __init__(
        self, connection: Connection, storage: ConsoleStorage
    ) -> None:
        super().__init__(
            connection,
            storage,
            'guests of embedded hosts have no graphics server.',
        )

    def check_serial_console(self, uuid: str) -> None:
        """Require a guest that runs."""
        self.running_definition(uuid)

    def open_serial_console(self, uuid: str) -> socket.socket:
        """Return a simulated console."""
        self.running_definition(uuid)
        return simulated_console.connect(uuid)
