# SPDX-License-Identifier: Apache-2.0
"""The listening socket of the transfer server.

A transfer ticket names its port, so the port survives a restart.
"""

import contextlib
import os
import socket

from minova import exception
from minova.conf import CONF


def open_socket(port_file: str) -> socket.socket:
    """Return a socket that listens at the configured address and port.

    With port 0 the kernel chooses a port; ``port_file`` stores it, and the
    next start uses it again if it is free. Raises ConfigInvalid.
    """
    address, port = CONF.compute.transfer_address, CONF.compute.transfer_port
    if port:
        return _listen(address, port)
    before = _read(port_file)
    if before:
        with contextlib.suppress(exception.ConfigInvalid):
            return _listen(address, before)
    bound = _listen(address, 0)
    try:
        with open(f'{port_file}.part', 'w', encoding='ascii') as file:
            file.write(f'{bound.getsockname()[1]}\n')
        os.replace(f'{port_file}.part', port_file)
    except OSError as error:
        bound.close()
        raise exception.ConfigInvalid(
            reason=f'[DEFAULT] state_path: {port_file}: {error.strerror}'
        ) from error
    return bound


def _read(path: str) -> int:
    try:
        with open(path, encoding='ascii') as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return 0


def _listen(address: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            address,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, kind, protocol, _, where = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _invalid(address, port, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        bound.listen(64)
    except OSError as error:
        bound.close()
        raise _invalid(address, port, error) from error
    return bound


def _invalid(
    address: str, port: int, error: OSError
) -> exception.ConfigInvalid:
    return exception.ConfigInvalid(
        reason=f'[compute] transfer_address {address}, transfer_port {port}: '
        f'cannot listen there: {error.strerror or error}'
    )
