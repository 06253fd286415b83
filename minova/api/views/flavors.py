# SPDX-License-Identifier: Apache-2.0
"""How a flavor is shown."""

from typing import Any

from minova.api.views.links import Links
from minova.objects.flavor import Flavor

Shown = dict[str, Any]


def brief(flavor: Flavor, version: int, links: Links) -> Shown:
    """Return what a plain list shows."""
    shown: Shown = {
        'id': flavor.flavorid,
        'name': flavor.name,
        'links': links.to('flavors', flavor.flavorid),
    }
    if version >= 55:
        shown['description'] = flavor.description
    return shown


def detail(
    flavor: Flavor, version: int, links: Links, extra_specs: bool
) -> Shown:
    """Return all of a flavor; the specs only if they are to be seen."""
    no_swap = 0 if version >= 75 else ''
    shown = brief(flavor, version, links) | {
        'ram': flavor.memory_mb,
        'vcpus': flavor.vcpus,
        'disk': flavor.root_gb,
        'swap': flavor.swap_mb or no_swap,
        'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeral_gb,
        'OS-FLV-DISABLED:disabled': flavor.disabled,
        'os-flavor-access:is_public': flavor.is_public,
        'rxtx_factor': flavor.rxtx_factor,
    }
    if version >= 61 and extra_specs:
        shown['extra_specs'] = flavor.extra_specs
    return shown
