# SPDX-License-Identifier: Apache-2.0
"""The console logs of guests and the endpoints of their graphics servers.

virtlogd, or QEMU itself, writes the output of the first serial port to a file
on the host. virtlogd renames a large file to ``console.log.0``, the older ones
to ``.1``, ``.2`` and so on.
"""

import os
from typing import Protocol
from xml.etree import ElementTree

from minova import exception
from minova.virt.driver import graphics_protocol
from minova.virt.driver import GraphicsEndpoint
from minova.virt.libvirt import spice
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import lookup_domain
from minova.virt.libvirt.errors import translate_errors

#: The number of rotated files to read; virtlogd keeps three.
_MAX_ROTATED = 3


class ConsoleStorage(Protocol):
    """The place of console logs."""

    def console_log(self, uuid: str) -> str:
        """Return the path of the log of the first serial port."""


class Consoles:
    """The consoles of the guests of ``connection``."""

    def __init__(
        self,
        connection: Connection,
        storage: ConsoleStorage,
        no_graphics_reason: str | None = None,
    ) -> None:
        """``no_graphics_reason`` says why no guest has a graphics server."""
        self._connection = connection
        self._storage = storage
        self._no_graphics_reason = no_graphics_reason

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Read the end of the log and of its rotated files.

        GuestFailed when a file exists and cannot be read.
        """
        path = self._storage.console_log(uuid)
        try:
            return _read_log_tail(path, max_bytes)
        except OSError as error:
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'the console log cannot be read: {error}',
            ) from error

    def graphics(self, uuid: str, console_type: str) -> GraphicsEndpoint:
        """Return the endpoint in the definition of the running guest."""
        text = self.running_definition(uuid)
        if self._no_graphics_reason is not None:
            raise exception.ConsoleTypeUnavailable(
                console_type=console_type, reason=self._no_graphics_reason
            )
        protocol = graphics_protocol(console_type)
        found = parse_graphics_endpoint(text, protocol)
        if found is None:
            raise exception.ConsoleTypeUnavailable(
                console_type=console_type,
                reason=(
                    spice.missing_reason()
                    if protocol == 'spice'
                    else 'the guest was defined without VNC.'
                ),
            )
        return found

    def running_definition(self, uuid: str) -> str:
        """Return the definition of a running guest; else InstanceNotReady."""
        domain = lookup_domain(self._connection.get(), uuid)
        with translate_errors(uuid):
            text: str | None = (
                domain.XMLDesc()
                if domain is not None and domain.isActive()
                else None
            )
        if text is None:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='the guest does not run'
            )
        return text


def parse_graphics_endpoint(
    definition: str, protocol: str
) -> GraphicsEndpoint | None:
    """Return the VNC or SPICE endpoint in the definition of a running guest.

    None without such a server or before a port is assigned.
    """
    root = ElementTree.fromstring(definition)  # noqa: S314  libvirt wrote it
    graphics = root.find(f"./devices/graphics[@type='{protocol}']")
    if graphics is None:
        return None
    listens = graphics.findall('listen')
    for listen in listens:
        if listen.get('type') == 'socket' and listen.get('socket'):
            return GraphicsEndpoint(None, None, listen.get('socket'))
    if graphics.get('socket'):
        return GraphicsEndpoint(None, None, graphics.get('socket'))
    port, tls_port = (
        _port(graphics.get(name, '')) for name in ('port', 'tlsPort')
    )
    if port is None and tls_port is None:
        return None
    # The type network gets an address when the guest runs.
    addresses = [a for one in listens if (a := one.get('address'))]
    host = addresses[0] if addresses else graphics.get('listen')
    return GraphicsEndpoint(host or '127.0.0.1', port, tls_port=tls_port)


def _port(text: str) -> int | None:
    """Return a port; None for -1 and 0, which libvirt replaces."""
    return int(text) if text.isdecimal() and text != '0' else None


def _read_log_tail(path: str, size: int) -> bytes:
    """Return the last ``size`` bytes of a log and its rotated files."""
    found = b''
    for name in (
        path,
        *(f'{path}.{number}' for number in range(_MAX_ROTATED)),
    ):
        found = _read_tail(name, size - len(found)) + found
        if len(found) >= size:
            break
    return found


def _read_tail(path: str, size: int) -> bytes:
    """Return at most ``size`` bytes; none of a missing file."""
    try:
        with open(path, 'rb') as file:
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - size))
            # The file may have grown or been truncated meanwhile.
            return file.read(size)
    except FileNotFoundError:
        return b''
