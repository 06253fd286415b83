# SPDX-License-Identifier: Apache-2.0
"""The request spec: what a user asked of the hosts of an instance."""

from minova.objects import base


@base.register
class RequestSpec(base.Object):
    """The requirements in the request that created an instance.

    They are kept with the instance: every selection of a host for it, also
    for a later resize or migration, meets them. ``availability_zone`` is
    None when the request names no zone; the instance may then change zones.
    """

    VERSION = '1.0'

    availability_zone: str | None = None
