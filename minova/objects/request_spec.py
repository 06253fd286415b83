# SPDX-License-Identifier: Apache-2.0
"""The request spec: what a user asked of the hosts of an instance."""

from typing import Any
from typing import Final

from minova.objects import base

#: The scheduler hints that have an effect, beside the group.
DIFFERENT_HOST: Final = 'different_host'
SAME_HOST: Final = 'same_host'
NEAR_HOST_IP: Final = 'build_near_host_ip'
NEAR_HOST_CIDR: Final = 'cidr'
QUERY: Final = 'query'


@base.register
class RequestSpec(base.Object):
    """The requirements in the request that created an instance.

    They are kept with the instance: every selection of a host for it, also
    for a later resize or migration, meets them. ``availability_zone`` is
    None when the request names no zone; the instance may then change zones.
    ``group`` is the server group that the instance has joined.
    ``scheduler_hints`` has the other hints, each with the list of its values.
    """

    VERSION = '1.0'

    availability_zone: str | None = None
    group: str | None = None
    scheduler_hints: dict[str, Any] = {}
