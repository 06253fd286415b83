# SPDX-License-Identifier: Apache-2.0
"""Create and patch of an image: one table of its attributes.

``/v2/schemas/image`` publishes the table, and requests are validated against
it.
"""

from collections.abc import Callable
import copy
import dataclasses
import re
from typing import Any

import jsonschema

from minova import clock
from minova import exception
from minova import images
from minova.identity import http_io
from minova.images import documents
from minova.images import embedded
from minova.images.documents import Document

DISK_FORMATS = ('raw', 'qcow2', 'iso', 'aki', 'ari', 'ami')
CONTAINER_FORMATS = ('bare', 'aki', 'ari', 'ami')
VISIBILITIES = ('public', 'private', 'shared', 'community')
MAX_PROPERTIES = 128
#: The maximum of characters in the names and values of all properties.
MAX_PROPERTIES_LENGTH = 65535

_NULLABLE = {'type': ['string', 'null'], 'maxLength': 255}
_COUNT = {'type': 'integer', 'minimum': 0, 'maximum': 2**31 - 1}
_SIZE = {'type': ['integer', 'null'], 'readOnly': True}
_READ_ONLY_STRING = {'type': 'string', 'readOnly': True}
_CHECKSUM = {'type': ['string', 'null'], 'readOnly': True}
#: The attributes of a document and their schemas.
ATTRIBUTES: dict[str, dict[str, object]] = {
    'id': {
        'type': 'string',
        # Python's $ also matches before a line feed at the end.
        'maxLength': 36,
        'pattern': f'^{embedded.ID_PATTERN.pattern}$',
    },
    'name': _NULLABLE,
    'disk_format': {
        'type': ['string', 'null'],
        'enum': [None, *DISK_FORMATS],
    },
    'container_format': {
        'type': ['string', 'null'],
        'enum': [None, *CONTAINER_FORMATS],
    },
    'visibility': {'type': 'string', 'enum': list(VISIBILITIES)},
    'protected': {'type': 'boolean'},
    'os_hidden': {'type': 'boolean'},
    'min_disk': _COUNT,
    'min_ram': _COUNT,
    'owner': _NULLABLE,
    'tags': {
        'type': 'array',
        'maxItems': 128,
        'items': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    },
    'status': {
        'type': 'string',
        'enum': ['queued', 'saving', 'active'],
        'readOnly': True,
    },
    'size': _SIZE,
    'virtual_size': _SIZE,
    'checksum': _CHECKSUM,
    'os_hash_algo': _CHECKSUM,
    'os_hash_value': _CHECKSUM,
    'created_at': _READ_ONLY_STRING,
    'updated_at': _READ_ONLY_STRING,
    'file': _READ_ONLY_STRING,
    'self': _READ_ONLY_STRING,
    'schema': _READ_ONLY_STRING,
}
#: The schema of all other properties.
PROPERTY = {'type': 'string', 'maxLength': 65535}

_READ_ONLY = frozenset(
    name for name, schema in ATTRIBUTES.items() if 'readOnly' in schema
) | (documents.RESERVED - frozenset(ATTRIBUTES))
_FIXED_WITH_DATA = ('disk_format', 'container_format')
_DEFAULTS: dict[str, object] = {
    'name': None,
    'disk_format': None,
    'container_format': None,
    'visibility': 'shared',
    'protected': False,
    'os_hidden': False,
    'min_disk': 0,
    'min_ram': 0,
    'tags': [],
}
_DOCUMENT = jsonschema.Draft202012Validator(
    {
        'type': 'object',
        'properties': ATTRIBUTES,
        'additionalProperties': PROPERTY,
    }
)
_PATCH = jsonschema.Draft202012Validator(
    {
        'type': 'array',
        'maxItems': 1000,
        'items': {
            'type': 'object',
            'required': ['op', 'path'],
            'properties': {
                'op': {'type': 'string', 'enum': ['add', 'replace', 'remove']},
                'path': {'type': 'string', 'maxLength': 600},
            },
        },
    }
)


def parse_new(
    content: Any,
    context: images.CallerContext,
    require_visibility: Callable[[str], None],
) -> images.Image:
    """Return the queued image for the body of a POST.

    ``require_visibility`` raises Forbidden for a visibility that the caller
    may not set. Raises InvalidInput for an invalid body, Forbidden for other
    attributes that the caller may not set.
    """
    http_io.validate(_DOCUMENT, content)
    for name in content:
        _check_writable(name)
    document = {**_DEFAULTS, 'owner': context.project_id, **content}
    document.setdefault('id', clock.uuid4())
    if document['visibility'] != 'private':
        require_visibility(document['visibility'])
    return _build_image(document, 'queued', context, context.project_id)


def apply_patch(
    image: images.Image,
    operations: Any,
    context: images.CallerContext,
    require_visibility: Callable[[str], None],
) -> images.Image:
    """Return an image after a JSON patch (RFC 6902) of its document.

    The operations are add, replace and remove, and apply all or none. Conflict
    for a replace or remove of a missing member.
    """
    http_io.validate(_PATCH, operations)
    before = {
        name: value
        for name, value in documents.to_document(image).items()
        if name not in _READ_ONLY
    }
    document = copy.deepcopy(before)
    for operation in operations:
        _apply_operation(document, operation)
    http_io.validate(_DOCUMENT, document)
    for name in _FIXED_WITH_DATA:
        if image.status != 'queued' and document[name] != before[name]:
            raise exception.Forbidden(
                f"Attribute '{name}' cannot be changed once the image has "
                'data.'
            )
    if document['visibility'] != image.visibility:
        require_visibility(document['visibility'])
    changed = _build_image(document, image.status, context, image.owner)
    return dataclasses.replace(
        changed,
        size=image.size,
        virtual_size=image.virtual_size,
        checksum=image.checksum,
        hash_algo=image.hash_algo,
        hash_value=image.hash_value,
        created_at=image.created_at,
    )


def _build_image(
    document: Document,
    status: str,
    context: images.CallerContext,
    owner: str | None,
) -> images.Image:
    """Return the image of a valid document, if the caller may write it."""
    if document['owner'] != owner and not context.is_admin:
        raise exception.Forbidden(
            'Only an administrator may set the owner to another project.'
        )
    own = [name for name in document if name not in documents.RESERVED]
    if len(own) > MAX_PROPERTIES:
        raise exception.InvalidInput(
            reason=f'an image has at most {MAX_PROPERTIES} properties.'
        )
    if not all(0 < len(name) < 256 for name in own):
        raise exception.InvalidInput(
            reason='the name of a property must have 1 to 255 characters.'
        )
    length = sum(len(name) + len(document[name]) for name in own)
    if length > MAX_PROPERTIES_LENGTH:
        raise exception.InvalidInput(
            reason='the names and values of all properties of an image have '
            f'at most {MAX_PROPERTIES_LENGTH} characters.'
        )
    now = clock.now().isoformat()
    return documents.from_document(
        {
            **document,
            # 1.0 is an integer in JSON too.
            'min_disk': int(document['min_disk']),
            'min_ram': int(document['min_ram']),
            'tags': list(dict.fromkeys(document['tags'])),
            'status': status,
            'created_at': now,
            'updated_at': now,
        }
    )


def _apply_operation(document: Document, operation: Document) -> None:
    """Apply one operation of a patch to a document."""
    name, *rest = _pointer_parts(operation['path'])
    kind = operation['op']
    if kind != 'remove' and 'value' not in operation:
        raise exception.InvalidInput(reason=f'{kind} needs a value.')
    _check_writable(name)
    if name == 'id':
        raise exception.Forbidden("Attribute 'id' is read-only.")
    if rest:
        if name != 'tags' or len(rest) > 1:
            raise exception.InvalidInput(
                reason=(
                    f'the path of {kind} leads into a value without members.'
                )
            )
        _apply_to_tags(document['tags'], rest[0], operation)
        return
    if kind != 'add' and name not in document:
        raise exception.Conflict(reason=f'there is no property {name[:64]}.')
    if kind != 'remove':
        document[name] = operation['value']
    elif name in _DEFAULTS or name == 'owner':
        raise exception.Forbidden(
            f"Attribute '{name}' cannot be removed; replace it."
        )
    else:
        del document[name]


def _apply_to_tags(tags: object, position: str, operation: Document) -> None:
    """Apply one operation to one of the tags."""
    kind = operation['op']
    if not isinstance(tags, list):
        # An earlier operation has replaced the list by another value.
        raise exception.Conflict(reason='there is no such tag.')
    count = len(tags)
    if kind == 'add' and position == '-':
        index = count
    elif re.fullmatch(r'0|[1-9][0-9]{0,5}', position):
        index = int(position)
    else:
        index = -1
    if not 0 <= index < count + (kind == 'add'):
        raise exception.Conflict(reason='there is no such tag.')
    if kind == 'add':
        tags.insert(index, operation['value'])
    elif kind == 'replace':
        tags[index] = operation['value']
    else:
        del tags[index]


def _pointer_parts(path: str) -> list[str]:
    """Return the parts of a JSON pointer (RFC 6901)."""
    if not path.startswith('/'):
        raise exception.InvalidInput(
            reason='the path of an operation must begin with a slash.'
        )
    return [
        part.replace('~1', '/').replace('~0', '~')
        for part in path[1:].split('/')
    ]


def _check_writable(name: str) -> None:
    if name in _READ_ONLY:
        raise exception.Forbidden(f"Attribute '{name}' is read-only.")
