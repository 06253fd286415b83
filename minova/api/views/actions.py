# SPDX-License-Identifier: Apache-2.0
"""Operations and steps, as the actions and events that clients know."""

from collections.abc import Mapping
from typing import Any
from typing import Final

from minova import states
from minova.api.views import servers
from minova.api.views import times
from minova.exception import written
from minova.objects import operation as records

#: In these a step or an operation has not succeeded.
_BAD: Final = frozenset(
    {records.FAILED, records.PREEMPTED, records.ROLLED_BACK}
)


def action(
    operation: records.Operation, version: int, admin: bool
) -> dict[str, Any]:
    """Return an action without its events."""
    shown = {
        'action': states.TABLE[operation.kind].action,
        'instance_uuid': operation.instance_uuid,
        'request_id': operation.request_id,
        'user_id': operation.user_id or '',
        'project_id': operation.project_id or '',
        'start_time': times.plain(operation.started_at),
        'message': _reason(operation.error, admin),
    }
    if version >= 58:
        shown['updated_at'] = times.plain(operation.updated_at)
    return shown


def event(
    step: records.Step, version: int, project_id: str, full: bool, more: bool
) -> dict[str, Any]:
    """Return an event; ``full`` with traceback and host, ``more`` details.

    There is no traceback: the error with its class stands for it.
    """
    shown = {
        'event': f'{step.topic}_{step.method}',
        'start_time': times.plain(step.started_at or step.created_at),
        'finish_time': times.plain(step.finished_at),
        'result': _result(step),
        'traceback': _traceback(step.error) if full else None,
    }
    if version >= 62:
        shown['hostId'] = servers.host_id(project_id, step.host)
        if full and step.host is not None:
            shown['host'] = step.host
    if version >= 84 and more:
        shown['details'] = _reason(step.error, True)
    return shown


def _result(step: records.Step) -> str | None:
    if step.finished_at is None:
        return None
    return 'Error' if step.error or step.state in _BAD else 'Success'


def _reason(form: Mapping[str, Any] | None, admin: bool) -> str | None:
    if form is None:
        return None
    return servers.seen(str(written.decode(form)), admin)


def _traceback(form: Mapping[str, Any] | None) -> str | None:
    if form is None:
        return None
    error = written.decode(form)
    return f'{type(error).__name__}: {error}'
