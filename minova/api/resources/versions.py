# SPDX-License-Identifier: Apache-2.0
"""The version documents, from which clients learn the supported versions.

v2.0 is v2.1 without microversions, for clients that do not know them.
"""

import functools
from typing import Final

from minova import exception
from minova.api.http import microversion
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.schemas import queries
from minova.api.views import Document

_V2_0: Final = 'v2.0'
_V2_1: Final = 'v2.1'
_VERSIONS: Final[dict[str, Document]] = {
    _V2_0: {
        'id': _V2_0,
        'status': 'DEPRECATED',
        'version': '',
        'min_version': '',
        'updated': '2011-01-21T11:33:21Z',
    },
    _V2_1: {
        'id': _V2_1,
        'status': 'CURRENT',
        'version': microversion.to_string(microversion.MAXIMUM),
        'min_version': microversion.to_string(microversion.MINIMUM),
        'updated': '2013-07-23T11:33:21Z',
    },
}
#: The path of a version, and the version in its media type.
_PATHS: Final = {_V2_0: ('v2', '2'), _V2_1: ('v2.1', '2.1')}
_TYPE: Final = 'application/vnd.openstack.compute+json;version='
_DOCUMENTATION: Final = {
    'rel': 'describedby',
    'type': 'text/html',
    'href': 'https://docs.openstack.org/api-ref/compute/',
}


def index(request: ApiRequest) -> Document:
    """List the versions."""
    return {'versions': [_view(request, name) for name in _VERSIONS]}


def show(request: ApiRequest, version_id: str) -> Document:
    """Show a version."""
    if version_id not in _VERSIONS:
        raise exception.NotFound
    result = _view(request, version_id, _DOCUMENTATION)
    _, version = _PATHS[version_id]
    result['media-types'] = [
        {'base': 'application/json', 'type': f'{_TYPE}{version}'}
    ]
    return {'version': result}


def _view(
    request: ApiRequest, version_id: str, *links: dict[str, str]
) -> Document:
    path, _ = _PATHS[version_id]
    own = {'rel': 'self', 'href': request.links.root_href(path)}
    return _VERSIONS[version_id] | {'links': [own, *links]}


_ANY: Final = queries.ANY
#: The paths of these are complete; all other paths begin with /v2.1.
ROUTES: Final = (
    Route('GET', '/', index, None, query=_ANY),
    *(
        Route(
            'GET',
            path,
            functools.partial(show, version_id=version),
            None,
            query=_ANY,
        )
        for path, version in (('/v2', _V2_0), ('/v2.1', _V2_1))
    ),
    *(
        Route(
            'GET', f'{prefix}/versions/{{version_id}}', show, None, query=_ANY
        )
        for prefix in ('', '/v2.1')
    ),
)
