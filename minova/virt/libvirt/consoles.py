# SPDX-License-Identifier: Apache-2.0
"""The console logs of guests and the endpoints of their VNC servers.

virtlogd, or QEMU itself, writes the output of the first serial port to a file
on the host. virtlogd renames a large file to ``console.log.0``, the older ones
to ``.1``, ``.2`` and so on.
"""

import os
from typing import Protocol
from xml.etree import ElementTree

from minova import exception
from minova.virt.driver import VncEndpoint
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
        no_vnc_reason: str | None = None,
    ) -> None:
        """``no_vnc_reason`` says why no guest has VNC, None if they have."""
        self._connection = connection
        self._storage = storage
        self._no_vnc_reason = no_vnc_reason

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

    def vnc(self, uuid: str) -> VncEndpoint:
        """Return the VNC endpoint in the definition of the running guest."""
        domain = lookup_domain(self._connection.get(), uuid)
        with translate_errors(uuid):
            text = (
                domain.XMLDesc()
                if domain is not None and domain.isActive()
                else None
            )
        if text is None:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='the guest does not run'
            )
        if self._no_vnc_reason is not None:
            raise exception.ConsoleTypeUnavailable(
                console_type='novnc', reason=self._no_vnc_reason
            )
        screen = parse_vnc_endpoint(text)
        if screen is None:
            raise exception.ConsoleTypeUnavailable(
                console_type='novnc',
                reason='the guest was defined without VNC.',
            )
        return screen


def parse_vnc_endpoint(definition: str) -> VncEndpoint | None:
    """Return the VNC endpoint in the definition of a running guest.

    None without VNC or before a port is assigned.
    """
    root = ElementTree.fromstring(definition)  # noqa: S314  libvirt wrote it
    graphics = root.find("./devices/graphics[@type='vnc']")
    if graphics is None:
        return None
    listens = graphics.findall('listen')
    for listen in listens:
        if listen.get('type') == 'socket' and listen.get('socket'):
            return VncEndpoint(None, None, listen.get('socket'))
    if graphics.get('socket'):
        return VncEndpoint(None, None, graphics.get('socket'))
    port = graphics.get('port', '')
    if not port.isdecimal() or port == '0':
        return None
    # The type network gets an address when the guest runs.
    addresses = [a for one in listens if (a := one.get('address'))]
    host = addresses[0] if addresses else graphics.get('listen')
    return VncEndpoint(host or '127.0.0.1', int(port))


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
