# SPDX-License-Identifier: Apache-2.0
"""The texts of what an operation waits for.

A text begins with the reason of one step. While that part is the same it is
the same wait, whatever details follow.
"""

from minova.engine import operation_log
from minova.objects import operation as records


def host_return(step: records.Step) -> str:
    """Return the reason of a step whose host is down."""
    return f'host {step.host} to return for {step.method}'


def retry(step: records.Step) -> str:
    """Return the reason of a step that failed and is retried."""
    return f'{operation_log.describe_step(step)} to succeed'


def end(step: records.Step) -> str:
    """Return the reason of a step that still runs past the deadline."""
    return f'{operation_log.describe_step(step)} to finish'


def begin(step: records.Step) -> str:
    """Return the reason of a step that must not run before a time."""
    assert step.not_before is not None
    return (
        f'{operation_log.describe_step(step)} to begin, at '
        f'{step.not_before:%Y-%m-%d %H:%M:%S} UTC or later'
    )


def belongs_to(step: records.Step, text: str) -> bool:
    """Tell whether ``text`` is the wait reason of this step."""
    own = [host_return(step), retry(step), end(step)]
    if step.not_before is not None:
        own.append(begin(step))
    return text.startswith(tuple(own))


def clear(operation: records.Operation, step: records.Step) -> None:
    """End the wait that is recorded for ``step``, if there is one."""
    if operation.wait_reason is not None and belongs_to(
        step, operation.wait_reason
    ):
        operation.wait_reason = None
        operation.waiting_since = None
