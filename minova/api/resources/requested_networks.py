# SPDX-License-Identifier: Apache-2.0
"""What a body says of the networks that a server is to be attached to."""

import ipaddress
import re
from typing import Any
from typing import Final

from minova import exception
from minova.api.schemas import types
from minova.network import NetworkRequest

#: More nics than this no guest is given.
_MAX_NICS: Final = 16


def parse_networks(
    server: dict[str, Any], count: int
) -> list[NetworkRequest] | None:
    """Return the nics that a body names, None: the only network there is.

    ``count`` is how many servers shall be like this. Raises InvalidInput.
    """
    named = server.get('networks')
    if named == 'none':
        return []
    if named == 'auto' or not named:
        return None
    if len(named) > _MAX_NICS:
        raise _invalid_input(
            'networks', f'a server has at most {_MAX_NICS} of them'
        )
    found = [
        _parse_network(network, f'networks[{number}]')
        for number, network in enumerate(named)
    ]
    if count > 1 and any(one.address for one in found):
        raise _invalid_input(
            'networks',
            'one fixed_ip cannot be given to several servers; leave it out '
            'or ask for one server at a time',
        )
    return found


def _parse_network(network: dict[str, Any], path: str) -> NetworkRequest:
    if network.get('port') is not None:
        raise _invalid_input(
            f'{path}.port',
            'ports are made with their servers here and cannot be named; '
            'name a network, and its fixed_ip if that matters',
        )
    uuid = network.get('uuid')
    if uuid is None:
        raise _invalid_input(
            f'{path}.uuid', 'the UUID of a network must be there'
        )
    if not re.match(types.UUID['pattern'], uuid):
        raise _invalid_input(
            f'{path}.uuid', f'must be {types.UUID["explain"]}'
        )
    address = network.get('fixed_ip')
    if address is not None:
        try:
            # A zone, as in fe80::1%eth0, is no part of an address that we
            # may give.
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
