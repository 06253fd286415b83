# SPDX-License-Identifier: Apache-2.0
"""JSON Schema types that several bodies use, and their conversions.

``explain`` is a keyword of Minova: the requirement in an error text, where the
pattern itself is hard to read.
"""

from typing import Any
from typing import Final
import urllib.parse

from minova import exception

Json = dict[str, Any]

#: The maximum of an integer column.
MAX_INT: Final = 0x7FFFFFFF

#: Printable characters, no blanks at the ends, no control characters.
_PRINTABLE: Final = r'^(?![\s])[^\x00-\x1f\x7f\u2028\u2029]*(?<!\s)\Z'

NAME: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': _PRINTABLE,
    'explain': '1 to 255 printable characters without blanks at the ends',
}
DESCRIPTION: Final[Json] = {
    'type': ['string', 'null'],
    'maxLength': 255,
    'pattern': r'^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*\Z',
    'explain': 'at most 255 printable characters, or null',
}
_UUID: Final = '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'
UUID: Final[Json] = {
    'type': 'string',
    'pattern': rf'^{_UUID}\Z',
    'explain': 'a UUID',
}
NETWORK_ID: Final[Json] = {
    'type': ['string', 'integer'],
    'minLength': 1,
    'maxLength': 36,
    'pattern': r'^[0-9a-zA-Z-]+\Z',
    'explain': 'the id of a network',
}
IP_ADDRESS: Final[Json] = {
    'type': 'string',
    'minLength': 2,
    'maxLength': 45,
    'anyOf': [
        {'format': 'ipv4', 'explain': 'an IP address'},
        {'format': 'ipv6', 'explain': 'an IP address'},
    ],
    'explain': 'an IP address',
}
HOST: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'^[a-zA-Z0-9._-]+\Z',
    'explain': 'a host name: letters, digits, ".", "_" and "-"',
}
HOST_OR_NULL: Final[Json] = {
    **HOST,
    'type': ['string', 'null'],
    'explain': HOST['explain'] + ', or null',
}
_LABEL: Final = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
#: The host name of a guest, from 2.94 on with its domain.
HOSTNAME: Final[Json] = {
    'type': 'string',
    'pattern': rf'^{_LABEL}\Z',
    'explain': '1 to 63 letters, digits and "-", which is not at the ends',
}
FQDN: Final[Json] = {
    'type': 'string',
    'maxLength': 255,
    'pattern': rf'^{_LABEL}(\.{_LABEL})*\Z',
    'explain': 'a host name, maybe with its domain: labels of 1 to 63 '
    'letters, digits and "-", joined by "."',
}

# fmt: off
_TRUE: Final = (
    True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes'
)
_FALSE: Final = (
    False, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No',
    'no',
)
# fmt: on

BOOLEAN: Final[Json] = {
    'type': ['boolean', 'string'],
    'enum': [*_TRUE, *_FALSE],
    'explain': 'true or false',
}


def to_bool(value: object) -> bool:
    """Return the boolean for a value that matches BOOLEAN."""
    return value in _TRUE


def integer_schema(minimum: int, maximum: int = MAX_INT) -> Json:
    """Return the schema of an integer or a string of digits.

    ``to_int`` converts the value.
    """
    return {
        'type': ['integer', 'string'],
        'pattern': r'^[0-9]{1,10}\Z',
        'minimum': minimum,
        'maximum': maximum,
        'explain': f'a whole number from {minimum} to {maximum}',
    }


def to_int(value: int | str, schema: Json, path: str) -> int:
    """Return the integer for a value that matches ``integer_schema``.

    InvalidInput for digits outside of the range, which the schema cannot
    check.
    """
    found = int(value)
    if not schema['minimum'] <= found <= schema['maximum']:
        raise exception.InvalidInput(
            f'Invalid input for field/attribute {path}: must be '
            f'{schema["explain"]}.'
        )
    return found


DISK_CONFIG: Final[Json] = {'type': 'string', 'enum': ['AUTO', 'MANUAL']}

_MAX_URL_LENGTH: Final = 2048

FLAVOR_REF: Final[Json] = {
    'type': ['string', 'integer'],
    'minLength': 1,
    'maxLength': _MAX_URL_LENGTH,
    'minimum': 0,
    'explain': 'the id of a flavor, or its URL',
}
IMAGE_REF: Final[Json] = {
    'type': 'string',
    'maxLength': _MAX_URL_LENGTH,
    'pattern': rf'^(\S*/)?{_UUID}/?\Z',
    'explain': 'the UUID of an image, or its URL',
}
IMAGE_REF_OR_EMPTY: Final[Json] = {
    **IMAGE_REF,
    'pattern': f'^\\Z|{IMAGE_REF["pattern"]}',
    'explain': f'{IMAGE_REF["explain"]}, or ""',
}


def reference_id(reference: str | int) -> str:
    """Return the id in a reference to a resource: the id itself, or its URL.

    The id is the last element of the URL's path.
    """
    text = str(reference)
    if '/' not in text:
        return text
    path = text.partition('#')[0].partition('?')[0].rstrip('/')
    quoted = path.rpartition('/')[2]
    found = urllib.parse.unquote(quoted)
    # No id contains a NUL character, which not every database accepts.
    return quoted if '\x00' in found else found


METADATA: Final[Json] = {
    'type': 'object',
    'patternProperties': {
        r'^[a-zA-Z0-9_:. -]{1,255}\Z': {'type': 'string', 'maxLength': 255}
    },
    'additionalProperties': False,
}

TAG: Final[Json] = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 60,
    'pattern': r'^[^,/\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z',
    'explain': '1 to 60 characters without "," and "/", none of them a '
    'control character',
}
TAGS: Final[Json] = {'type': 'array', 'items': TAG, 'maxItems': 50}

#: '' removes the address.
IPV4: Final[Json] = {
    'type': 'string',
    'format': 'ipv4',
    'maxLength': 15,
    'explain': 'an IPv4 address',
}
IPV6: Final[Json] = {
    'type': 'string',
    'format': 'ipv6',
    'maxLength': 45,
    'explain': 'an IPv6 address',
}
