# SPDX-License-Identifier: Apache-2.0
"""Operations and steps, as the actions and events of the API."""

from collections.abc import Mapping
from typing import Final

from minova import states
from minova.api.views import Document
from minova.api.views import servers
from minova.api.views import times
from minova.exception import serialization
from minova.objects import operation as records

#: The states of a failed step or operation.
_FAILED_STATES: Final = frozenset(
    {records.FAILED, records.PREEMPTED, records.ROLLED_BACK}
)


def action(
    operation: records.Operation, version: int, is_admin: bool
) -> Document:
    """Return an action without its events."""
    result: Document = {
        'action': states.TABLE[operation.kind].action_name,
        'instance_uuid': operation.instance_uuid,
        'request_id': operation.request_id,
        'user_id': operation.user_id or '',
        'project_id': operation.project_id or '',
        'start_time': times.strtime(operation.started_at),
        'message': _error_message(operation.error, is_admin),
    }
    if version >= 58:
        result['updated_at'] = times.strtime(operation.updated_at)
    return result


def event(
    step: records.Step,
    version: int,
    project_id: str,
    with_host: bool,
    with_details: bool,
) -> Document:
    """Return an event.

    ``with_host`` adds the traceback and the host, ``with_details`` the
    details. The traceback is the class and text of the error.
    """
    result: Document = {
        'event': f'{step.topic}_{step.method}',
        'start_time': times.strtime(step.started_at or step.created_at),
        'finish_time': times.strtime(step.finished_at),
        'result': _result_word(step),
        'traceback': _traceback(step.error) if with_host else None,
    }
    if version >= 62:
        result['hostId'] = servers.host_id(project_id, step.host)
        if with_host and step.host is not None:
            result['host'] = step.host
    if version >= 84 and with_details:
        result['details'] = _error_message(step.error, True)
    return result


def _result_word(step: records.Step) -> str | None:
    if step.finished_at is None:
        return None
    return 'Error' if step.error or step.state in _FAILED_STATES else 'Success'


def _error_message(
    form: Mapping[str, object] | None, is_admin: bool
) -> str | None:
    if form is None:
        return None
    return servers.redact(str(serialization.decode(form)), is_admin)


def _traceback(form: Mapping[str, object] | None) -> str | None:
    if form is None:
        return None
    error = serialization.decode(form)
    return f'{type(error).__name__}: {error}'
