# SPDX-License-Identifier: Apache-2.0
"""Which flavors somebody sees and may use."""

from minova import exception
from minova.api.ask import Ask
from minova.db import flavors
from minova.db.engine import Connection
from minova.objects.flavor import Flavor

#: Who sees flavors that are not public.
RULE = 'os_compute_api:os-flavor-access'


def sees(ask: Ask, flavor: Flavor) -> bool:
    """Tell whether the caller sees a flavor."""
    return flavor.is_public or ask.allows(RULE)


def visible(connection: Connection, ask: Ask, flavorid: str) -> Flavor:
    """Return a flavor that the caller sees; FlavorNotFound."""
    flavor = flavors.get(connection, flavorid)
    if flavor is None or not sees(ask, flavor):
        raise exception.FlavorNotFound(flavor_id=flavorid)
    return flavor


def usable(connection: Connection, ask: Ask, flavorid: str) -> Flavor:
    """Return a flavor that the caller may make servers with.

    InvalidInput when there is none: it is not what the URL names.
    """
    flavor = flavors.get(connection, flavorid)
    if flavor is None or flavor.disabled or not sees(ask, flavor):
        raise exception.InvalidInput(f'Flavor {flavorid} could not be found.')
    return flavor
