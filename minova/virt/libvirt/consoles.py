# SPDX-License-Identifier: Apache-2.0
"""What the guests of a libvirt say, and where their screens are.

What a guest says on its first serial port is in a file of the host, which
libvirt's virtlogd or QEMU itself writes. virtlogd puts a file that grew large
aside as ``console.log.0`` and the older ones as ``.1``, ``.2`` and so on.
"""

import os
from typing import Protocol
from xml.etree import ElementTree

from minova import exception
from minova.virt.driver import VncEndpoint
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import lookup_domain
from minova.virt.libvirt.connection import translate_errors

#: How many older files are looked into; virtlogd keeps three.
_MAX_ROTATED = 3


class ConsoleStorage(Protocol):
    """What must be known of where a guest's files are."""

    def console_log(self, uuid: str) -> str:
        """Return the file that keeps what the guest says."""


class Consoles:
    """The consoles of the guests that the libvirt of ``connection`` has."""

    def __init__(
        self,
        connection: Connection,
        storage: ConsoleStorage,
        no_vnc_reason: str | None = None,
    ) -> None:
        """``no_vnc_reason`` says why guests have no VNC, if so."""
        self._connection = connection
        self._storage = storage
        self._no_vnc_reason = no_vnc_reason

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Read the end of the guest's log, and of what was put aside of it.

        GuestFailed when a file is there and cannot be read.
        """
        path = self._storage.console_log(uuid)
        try:
            return _read_log_tail(path, max_bytes)
        except OSError as error:
            raise exception.GuestFailed(
                instance_id=uuid,
                reason=f'its console log cannot be read: {error}',
            ) from error

    def vnc(self, uuid: str) -> VncEndpoint:
        """Read in the running guest's definition where it listens."""
        domain = lookup_domain(self._connection.get(), uuid)
        with translate_errors(uuid):
            text = (
                domain.XMLDesc()
                if domain is not None and domain.isActive()
                else None
            )
        if text is None:
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='its guest does not run'
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
    """Return where a running guest's definition says that its VNC is.

    None when it has none, or no port yet.
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
    # Of type network it has an address once the guest runs.
    addresses = [a for one in listens if (a := one.get('address'))]
    host = addresses[0] if addresses else graphics.get('listen')
    return VncEndpoint(host or '127.0.0.1', int(port))


def _read_log_tail(path: str, size: int) -> bytes:
    """Return the last ``size`` bytes of a log and of its older files."""
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
    """Return at most ``size`` bytes; none of a file that is not there."""
    try:
        with open(path, 'rb') as file:
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - size))
            # It may have grown or been cut since.
            return file.read(size)
    except FileNotFoundError:
        return b''
