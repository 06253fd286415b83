# SPDX-License-Identifier: Apache-2.0
"""What a body says of the networks that a server is to be attached to."""

import ipaddress
import re
from typing import Any
from typing import Final

from minova import exception
from minova.api.schemas import types
from minova.network import Wanted

#: More nics than this no guest is given.
_MOST: Final = 16


def wanted(server: dict[str, Any], count: int) -> list[Wanted] | None:
    """Return the nics that a body names, None: the only network there is.

    ``count`` is how many servers shall be like this. Raises InvalidInput.
    """
    named = server.get('networks')
    if named == 'none':
        return []
    if named == 'auto' or not named:
        return None
    if len(named) > _MOST:
        raise _wrong('networks', f'a server has at most {_MOST} of them')
    found = [
        _one(network, f'networks[{number}]')
        for number, network in enumerate(named)
    ]
    if count > 1 and any(one.address for one in found):
        raise _wrong(
            'networks',
            'one fixed_ip cannot be given to several servers; leave it out '
            'or ask for one server at a time',
        )
    return found


def _one(network: dict[str, Any], place: str) -> Wanted:
    if network.get('port') is not None:
        raise _wrong(
            f'{place}.port',
            'ports are made with their servers here and cannot be named; '
            'name a network, and its fixed_ip if that matters',
        )
    uuid = network.get('uuid')
    if uuid is None:
        raise _wrong(f'{place}.uuid', 'the UUID of a network must be there')
    if not re.match(types.UUID['pattern'], uuid):
        raise _wrong(f'{place}.uuid', f'must be {types.UUID["explain"]}')
    address = network.get('fixed_ip')
    if address is not None:
        try:
            # A zone, as in fe80::1%eth0, is no part of an address that we
            # may give.
            address = str(ipaddress.ip_address(address.replace('%', ' ')))
        except ValueError as error:
            raise _wrong(
                f'{place}.fixed_ip', 'must be an IP address'
            ) from error
    return Wanted(uuid.lower(), address, network.get('tag'))


def _wrong(place: str, reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(
        f'Invalid input for field/attribute server.{place}: {reason}.'
    )
