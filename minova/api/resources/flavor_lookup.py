# SPDX-License-Identifier: Apache-2.0
"""Which flavors somebody sees and may use."""

from minova import exception
from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.objects.flavor import Flavor

#: Who sees flavors that are not public.
RULE = 'os_compute_api:os-flavor-access'


def is_visible(request: ApiRequest, flavor: Flavor) -> bool:
    """Tell whether the caller sees a flavor."""
    return flavor.is_public or request.allows(RULE)


def get_visible(
    connection: Connection, request: ApiRequest, flavorid: str
) -> Flavor:
    """Return a flavor that the caller sees; FlavorNotFound."""
    flavor = flavors.get(connection, flavorid)
    if flavor is None or not is_visible(request, flavor):
        raise exception.FlavorNotFound(flavor_id=flavorid)
    return flavor


def get_usable(
    connection: Connection, request: ApiRequest, flavorid: str
) -> Flavor:
    """Return a flavor that the caller may make servers with.

    InvalidInput when there is none: it is not what the URL names.
    """
    flavor = flavors.get(connection, flavorid)
    if flavor is None or flavor.disabled or not is_visible(request, flavor):
        raise exception.InvalidInput(f'Flavor {flavorid} could not be found.')
    return flavor
