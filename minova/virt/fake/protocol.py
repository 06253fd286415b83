# SPDX-License-Identifier: Apache-2.0
"""What crosses the socket between a compute and the fake hypervisor.

A frame is its length, four bytes, the highest first, and so many bytes of
JSON. A question is ``{"host": H, "call": C, "args": [...], "kwargs": {...}}``,
without a host for one that is put to the world and not to a host. Its answer
is ``{"answer": V}``, or ``{"error": CLASS, "kwargs": {...}}`` with a class of
``minova.exception``. One question is asked at a time on a connection.
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
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.driver import Inventory
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.driver import VncEndpoint

Json = dict[str, Any]

_LENGTH = struct.Struct('>I')
#: Marks an object of one of the classes below.
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


_CLASSES: dict[str, Callable[[Json], object]] = {
    'Guest': _guest,
    'Inventory': lambda values: Inventory(**values),
    'Object': lambda values: Object.from_wire(values['object']),
    'MigrationStatus': lambda values: MigrationStatus(**values),
    'Peer': lambda values: Peer(**values),
    'TransferProgress': lambda values: TransferProgress(**values),
    'VncEndpoint': lambda values: VncEndpoint(**values),
    'GuestSpec': _spec,
    'bytes': lambda values: base64.b64decode(values['base64']),
}


def encode(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, list | tuple):
        return [encode(one) for one in value]
    name = type(value).__name__
    if isinstance(value, bytes):
        return {'base64': base64.b64encode(value).decode(), _CLASS: name}
    if isinstance(value, Object):
        return {'object': value.to_wire(), _CLASS: 'Object'}
    if name in _CLASSES:
        return dataclasses.asdict(value) | {_CLASS: name}
    return value


def decode(value: Any) -> Any:
    """Return what ``encode`` was given; a list for a tuple."""
    if isinstance(value, list):
        return [decode(one) for one in value]
    if isinstance(value, dict) and _CLASS in value:
        values = dict(value)
        return _CLASSES[values.pop(_CLASS)](values)
    return value


def encode_error(error: exception.MinovaException) -> Json:
    """Return the answer that an error is."""
    return {'error': type(error).__name__, 'kwargs': error.kwargs}


def unpack_answer(answer: Json) -> Any:
    """Return the value of an answer, or raise its error."""
    if 'error' in answer:
        raise getattr(exception, answer['error'])(**answer['kwargs'])
    return decode(answer['answer'])


def send(connection: socket.socket, frame: Json) -> None:
    """Send a frame; OSError when the other side is gone."""
    # Enums go as their numbers.
    body = orjson.dumps(frame)
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> Json | None:
    """Wait for a frame; None when the other side has hung up."""
    head = _read(connection, _LENGTH.size)
    body = head and _read(connection, _LENGTH.unpack(head)[0])
    if not body:
        return None
    frame: Json = orjson.loads(body)
    return frame


def _read(connection: socket.socket, size: int) -> bytes | None:
    """Read so many bytes; None when the connection ends before."""
    found = bytearray()
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            return None
        found += more
    return bytes(found)
