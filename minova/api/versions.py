# SPDX-License-Identifier: Apache-2.0
"""The version documents, by which clients find out what is spoken here."""

from typing import Any
from typing import Final

from minova.api import microversion
from minova.api.ask import Ask
from minova.api.routes import Route

_TYPE: Final = 'application/vnd.openstack.compute+json;version=2.1'
_DOCUMENTATION: Final = {
    'rel': 'describedby',
    'type': 'text/html',
    'href': 'https://docs.openstack.org/api-ref/compute/',
}


def index(ask: Ask) -> Any:
    """List the one version there is."""
    return {'versions': [_version(ask)]}


def show(ask: Ask) -> Any:
    """Show it."""
    shown = _version(ask)
    shown['links'].append(_DOCUMENTATION)
    shown['media-types'] = [{'base': 'application/json', 'type': _TYPE}]
    return {'version': shown}


def _version(ask: Ask) -> dict[str, Any]:
    return {
        'id': 'v2.1',
        'status': 'CURRENT',
        'version': microversion.text(microversion.MAXIMUM),
        'min_version': microversion.text(microversion.MINIMUM),
        'updated': '2013-07-23T11:33:21Z',
        'links': [{'rel': 'self', 'href': ask.links.href('')}],
    }


#: The paths of these are whole; those of all others begin with /v2.1.
ROUTES: Final = (
    Route('GET', '/', index, None),
    Route('GET', '/v2.1', show, None),
)
