# SPDX-License-Identifier: Apache-2.0
"""Operations and steps, as the actions and events of the API."""

from collections.abc import Mapping
import dataclasses
from typing import Final

from minova import states
from minova.api.views import Document
from minova.api.views import servers
from minova.api.views import times
from minova.exception import serialization
from minova.flows import interfaces
from minova.objects import operation as records

#: The states of a failed step or operation.
_FAILED_STATES: Final = frozenset(
    {records.FAILED, records.PREEMPTED, records.ROLLED_BACK}
)


#: The message of a failed action for a caller who may not see the reason.
_FAILURE: Final = 'Error'


@dataclasses.dataclass(frozen=True)
class Visible:
    """The parts that the caller may see of the actions of a server.

    ``hosts`` includes the tracebacks of events. ``reasons`` are the texts of
    errors, in the details of an event and in the message of an action.
    ``project_id`` is the owner of the server.
    """

    version: int
    project_id: str
    hosts: bool
    reasons: bool
    is_admin: bool


def action(operation: records.Operation, visible: Visible) -> Document:
    """Return an action without its events."""
    result: Document = {
        'action': states.TABLE[operation.kind].action_name,
        'instance_uuid': operation.instance_uuid,
        'request_id': operation.request_id,
        'user_id': operation.user_id or '',
        'project_id': operation.project_id or '',
        'start_time': times.strtime(operation.started_at),
        'message': _message(operation, visible),
    }
    if visible.version >= 58:
        result['updated_at'] = times.strtime(operation.updated_at)
    return result


def event(
    operation: records.Operation, step: records.Step, visible: Visible
) -> Document:
    """Return an event; its traceback is the class and text of the error."""
    result: Document = {
        'event': interfaces.get_event_name(
            operation.kind, step.topic, step.method
        ),
        'start_time': times.strtime(step.started_at or step.created_at),
        'finish_time': times.strtime(step.finished_at),
        'result': _result_word(step),
        'traceback': _traceback(step.error) if visible.hosts else None,
    }
    if visible.version >= 62:
        result['hostId'] = servers.host_id(visible.project_id, step.host)
        if visible.hosts and step.host is not None:
            result['host'] = step.host
    if visible.version >= 84 and visible.reasons:
        result['details'] = _reason(step.error, visible)
    return result


def _result_word(step: records.Step) -> str | None:
    if step.finished_at is None:
        return None
    return 'Error' if step.error or step.state in _FAILED_STATES else 'Success'


def _message(operation: records.Operation, visible: Visible) -> str | None:
    if operation.error is None or visible.reasons:
        return _reason(operation.error, visible)
    return _FAILURE


def _reason(form: Mapping[str, object] | None, visible: Visible) -> str | None:
    if form is None:
        return None
    return servers.redact_fault(
        str(serialization.decode(form)), visible.is_admin
    )


def _traceback(form: Mapping[str, object] | None) -> str | None:
    if form is None:
        return None
    error = serialization.decode(form)
    return f'{type(error).__name__}: {error}'
