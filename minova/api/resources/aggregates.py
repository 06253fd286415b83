# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: an empty list, which common clients need.

The configuration of a host sets its availability zone; there is no aggregate.
"""

from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document


def index(request: ApiRequest) -> Document:
    """Return an empty list."""
    return {'aggregates': []}


def show(request: ApiRequest, aggregate_id: str) -> Document:
    """Raise NotFound."""
    raise exception.NotFound(
        f'Aggregate {aggregate_id[:64]} could not be found.'
    )


_RULE: Final = 'os_compute_api:os-aggregates'
ROUTES: Final = (
    Route('GET', '/os-aggregates', index, f'{_RULE}:index'),
    Route('GET', '/os-aggregates/{aggregate_id}', show, f'{_RULE}:show'),
)
