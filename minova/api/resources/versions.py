# SPDX-License-Identifier: Apache-2.0
"""The version documents, from which clients learn the supported versions."""

from typing import Final

from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document

_TYPE: Final = 'application/vnd.openstack.compute+json;version=2.1'
_DOCUMENTATION: Final = {
    'rel': 'describedby',
    'type': 'text/html',
    'href': 'https://docs.openstack.org/api-ref/compute/',
}


def index(request: ApiRequest) -> Document:
    """List the only version."""
    return {'versions': [_version(request)]}


def show(request: ApiRequest) -> Document:
    """Show the only version."""
    result = _version(request, _DOCUMENTATION)
    result['media-types'] = [{'base': 'application/json', 'type': _TYPE}]
    return {'version': result}


def _version(request: ApiRequest, *links: dict[str, str]) -> Document:
    return {
        'id': 'v2.1',
        'status': 'CURRENT',
        'version': microversion.to_string(microversion.MAXIMUM),
        'min_version': microversion.to_string(microversion.MINIMUM),
        'updated': '2013-07-23T11:33:21Z',
        'links': [{'rel': 'self', 'href': request.links.href('')}, *links],
    }


#: The paths of these are complete; all other paths begin with /v2.1.
ROUTES: Final = (
    Route('GET', '/', index, None),
    Route('GET', '/v2.1', show, None),
)
