# SPDX-License-Identifier: Apache-2.0
"""The networks in the body of a create."""

import ipaddress
import re
from typing import Final

from minova import exception
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.network import NetworkRequest

#: The maximum number of nics of a guest.
MAX_NICS: Final = 16


def parse_networks(server: Json, count: int) -> list[NetworkRequest] | None:
    """Return the nics in a body; None selects the only network.

    ``count`` is the number of servers in the request. Raises InvalidInput.
    """
    named = server.get('networks')
    if named == 'none':
        return []
    if named == 'auto' or not named:
        return None
    if len(named) > MAX_NICS:
        raise _invalid_input(
            'networks', f'a server has at most {MAX_NICS} of them'
        )
    found = [
        _parse_network(network, f'networks[{number}]')
        for number, network in enumerate(named)
    ]
    if count > 1 and any(one.address for one in found):
        raise _invalid_input(
            'networks',
            'several servers cannot have the same fixed_ip; omit it or create '
            'one server at a time',
        )
    return found


def _parse_network(network: Json, path: str) -> NetworkRequest:
    if network.get('port') is not None:
        raise _invalid_input(
            f'{path}.port',
            'Minova creates a port with its server, so a port cannot be '
            'named; name a network, and its fixed_ip if needed',
        )
    uuid = network.get('uuid')
    if uuid is None:
        raise _invalid_input(
            f'{path}.uuid', 'must contain the UUID of a network'
        )
    if not re.match(types.UUID['pattern'], uuid):
        raise _invalid_input(
            f'{path}.uuid', f'must be {types.UUID["explain"]}'
        )
    address = network.get('fixed_ip')
    if address is not None:
        try:
            # A scope id, as in fe80::1%eth0, is not part of a valid address.
            address = str(ipaddress.ip_address(address.replace('%', ' ')))
        except ValueError as error:
            raise _invalid_input(
                f'{path}.fixed_ip', 'must be an IP address'
            ) from error
    return NetworkRequest(uuid.lower(), address, network.get('tag'))


def _invalid_input(path: str, reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(
        f'Invalid input for field/attribute server.{path}: {reason}.'
    )
