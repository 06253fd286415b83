# SPDX-License-Identifier: Apache-2.0
"""The version documents, by which clients find out what is spoken here."""

from typing import Any
from typing import Final

from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route

_TYPE: Final = 'application/vnd.openstack.compute+json;version=2.1'
_DOCUMENTATION: Final = {
    'rel': 'describedby',
    'type': 'text/html',
    'href': 'https://docs.openstack.org/api-ref/compute/',
}


def index(request: ApiRequest) -> Any:
    """List the one version there is."""
    return {'versions': [_version(request)]}


def show(request: ApiRequest) -> Any:
    """Show it."""
    result = _version(request)
    result['links'].append(_DOCUMENTATION)
    result['media-types'] = [{'base': 'application/json', 'type': _TYPE}]
    return {'version': result}


def _version(request: ApiRequest) -> dict[str, Any]:
    return {
        'id': 'v2.1',
        'status': 'CURRENT',
        'version': microversion.to_string(microversion.MAXIMUM),
        'min_version': microversion.to_string(microversion.MINIMUM),
        'updated': '2013-07-23T11:33:21Z',
        'links': [{'rel': 'self', 'href': request.links.href('')}],
    }


#: The paths of these are whole; those of all others begin with /v2.1.
ROUTES: Final = (
    Route('GET', '/', index, None),
    Route('GET', '/v2.1', show, None),
)
