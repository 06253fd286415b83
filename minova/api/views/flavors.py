# SPDX-License-Identifier: Apache-2.0
"""Flavors, and the flavor inside a server."""

from minova.api.schemas.flavors import PLAIN_SINCE
from minova.api.views import Document
from minova.api.views.links import Links
from minova.objects.flavor import Flavor


def brief(flavor: Flavor, version: int, links: Links) -> Document:
    """Return the flavor for a list."""
    result: Document = {
        'id': flavor.flavorid,
        'name': flavor.name,
        'links': links.resource_links('flavors', flavor.flavorid),
    }
    if version >= 55:
        result['description'] = flavor.description
    return result


def detail(
    flavor: Flavor, version: int, links: Links, extra_specs: bool
) -> Document:
    """Return the flavor in full."""
    no_swap = 0 if version >= 75 else ''
    result = brief(flavor, version, links) | {
        'ram': flavor.memory_mb,
        'vcpus': flavor.vcpus,
        'disk': flavor.root_gb,
        'swap': flavor.swap_mb or no_swap,
        'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeral_gb,
        'os-flavor-access:is_public': flavor.is_public,
    }
    if version < PLAIN_SINCE:
        result['OS-FLV-DISABLED:disabled'] = flavor.disabled
        result['rxtx_factor'] = flavor.rxtx_factor
    if version >= 61 and extra_specs:
        result['extra_specs'] = flavor.extra_specs
    return result
