# SPDX-License-Identifier: Apache-2.0
"""Regular expressions in filters.

The database evaluates them: SQLite in linear time (``user_regex``), MariaDB
and PostgreSQL for at most two seconds (``server_queries``). The three have
different dialects. Allowed is the subset that all of them support: text,
``.``, sets, anchors, alternatives, groups, and repetitions of one character.
"""

from collections.abc import Iterator
import re
from typing import Any
from typing import Final

from minova.db.connections import user_regex

_MAX_LENGTH: Final = 255
#: No text in a filter is longer, so no more repetitions can match.
_MAX_REPEAT: Final = 255
#: With more unbounded repetitions some databases backtrack for minutes.
_MAX_UNBOUNDED: Final = 4

_parser: Any = re._parser  # type: ignore[attr-defined]
_REPEAT: Final = {_parser.MAX_REPEAT, _parser.MIN_REPEAT}
_SINGLE_CHARACTER: Final = {
    _parser.LITERAL,
    _parser.NOT_LITERAL,
    _parser.ANY,
    _parser.IN,
}
_REQUIREMENT: Final = 'must be a simple regular expression'


def parse_regex(value: str) -> str:
    """Return a valid pattern; ValueError for an invalid or complex one."""
    if len(value) > _MAX_LENGTH:
        raise ValueError(f'must not be longer than {_MAX_LENGTH} characters')
    try:
        parsed = _parser.parse(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f'must be a regular expression ({error})') from error
    unbounded = 0
    for kind, argument in _walk(parsed):
        if kind in _REPEAT:
            unbounded += _count_unbounded(kind, argument)
        elif kind not in _SINGLE_CHARACTER | {
            _parser.AT,
            _parser.BRANCH,
            _parser.SUBPATTERN,
        }:
            raise ValueError(
                f'{_REQUIREMENT}, without back-references and lookahead'
            )
    if unbounded > _MAX_UNBOUNDED:
        raise ValueError(
            f'{_REQUIREMENT}, with at most {_MAX_UNBOUNDED} repetitions'
        )
    try:
        user_regex.compile_pattern(value)
    except ValueError as error:
        raise ValueError(f'must be a regular expression ({error})') from error
    return value


def _count_unbounded(kind: Any, argument: Any) -> int:
    """Return 1 for an unbounded repetition; ValueError for a complex one."""
    minimum, maximum, repeated = argument
    if kind is _parser.MIN_REPEAT:
        raise ValueError(f'{_REQUIREMENT}, without "*?", "+?" and "??"')
    if len(repeated) != 1 or repeated[0][0] not in _SINGLE_CHARACTER:
        raise ValueError(
            f'{_REQUIREMENT}, which repeats single characters only'
        )
    limits = {minimum, maximum} - {_parser.MAXREPEAT}
    if max(limits, default=0) > _MAX_REPEAT:
        raise ValueError(f'must not repeat more than {_MAX_REPEAT} times')
    return int(maximum > 1)


def _walk(parsed: Any) -> Iterator[tuple[Any, Any]]:
    for kind, argument in parsed:
        yield kind, argument
        if kind is _parser.SUBPATTERN:
            yield from _walk(argument[-1])
        elif kind is _parser.BRANCH:
            for branch in argument[1]:
                yield from _walk(branch)
