# SPDX-License-Identifier: Apache-2.0
"""The value types of extra specs and image properties."""

import dataclasses
import re
from typing import Final
from typing import Protocol

from oslo_utils import strutils

from minova import cpu_set

#: The page sizes of x86_64 in KiB.
PAGE_SIZES: Final = (4, 2048, 1 << 20)
_UNITS: Final = {'': 1, 'KB': 1, 'MB': 1 << 10, 'GB': 1 << 20}
_NAMED_SIZES: Final = ('small', 'large', 'any')
_SIZE: Final = re.compile(r'([0-9]{1,9})(KB|MB|GB|)', re.ASCII)
_WHOLE: Final = re.compile(r'-?[0-9]{1,18}', re.ASCII)


class ValueType(Protocol):
    """The values that an extra spec accepts."""

    @property
    def description(self) -> str:
        """The values, for documentation and errors."""

    def parse(self, text: str) -> object:
        """Return the value; ValueError when the text is invalid."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some words; ``rejected`` maps other words to reasons."""

    values: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def description(self) -> str:
        """The words."""
        return ', '.join(f'``{word}``' for word in self.values)

    def parse(self, text: str) -> str:
        """Return the word."""
        for word, reason in self.rejected:
            if text == word:
                raise ValueError(reason)
        if text not in self.values:
            raise ValueError(f'must be {_join_or(self.values)}.')
        return text


@dataclasses.dataclass(frozen=True)
class Name:
    """One of some names, in any case; ``aliases`` maps other names to them."""

    values: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def description(self) -> str:
        """The names, and the other names."""
        also = ', '.join(f'``{name}``' for name, _ in self.aliases)
        known = ', '.join(f'``{name}``' for name in self.values)
        return f'{known}; also {also}' if also else known

    def parse(self, text: str) -> str:
        """Return the name."""
        plain = text.lower()
        found = dict(self.aliases).get(plain, plain)
        if found not in self.values:
            raise ValueError(f'must be {_join_or(self.values)}.')
        return found


@dataclasses.dataclass(frozen=True)
class Number:
    """A whole number in a range, or the ``special`` one."""

    minimum: int
    maximum: int
    special: int | None = None

    @property
    def description(self) -> str:
        """The range."""
        also = '' if self.special is None else f', or {self.special}'
        return f'{self.minimum} to {self.maximum}{also}'

    def parse(self, text: str) -> int:
        """Return the number."""
        if _WHOLE.fullmatch(text):
            found = int(text)
            if self.minimum <= found <= self.maximum or found == self.special:
                return found
        raise ValueError(f'must be a whole number, {self.description}.')


@dataclasses.dataclass(frozen=True)
class Flag:
    """A boolean."""

    description = '``yes`` or ``no`` (also ``true``, ``false``, ``1``, ``0``)'

    def parse(self, text: str) -> bool:
        """Return the boolean."""
        try:
            return bool(strutils.bool_from_string(text, strict=True))
        except ValueError:
            raise ValueError('must be yes or no.') from None


@dataclasses.dataclass(frozen=True)
class Off:
    """A boolean that is false; ``reason`` says why it is never true."""

    reason: str

    description = '``no`` (also ``false``, ``0``)'

    def parse(self, text: str) -> bool:
        """Return False."""
        if Flag().parse(text):
            raise ValueError(self.reason)
        return False


@dataclasses.dataclass(frozen=True)
class CpuSet:
    """A set of vCPUs."""

    description = 'vCPUs, such as ``0-3,8,^2``'

    def parse(self, text: str) -> frozenset[int]:
        """Return the vCPUs."""
        return cpu_set.parse(text)


@dataclasses.dataclass(frozen=True)
class PageSize:
    """A size of memory pages: a word, or KiB."""

    description = (
        '``small``, ``large``, ``any``; or a size: ``4``, ``2048``, '
        '``1048576`` (KiB), ``4KB``, ``2MB``, ``1GB``'
    )

    def parse(self, text: str) -> str | int:
        """Return the word or the size in KiB."""
        if text in _NAMED_SIZES:
            return text
        match = _SIZE.fullmatch(text)
        size = int(match[1]) * _UNITS[match[2]] if match else 0
        if size not in PAGE_SIZES:
            raise ValueError(
                'must be small, large, any, 4KB, 2MB or 1GB; a number without '
                'a unit is in KiB.'
            )
        return size


@dataclasses.dataclass(frozen=True)
class Text:
    """A text that matches a pattern completely."""

    description: str
    pattern: str
    max_length: int = 255

    def parse(self, text: str) -> str:
        """Return the text."""
        if len(text) > self.max_length:
            raise ValueError(
                f'must have at most {self.max_length} characters.'
            )
        if not re.fullmatch(self.pattern, text, re.ASCII):
            plain = self.description.replace('``', '')
            raise ValueError(f'must be {plain}.')
        return text


def _join_or(words: tuple[str, ...]) -> str:
    if len(words) == 1:
        return words[0]
    return f'{", ".join(words[:-1])} or {words[-1]}'
