# SPDX-License-Identifier: Apache-2.0
"""Sets of CPUs as text: ``0-3,8,^2`` as libvirt and Nova write them."""

from collections.abc import Collection
import re
from typing import Final

_PART: Final = re.compile(r'(\^?)([0-9]{1,5})(?:-([0-9]{1,5}))?', re.ASCII)


def parse(text: str) -> frozenset[int]:
    """Return the CPUs; ValueError for another text, or an empty set.

    ``^`` excludes a CPU or a range.
    """
    included: set[int] = set()
    excluded: set[int] = set()
    for part in text.split(','):
        match = _PART.fullmatch(part.strip())
        first = int(match[2]) if match else 0
        last = int(match[3] or first) if match else -1
        if match is None or last < first:
            raise ValueError('must be a list of CPUs, such as 0-3,8,^2.')
        (excluded if match[1] else included).update(range(first, last + 1))
    if not included - excluded:
        raise ValueError('must have a CPU that it does not exclude.')
    return frozenset(included - excluded)


def parse_or_empty(text: str) -> frozenset[int]:
    """Return the CPUs; none for an empty text."""
    return parse(text) if text else frozenset()


def to_text(cpus: Collection[int]) -> str:
    """Return the shortest text without exclusions; '' for no CPU."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ','.join(
        str(first) if first == last else f'{first}-{last}'
        for first, last in parts
    )
