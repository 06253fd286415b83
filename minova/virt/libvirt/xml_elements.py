# SPDX-License-Identifier: Apache-2.0
"""XML elements whose content is always valid XML."""

import re
from xml.etree import ElementTree

# Characters that XML 1.0 cannot represent: control characters, surrogates and
# two noncharacters.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)
# libvirt rejects a title with line breaks; tabs are replaced as well.
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
    """Append an element with a text."""
    add(parent, tag, **attributes).text = sanitize(content)


def sanitize(value: object) -> str:
    """Return a value as one line that XML can hold."""
    text = _UNWRITABLE.sub('\N{REPLACEMENT CHARACTER}', str(value))
    return _LINE_BREAKS.sub(' ', text)
