# SPDX-License-Identifier: Apache-2.0
"""The serial consoles of QEMU guests, as streams of libvirt.

A guest's first serial port is a pseudo-terminal of the host, which only root
may open; libvirt opens it (virDomainOpenConsole) and relays its bytes. The
guest keeps the terminal for as long as its process runs, and has one at the
new host after a migration. Its output goes to the console log too.
"""

import contextlib
import socket
from typing import Final

import libvirt

from minova import clock
from minova.virt.libvirt.consoles import Consoles
from minova.virt.libvirt.errors import translate_errors

_CHUNK_BYTES: Final = 65536


class QemuConsoles(Consoles):
    """The consoles of the guests of a QEMU host."""

    def check_serial_console(self, uuid: str) -> None:
        """Require a guest that runs; each has a serial port."""
        self.running_definition(uuid)

    def open_serial_console(self, uuid: str) -> socket.socket:
        """Open the console by libvirt; the previous connection ends.

        Two threads serve it until it ends, on a connection of its own.
        """
        self.running_definition(uuid)
        with contextlib.ExitStack() as stack:
            conn = stack.enter_context(self._connection.dedicated())
            with translate_errors(uuid):
                stream = conn.newStream()
                conn.lookupByUUIDString(uuid).openConsole(
                    None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE
                )
            ours, theirs = socket.socketpair()
            clock.spawn(
                'serial-console', _serve, stream, theirs, stack.pop_all()
            )
        return ours


def _serve(
    stream: libvirt.virStream,
    end: socket.socket,
    stack: contextlib.ExitStack,
) -> None:
    """Relay until the guest or the other end closes; then close both."""
    with stack, contextlib.closing(end):
        sender = clock.spawn('serial-input', _copy_to_guest, stream, end)
        with contextlib.suppress(libvirt.libvirtError, OSError):
            while chunk := stream.recv(_CHUNK_BYTES):
                end.sendall(chunk)
        # The sender waits for data of the other end.
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        sender.join()


def _copy_to_guest(stream: libvirt.virStream, end: socket.socket) -> None:
    with contextlib.suppress(libvirt.libvirtError, OSError):
        while chunk := end.recv(_CHUNK_BYTES):
            while chunk:
                chunk = chunk[stream.send(chunk) :]
    # Ends the receiver, which waits for the guest.
    with contextlib.suppress(libvirt.libvirtError):
        stream.abort()
