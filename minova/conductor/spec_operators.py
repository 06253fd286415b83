# SPDX-License-Identifier: Apache-2.0
"""The operators in the values of extra specs, as Nova has them.

A value without an operator is compared as text.
"""

from collections.abc import Callable
import operator
from typing import Final

_NUMERIC: Final[dict[str, Callable[[float, float], bool]]] = {
    # "=" has always meant "at least".
    '=': operator.ge,
    '==': operator.eq,
    '!=': operator.ne,
    '>=': operator.ge,
    '<=': operator.le,
}
_TEXTUAL: Final[dict[str, Callable[[str, str], bool]]] = {
    's==': operator.eq,
    's!=': operator.ne,
    's<': operator.lt,
    's<=': operator.le,
    's>': operator.gt,
    's>=': operator.ge,
}
_OR: Final = '<or>'


def match(value: str, requirement: str) -> bool:
    """Return whether the value of a host meets a requirement."""
    words = requirement.split()
    if not words:
        return value == requirement
    name, rest = words[0], words[1:]
    if name == _OR:
        alternatives = requirement.split(_OR)[1:]
        return value in {one.strip() for one in alternatives}
    if name == '<in>':
        return all(one in value for one in rest if one != '<in>')
    if name == '<all-in>':
        return all(one in value for one in rest)
    if name in _TEXTUAL:
        return _TEXTUAL[name](value, ' '.join(rest))
    if name in _NUMERIC:
        try:
            return _NUMERIC[name](float(value), float(' '.join(rest)))
        except ValueError:
            return False
    return value == requirement
