# SPDX-License-Identifier: Apache-2.0
"""Values as JSON: versioned objects, and lists of them.

``minova.exception.serialization`` encodes errors.
"""

from collections.abc import Mapping

from minova.objects.base import Object

_OBJECT = 'minova_object.name'


def encode(value: object, versions: Mapping[str, str] | None = None) -> object:
    """Return ``value`` as JSON, with its objects in their wire form.

    ``versions`` as for ``Object.to_wire``.
    """
    if isinstance(value, Object):
        return value.to_wire(versions)
    if isinstance(value, list | tuple):
        return [encode(item, versions) for item in value]
    return value


def decode(value: object) -> object:
    """Return the value that ``encode`` got."""
    if isinstance(value, dict) and _OBJECT in value:
        return Object.from_wire(value)
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value
