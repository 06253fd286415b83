# SPDX-License-Identifier: Apache-2.0
"""Elements of a definition, such that whatever is in them is XML."""

import re
from xml.etree import ElementTree

# What XML 1.0 has no way to write: control characters, halves of surrogate
# pairs, two that are no characters.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)
# libvirt refuses a title of several lines; a tab helps nobody either.
_LINE_BREAKS = re.compile('[\t\n\r]')


def add(
    parent: ElementTree.Element, tag: str, /, **attributes: object
) -> ElementTree.Element:
    """Append an element and return it."""
    written = {name: sanitize(value) for name, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, written)


def add_text(
    parent: ElementTree.Element,
    tag: str,
    content: object,
    /,
    **attributes: object,
) -> None:
    """Append an element that holds a text."""
    add(parent, tag, **attributes).text = sanitize(content)


def sanitize(value: object) -> str:
    """Return a value as one line of what XML can hold."""
    text = _UNWRITABLE.sub('\N{REPLACEMENT CHARACTER}', str(value))
    return _LINE_BREAKS.sub(' ', text)
