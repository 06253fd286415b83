# SPDX-License-Identifier: Apache-2.0
"""The messages between a compute service and the fake hypervisor.

A frame is a length of four bytes, big-endian, and that many bytes of JSON. A
request is ``{"host": H, "call": C, "args": [...], "kwargs": {...}}``; host is
null for a call of the world. The response is ``{"answer": V}``, or ``{"error":
CLASS, "kwargs": {...}}`` with a class of ``minova.exception``. A connection
has one request at a time.
"""

import base64
from collections.abc import Callable
import dataclasses
import socket
import struct
from typing import Any

import orjson

from minova import exception
from minova.objects.base import Object
from minova.states import PowerState
from minova.virt.driver import ConfigDrive
from minova.virt.driver import DiskSnapshot
from minova.virt.driver import Driver
from minova.virt.driver import GraphicsEndpoint
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.driver import Inventory
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress

Json = dict[str, Any]

_LENGTH = struct.Struct('>I')
#: What the compute service does itself: a file descriptor is no message.
_LOCAL = ('uses_images', 'close', 'open_serial_console')
#: The calls of a host.
DRIVER_CALLS = frozenset(
    name
    for base in Driver.__mro__
    for name in vars(base)
    if not name.startswith('_') and name not in _LOCAL
)
#: The key that names the class of an object.
_CLASS = '~'


def _spec(values: Json) -> GuestSpec:
    drive = values.get('config_drive')
    return GuestSpec(
        **values
        | {
            'nics': tuple(values['nics']),
            'config_drive': drive and ConfigDrive(**drive),
        }
    )


def _guest(values: Json) -> Guest:
    return Guest(**(values | {'power': PowerState(values['power'])}))


def _snapshot(values: Json) -> DiskSnapshot:
    return DiskSnapshot(**(values | {'content': decode(values['content'])}))


_CLASSES: dict[str, Callable[[Json], object]] = {
    'DiskSnapshot': _snapshot,
    'Guest': _guest,
    'Inventory': lambda values: Inventory(**values),
    'Object': lambda values: Object.from_wire(values['object']),
    'MigrationStatus': lambda values: MigrationStatus(**values),
    'Peer': lambda values: Peer(**values),
    'TransferProgress': lambda values: TransferProgress(**values),
    'GraphicsEndpoint': lambda values: GraphicsEndpoint(**values),
    'GuestSpec': _spec,
    'bytes': lambda values: base64.b64decode(values['base64']),
}


def encode(value: Any) -> Any:
    """Return a value in its JSON form."""
    if isinstance(value, list | tuple):
        return [encode(one) for one in value]
    name = type(value).__name__
    if isinstance(value, bytes):
        return {'base64': base64.b64encode(value).decode(), _CLASS: name}
    if isinstance(value, Object):
        return {'object': value.to_wire(), _CLASS: 'Object'}
    if isinstance(value, DiskSnapshot):
        values = dataclasses.asdict(value)
        return values | {'content': encode(value.content), _CLASS: name}
    if name in _CLASSES:
        return dataclasses.asdict(value) | {_CLASS: name}
    return value


def decode(value: Any) -> Any:
    """Return the value of a JSON form; a list for a tuple."""
    if isinstance(value, list):
        return [decode(one) for one in value]
    if isinstance(value, dict) and _CLASS in value:
        values = dict(value)
        return _CLASSES[values.pop(_CLASS)](values)
    return value


def encode_error(error: exception.MinovaException) -> Json:
    """Return the response for an error."""
    return {'error': type(error).__name__, 'kwargs': error.kwargs}


def unpack_answer(answer: Json) -> Any:
    """Return the value of a response, or raise its error."""
    if 'error' in answer:
        raise getattr(exception, answer['error'])(**answer['kwargs'])
    return decode(answer['answer'])


def send(connection: socket.socket, frame: Json) -> None:
    """Send a frame; OSError when the connection ended."""
    # Enums are encoded as their numbers.
    body = orjson.dumps(frame)
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> Json | None:
    """Wait for a frame; None when the connection ended."""
    head = _read(connection, _LENGTH.size)
    body = head and _read(connection, _LENGTH.unpack(head)[0])
    if not body:
        return None
    frame: Json = orjson.loads(body)
    return frame


def _read(connection: socket.socket, size: int) -> bytes | None:
    """Read ``size`` bytes; None when the connection ends before."""
    found = bytearray()
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            return None
        found += more
    return bytes(found)
