# SPDX-License-Identifier: Apache-2.0
"""The table of event types.

The names are those of Nova's unversioned notifications, without the common
prefix ``compute.instance.``. An operation emits an event with phases twice:
``.start``, and then exactly one of ``.end`` and ``.error``.
"""

from typing import Final

PREFIX: Final = 'compute.instance.'

START: Final = 'start'
END: Final = 'end'
ERROR: Final = 'error'

#: Emitted once.
SINGLE_EVENTS: Final = frozenset(
    {'update', 'exists', 'evacuate', 'rebuild.scheduled'}
)

#: Emitted at the start and at the end of an activity.
PHASED_EVENTS: Final = frozenset(
    {
        'create',
        'delete',
        'shutdown',
        'soft_delete',
        'restore',
        'shelve',
        'shelve_offload',
        'unshelve',
        'power_on',
        'power_off',
        'pause',
        'unpause',
        'suspend',
        'resume',
        'snapshot',
        'rescue',
        'unrescue',
        'reboot',
        'rebuild',
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
        'interface_attach',
        'interface_detach',
        'create_ip',
        'delete_ip',
        'trigger_crash_dump',
    }
)


#: The notifications about other things than instances, with their full names.
AGGREGATE_EVENTS: Final = frozenset(
    {
        'create',
        'delete',
        'addhost',
        'removehost',
        'updatemetadata',
        'updateprop',
    }
)


SERVER_GROUP_EVENTS: Final = frozenset({'create', 'delete', 'addmember'})


def server_group_event_type(name: str) -> str:
    """Return the event type of a change of a server group."""
    if name not in SERVER_GROUP_EVENTS:
        raise KeyError(f'{name} is not an event of server groups')
    return f'servergroup.{name}'


def aggregate_event_type(name: str, phase: str) -> str:
    """Return the event type of a change of a host aggregate."""
    if name not in AGGREGATE_EVENTS:
        raise KeyError(f'{name} is not an event of aggregates')
    return f'aggregate.{name}.{phase}'


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
    """Return ``ERROR`` for an ``.error`` event, else ``INFO``."""
    return 'ERROR' if event_type.endswith('error') else 'INFO'


def publisher_id(service: str, host: str) -> str:
    """Return the publisher id, which names the service and its host."""
    return f'{service}.{host}'
