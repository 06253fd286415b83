# SPDX-License-Identifier: Apache-2.0
"""The flavors that a caller may see and use."""

from minova import exception
from minova.api.http.request import ApiRequest
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.objects.flavor import Flavor

#: The rule of the flavors that are not public.
RULE = 'os_compute_api:os-flavor-access'


def is_visible(request: ApiRequest, flavor: Flavor) -> bool:
    """Return whether a flavor is visible to the caller."""
    return flavor.is_public or request.allows(RULE)


def get_visible(
    connection: Connection, request: ApiRequest, flavorid: str
) -> Flavor:
    """Return a visible flavor, or raise FlavorNotFound."""
    flavor = flavors.get(connection, flavorid)
    if flavor is None or not is_visible(request, flavor):
        raise exception.FlavorNotFound(flavor_id=flavorid)
    return flavor


def get_usable(
    connection: Connection, request: ApiRequest, flavorid: str
) -> Flavor:
    """Return a flavor for a new server.

    InvalidInput if there is none: the URL does not name the flavor.
    """
    flavor = flavors.get(connection, flavorid)
    if flavor is None or flavor.disabled or not is_visible(request, flavor):
        raise exception.InvalidInput(f'Flavor {flavorid} could not be found.')
    return flavor
