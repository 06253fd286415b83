# SPDX-License-Identifier: Apache-2.0
"""The flavors that a caller may see and use."""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.schemas import types
from minova.db.connections.engine import Connection
from minova.db.queries import flavors
from minova.objects.flavor import Flavor

#: The rule of the callers that see every flavor that is not public.
RULE: Final = 'os_compute_api:os-flavor-access'


def find_visible(
    connection: Connection,
    request: ApiRequest,
    flavorid: str,
    lock: bool = False,
) -> Flavor | None:
    """Return a flavor that is visible to the caller, or None.

    It is visible if it is public, if the project of the token has access to
    it, or if policy shows every flavor to the caller. ``lock`` as for
    ``flavors.get``.
    """
    flavor = flavors.get(connection, flavorid, lock)
    if flavor is None or flavor.is_public or request.allows(RULE):
        return flavor
    project = request.context.project_id
    if project and flavors.has_access(connection, flavor.id, project):
        return flavor
    return None


def get_visible(
    connection: Connection,
    request: ApiRequest,
    flavorid: str,
    lock: bool = False,
) -> Flavor:
    """Return a visible flavor, or raise FlavorNotFound."""
    flavor = find_visible(connection, request, flavorid, lock)
    if flavor is None:
        raise exception.FlavorNotFound(flavor_id=flavorid)
    return flavor


def get_usable(
    connection: Connection, request: ApiRequest, reference: str | int
) -> Flavor:
    """Return the flavor that a body refers to, by its id or its URL.

    InvalidInput if there is none: the URL does not name the flavor.
    """
    flavorid = types.reference_id(reference)
    flavor = find_visible(connection, request, flavorid)
    if flavor is None or flavor.disabled:
        raise exception.InvalidInput(
            f'Flavor {flavorid[:255]} could not be found.'
        )
    return flavor
