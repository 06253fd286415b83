# SPDX-License-Identifier: Apache-2.0
"""The bound of connections whose peer is not authenticated.

A new connection is always accepted. Above the bound the oldest connection
ends: first one of the same address, then one of the address that has most.
So a peer that keeps connections open ends its own, and a client that sends its
request at once is served, also from behind the same proxy.
"""

from collections.abc import Hashable
import errno
import ipaddress
import logging as std_logging
import resource
from typing import Final
from typing import Generic
from typing import TypeVar

from oslo_log import log as logging

from minova import clock

K = TypeVar('K', bound=Hashable)

#: The bits of an IPv6 address that one customer gets.
_IPV6_PREFIX: Final = 64
#: The errors of ``accept`` when no file descriptor is free.
_NO_FILE: Final = (errno.EMFILE, errno.ENFILE)
#: Its errors when the socket does not listen any more.
NOT_LISTENING: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
#: Seconds between two warnings about a bound.
_WARNING_INTERVAL: Final = 60.0


def group_of(address: str) -> str:
    """Return what counts as one address: of IPv6, the network of 64 bits."""
    try:
        found = ipaddress.ip_address(address.partition('%')[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    network = ipaddress.ip_network((found, _IPV6_PREFIX), strict=False)
    return str(network)


def limit_to_open_files(wanted: int) -> int:
    """Return ``wanted``, but at most a quarter of the files of a process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft // 4))


class RareWarnings:
    """Warnings of which one a minute is logged, the others at DEBUG level."""

    def __init__(self, log: logging.BaseLoggerAdapter) -> None:
        self._log = log
        self._warned_at = float('-inf')

    def log(self, text: str, *args: object) -> None:
        """Log a warning."""
        now = clock.monotonic()
        level = std_logging.DEBUG
        if now >= self._warned_at + _WARNING_INTERVAL:
            self._warned_at = now
            level = std_logging.WARNING
        self._log.log(level, text, *args)


class ConnectionBounds(Generic[K]):
    """The counted connections, in the order of their last ``add``."""

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._groups: dict[K, str] = {}
        # The keys of each group, oldest first; a dict keeps their order.
        self._members: dict[str, dict[K, None]] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, key: K) -> bool:
        return key in self._groups

    def add(self, key: K, address: str) -> K | None:
        """Count a connection as the newest; return one that must end.

        The returned connection is not counted any more. None while the bounds
        are kept.
        """
        self.discard(key)
        group = group_of(address)
        self._groups[key] = group
        members = self._members.setdefault(group, {})
        members[key] = None
        if len(members) > self._per_address:
            return self._pop(group)
        if len(self._groups) > self._total:
            return self.pop_oldest()
        return None

    def discard(self, key: K) -> None:
        """Count a connection no more, if it is counted."""
        group = self._groups.pop(key, None)
        if group is not None:
            members = self._members[group]
            del members[key]
            if not members:
                del self._members[group]

    def pop_oldest(self) -> K | None:
        """Remove the oldest connection of the address that has most."""
        if not self._members:
            return None
        return self._pop(
            max(self._members, key=lambda group: len(self._members[group]))
        )

    def pop_without_free_file(self, error: OSError) -> K:
        """Remove the connection that must end after ``accept`` has failed.

        Raises ``error`` if it does not mean that no file descriptor is free,
        and if no connection is counted.
        """
        oldest = self.pop_oldest() if error.errno in _NO_FILE else None
        if oldest is None:
            raise error
        return oldest

    def _pop(self, group: str) -> K:
        key = next(iter(self._members[group]))
        self.discard(key)
        return key
