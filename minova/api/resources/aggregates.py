# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: there are none, which stock clients ask for and accept.

Hosts are put into availability zones by their own configuration.
"""

from typing import Any
from typing import Final

from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route


def index(request: ApiRequest) -> Any:
    """List none."""
    return {'aggregates': []}


def show(request: ApiRequest, aggregate_id: str) -> Any:
    """Say that there is none."""
    raise exception.NotFound(
        f'Aggregate {aggregate_id[:64]} could not be found.'
    )


_RULE: Final = 'os_compute_api:os-aggregates'
ROUTES: Final = (
    Route('GET', '/os-aggregates', index, f'{_RULE}:index'),
    Route('GET', '/os-aggregates/{aggregate_id}', show, f'{_RULE}:show'),
)
