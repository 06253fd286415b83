# SPDX-License-Identifier: Apache-2.0
"""Query parameters.

Each parameter is valid for a range of microversions. Before the version at
which an endpoint became strict, unknown parameters are ignored.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
import re
from typing import Any
from typing import Final

from minova import exception
from minova.api.http import microversion
from minova.api.schemas import types

#: Parses a value; ValueError with the requirement.
Parser = Callable[[str], Any]
RawQuery = Mapping[str, str | list[str]]

_DIGITS: Final = re.compile(r'[0-9]{1,10}')
_TIME: Final = re.compile(r'[0-9T:.+Z -]{8,40}')
_MAX_LENGTH: Final = 255
#: How often a parameter may be repeated, if it may be.
_MAX_ITEMS: Final = 50


def parse_text(value: str) -> str:
    """Accept any text; every value is bounded."""
    return value


def parse_number(value: str) -> int:
    """Accept a non-negative integer."""
    if not _DIGITS.fullmatch(value) or int(value) > types.MAX_INT:
        raise ValueError(f'must be a whole number from 0 to {types.MAX_INT}')
    return int(value)


def parse_positive(value: str) -> int:
    """Accept a positive integer."""
    found = parse_number(value)
    if found == 0:
        raise ValueError('must be a whole number above 0')
    return found


def parse_boolean(value: str) -> bool:
    """Accept true or false in their usual spellings."""
    lowered = value.strip().lower()
    if lowered in ('1', 't', 'true', 'on', 'y', 'yes'):
        return True
    if lowered in ('0', 'f', 'false', 'off', 'n', 'no'):
        return False
    raise ValueError('must be true or false')


def parse_flag(value: str) -> bool:
    """Accept true or false; a name without a value is true."""
    return parse_boolean(value) if value else True


def parse_time(value: str) -> datetime.datetime:
    """Accept an ISO 8601 time, in UTC if it has no offset."""
    # A plus sign that the client did not encode arrives as a blank.
    plain = value.strip().replace(' ', '+') if 'T' in value else value
    if not _TIME.fullmatch(plain):
        raise ValueError('must be a time in ISO 8601, e.g. 2026-01-31T12:00Z')
    try:
        found = datetime.datetime.fromisoformat(plain)
        if found.tzinfo is None:
            return found.replace(tzinfo=datetime.UTC)
        return found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            'must be a time in ISO 8601, e.g. 2026-01-31T12:00Z'
        ) from None


def one_of(*values: str) -> Parser:
    """Return a parser that accepts one of these values."""

    def parse(value: str) -> str:
        if value not in values:
            raise ValueError(f'must be one of {", ".join(values)}')
        return value

    return parse


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter: its parser and its range of microversions."""

    parse: Parser = parse_text
    since: int = microversion.MINIMUM
    until: int = microversion.MAXIMUM
    #: The parameter may be repeated; its value is a list.
    is_repeatable: bool = False
    #: The maximum of characters of a value.
    max_length: int = _MAX_LENGTH


class QuerySchema:
    """The parameters of an endpoint."""

    def __init__(
        self,
        params: Mapping[str, Param],
        strict_since: int | None = None,
    ) -> None:
        """Take the parameters by name.

        From ``strict_since`` on an unknown parameter is refused; None: never.
        """
        self.params = dict(params)
        self._strict_since = strict_since

    def parse(self, raw: RawQuery, version: int) -> dict[str, Any]:
        """Return the values by name; InvalidInput for an invalid one."""
        found: dict[str, Any] = {}
        for name, given in raw.items():
            param = self.params.get(name)
            if param is None or not param.since <= version <= param.until:
                self._reject_if_strict(name, version)
                continue
            values = given if isinstance(given, list) else [given]
            if param.is_repeatable:
                if len(values) > _MAX_ITEMS:
                    raise _invalid_input(
                        name, f'must not be repeated over {_MAX_ITEMS} times'
                    )
                found[name] = [
                    _parse_value(name, param, one) for one in values
                ]
            elif len(values) > 1:
                raise _invalid_input(name, 'must not be repeated')
            else:
                found[name] = _parse_value(name, param, values[0])
        return found

    def _reject_if_strict(self, name: str, version: int) -> None:
        if self._strict_since is None or version < self._strict_since:
            return
        known = [
            known
            for known, param in self.params.items()
            if param.since <= version <= param.until
        ]
        raise exception.InvalidInput(
            f'Additional properties are not allowed: there is no parameter '
            f'{name[:64]!r} here; the parameters are '
            f'{", ".join(sorted(known))}.'
            if known
            else f'Additional properties are not allowed: {name[:64]!r}; '
            'the endpoint has no parameters.'
        )


def _parse_value(name: str, param: Param, value: str) -> Any:
    if len(value) > param.max_length:
        raise _invalid_input(
            name, f'must not be longer than {param.max_length} characters'
        )
    try:
        return param.parse(value)
    except ValueError as error:
        raise _invalid_input(name, str(error)) from error


def _invalid_input(name: str, demand: str) -> exception.InvalidInput:
    return exception.InvalidInput(
        f'Invalid input for query parameter {name}: {demand}.'
    )


#: The parameters of every list with pages.
PAGE_PARAMS: Final = {'limit': Param(parse_number), 'marker': Param()}
NO_PARAMS: Final = QuerySchema({}, strict_since=102)
#: Every parameter is ignored, at each version.
ANY: Final = QuerySchema({})
