# SPDX-License-Identifier: Apache-2.0
"""The embedded Identity v3 over HTTP: the catalog, which cannot be changed."""

from collections.abc import Iterable
from typing import Final

import falcon

from minova import conf
from minova import exception
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import resource_types
from minova.identity.http_io import Document
from minova.identity.resource_types import ResourceType


def routes(store: embedded.Identity) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    return [
        *resource_types.routes(store, _SERVICES),
        *resource_types.routes(store, _ENDPOINTS),
        *resource_types.routes(store, _REGIONS),
        ('/identity/v3/auth/catalog', Catalog(store)),
    ]


class Catalog:
    """The service catalog."""

    def __init__(self, store: embedded.Identity) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the catalog to a caller with a project scope."""
        caller = http_io.require(req, 'identity:get_auth_catalog')
        if caller.project_id is None:
            raise exception.Forbidden(
                'The catalog needs a token with a project scope; this one is '
                'unscoped.'
            )
        base_url = http_io.get_base_url(req)
        resp.media = {
            'catalog': self._store.catalog(base_url),
            'links': {'self': f'{base_url}/identity/v3/auth/catalog'},
        }


def _services(store: embedded.Identity, base_url: str) -> Iterable[Document]:
    return (
        {
            'id': service['id'],
            'type': service['type'],
            'name': service['name'],
            'description': '',
            'enabled': True,
        }
        for service in store.catalog(base_url)
    )


def _endpoints(store: embedded.Identity, base_url: str) -> Iterable[Document]:
    return (
        {**endpoint, 'service_id': service['id'], 'enabled': True}
        for service in store.catalog(base_url)
        for endpoint in service['endpoints']
    )


def _regions(_store: embedded.Identity, _base_url: str) -> Iterable[Document]:
    yield {
        'id': conf.CONF.identity.region,
        'description': '',
        'parent_region_id': None,
    }


_SERVICES: Final = ResourceType('services', 'service', _services)
_ENDPOINTS: Final = ResourceType('endpoints', 'endpoint', _endpoints)
_REGIONS: Final = ResourceType('regions', 'region', _regions)
