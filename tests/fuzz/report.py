# SPDX-License-Identifier: Apache-2.0
"""The counts of a fuzz, its slowest replies, and what was wrong."""

import collections
import heapq

_SLOWEST = 5


class Report:
    """Counts by endpoint, caller and status."""

    def __init__(self):
        self.counts = collections.Counter()
        self.slowest = []
        self.memory = []
        self.failures = []

    def add(self, request, reply):
        """Count a reply."""
        self.counts[request.label, request.actor, reply.status] += 1
        entry = (reply.seconds, request.index, request.label, reply.status)
        heapq.heappush(self.slowest, entry)
        if len(self.slowest) > _SLOWEST:
            heapq.heappop(self.slowest)

    def lines(self, actors):
        """Yield the lines of the report."""
        labels = sorted({label for label, _, _ in self.counts})
        for label in labels:
            cells = []
            for actor in actors:
                seen = sorted(
                    (status, count)
                    for (one, who, status), count in self.counts.items()
                    if (one, who) == (label, actor)
                )
                text = ' '.join(f'{status}x{count}' for status, count in seen)
                cells.append(f'{actor}: {text or "-"}')
            yield f'{label}\n    ' + '\n    '.join(cells)
        yield from self.summary()

    def summary(self):
        """Yield the lines of the sums."""
        statuses = collections.Counter()
        for (_, _, status), count in self.counts.items():
            statuses[status] += count
        total = sum(statuses.values())
        yield f'{total} requests: ' + ', '.join(
            f'{status or "closed"} {count}'
            for status, count in sorted(statuses.items())
        )
        for seconds, index, label, status in sorted(
            self.slowest, reverse=True
        ):
            yield f'{seconds:6.2f} s  request {index}  {label}  {status}'
        if self.memory:
            yield 'memory in MiB: ' + ' '.join(
                f'{index}:{size:.0f}' for index, size in self.memory
            )
        yield f'{len(self.failures)} failures'
        yield from self.failures
