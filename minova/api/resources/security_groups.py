# SPDX-License-Identifier: Apache-2.0
"""The security groups of a server: there are none."""

from typing import Final

from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document


def index(request: ApiRequest, server_id: str) -> Document:
    """List the groups of a server.

    The group ``default`` that a new server may name filters nothing.
    """
    request.get_server(server_id)
    return {'security_groups': []}


ROUTES: Final = (
    Route(
        'GET',
        '/servers/{server_id}/os-security-groups',
        index,
        'os_compute_api:os-security-groups:list',
    ),
)
