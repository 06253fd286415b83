# SPDX-License-Identifier: Apache-2.0
"""The scheduler hint ``query``: a condition about hosts in JSON.

A condition is a list of an operator and its operands: ``["and", [">=",
"$free_ram_mb", 1024], ["=", "$hypervisor_hostname", "a"]]``. An operand is a
condition, a value, or ``$`` with the name of a value of the host.
"""

from collections.abc import Callable
from collections.abc import Mapping
import operator
from typing import Any
from typing import Final

import orjson

from minova import exception

HostValues = Mapping[str, Any]
#: Tells whether a host matches.
Condition = Callable[[HostValues], bool]

_MAX_DEPTH: Final = 16
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    '=': operator.eq,
    '<': operator.lt,
    '>': operator.gt,
    '<=': operator.le,
    '>=': operator.ge,
}
_LOGICAL: Final = ('and', 'or', 'not')
_OPERATORS: Final = (*_COMPARISONS, 'in', *_LOGICAL)


def parse(text: str) -> Condition:
    """Return the condition; InvalidInput when the text is none."""
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f'it is not JSON ({error})') from error
    return _parse(given, 0)


def _parse(given: object, depth: int) -> Condition:
    if depth > _MAX_DEPTH:
        raise _invalid(f'it is nested over {_MAX_DEPTH} levels')
    if not isinstance(given, list) or not given:
        raise _invalid('a condition is a list that begins with an operator')
    name, *operands = given
    if not isinstance(name, str) or name not in _OPERATORS:
        raise _invalid(f'the operators are {", ".join(_OPERATORS)}')
    if name in _LOGICAL:
        return _parse_logical(name, operands, depth)
    if len(operands) < 2:
        raise _invalid(f'"{name}" compares two values or more')
    if name == 'in':
        return lambda facts: _is_in(*_values(operands, facts))
    compare = _COMPARISONS[name]
    return lambda facts: _compare(compare, *_values(operands, facts))


def _parse_logical(name: str, operands: list[object], depth: int) -> Condition:
    parts = [_parse(one, depth + 1) for one in operands]
    if not parts:
        raise _invalid(f'"{name}" needs conditions')
    if name == 'and':
        return lambda facts: all(part(facts) for part in parts)
    if name == 'or':
        return lambda facts: any(part(facts) for part in parts)
    return lambda facts: not any(part(facts) for part in parts)


def _values(operands: list[object], facts: HostValues) -> list[object]:
    return [_value(one, facts) for one in operands]


def _value(operand: object, facts: HostValues) -> object:
    if not isinstance(operand, str) or not operand.startswith('$'):
        return operand
    found: Any = facts
    for name in operand[1:].split('.'):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _is_in(first: object, *others: object) -> bool:
    return first in others


def _compare(
    compare: Callable[[Any, Any], bool], first: object, *others: object
) -> bool:
    """Compare the first value with each other; False for unlike types."""
    try:
        return all(compare(first, other) for other in others)
    except TypeError:
        return False


def _invalid(reason: str) -> exception.InvalidInput:
    return exception.InvalidInput(
        'Invalid input for field/attribute os:scheduler_hints.query: '
        f'{reason}.'
    )
