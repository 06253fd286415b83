# SPDX-License-Identifier: Apache-2.0
"""An image as an Image v2 document, and back.

Glance, the embedded service and its files use this form: attributes and free
properties together in one object.
"""

import datetime
from typing import Any

from minova import images

#: An image in its JSON form.
Document = dict[str, Any]

#: Attributes with another name in a document.
_RENAMED = {
    'hidden': 'os_hidden',
    'hash_algo': 'os_hash_algo',
    'hash_value': 'os_hash_value',
}
#: The attributes, by their names in a document.
ATTRIBUTES = frozenset(
    _RENAMED.get(name, name)
    for name in images.Image.__dataclass_fields__
    if name != 'properties'
)
#: Other members of a document that are no properties.
_LINKS = frozenset(
    {'self', 'file', 'schema', 'direct_url', 'locations', 'stores'}
)
#: Names that a free property may not have.
RESERVED = ATTRIBUTES | _LINKS


def to_document(
    image: images.Image, timespec: str = 'microseconds'
) -> Document:
    """Return an image as a document, without links."""
    found: Document = dict(image.properties)
    for name in images.Image.__dataclass_fields__:
        if name != 'properties':
            found[_RENAMED.get(name, name)] = getattr(image, name)
    found['tags'] = list(image.tags)
    for name in ('created_at', 'updated_at'):
        moment = found[name].astimezone(datetime.UTC).replace(tzinfo=None)
        found[name] = moment.isoformat(timespec=timespec) + 'Z'
    return found


def from_document(document: Document) -> images.Image:
    """Return the image of a document.

    Raises KeyError, TypeError or ValueError if the document is malformed.
    """
    hashed = document.get('os_hash_value')
    return images.Image(
        id=_text(document['id']),
        name=document.get('name'),
        status=_text(document['status']),
        disk_format=document.get('disk_format'),
        container_format=document.get('container_format'),
        size=_number(document.get('size')),
        virtual_size=_number(document.get('virtual_size')),
        min_disk=_number(document.get('min_disk')) or 0,
        min_ram=_number(document.get('min_ram')) or 0,
        checksum=document.get('checksum'),
        hash_algo=document.get('os_hash_algo') if hashed else None,
        hash_value=hashed,
        owner=document.get('owner'),
        visibility=_text(document.get('visibility', 'private')),
        protected=document.get('protected') is True,
        hidden=document.get('os_hidden') is True,
        tags=tuple(_text(tag) for tag in document.get('tags', ())),
        properties={
            name: value
            for name, value in document.items()
            if name not in RESERVED and isinstance(value, str)
        },
        created_at=_time(document['created_at']),
        updated_at=_time(document['updated_at']),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a string')
    return value


def _number(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{value!r} is not an integer')
    return value


def _time(value: object) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment
