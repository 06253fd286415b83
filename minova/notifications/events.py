# SPDX-License-Identifier: Apache-2.0
"""The events: one table.

Names are the legacy ones of the Compute API's ecosystem, without their common
prefix ``compute.instance.``. An event with phases is told twice: ``.start``
and then exactly one of ``.end`` and ``.error``, by the same operation.
"""

from typing import Final

PREFIX: Final = 'compute.instance.'

START: Final = 'start'
END: Final = 'end'
ERROR: Final = 'error'

#: Told once: something has changed, or is as it is.
SINGLE_EVENTS: Final = frozenset({'update', 'exists'})

#: Told when it begins and when it ends, well or badly.
PHASED_EVENTS: Final = frozenset(
    {
        'create',
        'delete',
        'shutdown',
        'power_on',
        'power_off',
        'pause',
        'unpause',
        'suspend',
        'resume',
        'rescue',
        'unrescue',
        'reboot',
        'resize.prep',
        'resize',
        'finish_resize',
        'resize.confirm',
        'resize.revert',
        'live_migration.pre',
        'live_migration._post',
        'live_migration.post.dest',
        'live_migration._rollback',
        'live_migration.rollback.dest',
        'live.migration.abort',
        'live.migration.force.complete',
    }
)


def event_type(name: str, phase: str | None = None) -> str:
    """Return the full event type; KeyError for one that is not listed."""
    if phase is None:
        if name not in SINGLE_EVENTS:
            raise KeyError(f'{name} is not an event without phases')
        return PREFIX + name
    if name not in PHASED_EVENTS:
        raise KeyError(f'{name} is not an event with phases')
    return f'{PREFIX}{name}.{phase}'


def priority(event_type: str) -> str:
    """Return ``ERROR`` for an event that ends so, else ``INFO``."""
    return 'ERROR' if event_type.endswith('error') else 'INFO'


def publisher_id(service: str, host: str) -> str:
    """Return the publisher id by which consumers know host and service."""
    return f'{service}.{host}'
