# SPDX-License-Identifier: Apache-2.0
"""The check of invariant 11, from what a consumer received.

The scenarios audit hours that begin at ``AUDIT_MINUTE``, so that the first one
ends soon after the begin of a simulation.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import datetime
from typing import Final

from minova.simulation.clock import EPOCH
from minova.simulation.network import PublishedNotification

#: The minute at which the audited hours begin.
AUDIT_MINUTE: Final = 3
#: The end of the first audited hour in which a server exists.
FIRST_ENDING: Final = EPOCH + datetime.timedelta(minutes=AUDIT_MINUTE)
_HOUR: Final = datetime.timedelta(hours=1)
#: No hour is audited before its last transaction has ended.
_DELAY: Final = datetime.timedelta(seconds=30)

_Exists = tuple[str, datetime.datetime, datetime.datetime]


def check_exists(
    published: Iterable[PublishedNotification], seconds: float
) -> Iterator[str]:
    """Yield each ``exists`` that is missing, repeated or for a wrong period.

    ``seconds`` have passed since the begin of the simulation.
    """
    received: collections.Counter[_Exists] = collections.Counter()
    launched: dict[str, datetime.datetime] = {}
    terminated: dict[str, datetime.datetime] = {}
    known = set()
    for notification in published:
        body = notification.body
        if body['message_id'] in known:
            continue
        known.add(body['message_id'])
        content, event = body['payload'], body['event_type']
        uuid = content['instance_id']
        if event.endswith('.create.end'):
            launched[uuid] = _parse(content['launched_at'])
        if event.endswith('.delete.end') and content['terminated_at']:
            terminated[uuid] = _parse(content['terminated_at'])
        if event.endswith('.exists') and not notification.context['task_id']:
            bounds = (
                _parse(content['audit_period_beginning']),
                _parse(content['audit_period_ending']),
            )
            received[uuid, *bounds] += 1
    expected = collections.Counter(
        (uuid, ending - _HOUR, ending)
        for ending in _list_endings(seconds)
        for uuid, begin in launched.items()
        if begin < ending
        and (uuid not in terminated or terminated[uuid] > ending - _HOUR)
    )
    for uuid, _, ending in expected - received:
        yield f'invariant 11: {uuid} has no exists until {ending:%H:%M}'
    for uuid, beginning, ending in received - expected:
        yield (
            f'invariant 11: {uuid} has an exists too many for '
            f'{beginning:%H:%M:%S} to {ending:%H:%M:%S}'
        )


def _list_endings(seconds: float) -> Iterator[datetime.datetime]:
    newest = EPOCH + datetime.timedelta(seconds=seconds) - _DELAY
    ending = FIRST_ENDING
    while ending <= newest:
        yield ending
        ending += _HOUR


def _parse(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
