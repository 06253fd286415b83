# SPDX-License-Identifier: Apache-2.0
"""The request context: the caller and the operation it began.

Every message and every notification (as ``_context_*``) has the context, so
that a consumer can relate what belongs to one request.
"""

from collections.abc import Mapping
from typing import Any

from oslo_context import context

from minova import clock


class Context(context.RequestContext):
    """The request context of oslo.context plus the operation.

    ``task_id`` is the operation's id. A receiver that knows a newer
    ``generation`` of the instance ignores the message.
    """

    FROM_DICT_EXTRA_KEYS = ['task_id', 'generation', 'timestamp']

    def __init__(
        self,
        *,
        task_id: str | None = None,
        generation: int | None = None,
        timestamp: str | None = None,
        **values: Any,
    ) -> None:
        values.setdefault('overwrite', False)
        super().__init__(**values)
        self.task_id = task_id
        self.generation = generation
        self.timestamp = timestamp or clock.now().isoformat()

    def to_dict(self) -> dict[str, Any]:
        """Return the form for messages and notifications."""
        values: dict[str, Any] = super().to_dict()
        values['task_id'] = self.task_id
        values['generation'] = self.generation
        values['timestamp'] = self.timestamp
        # The names that consumers of notifications expect.
        values['user_id'] = self.user_id
        values['user_name'] = self.user_name
        values['tenant'] = self.project_id
        values['project_name'] = self.project_name
        # A token is a secret; it is neither sent nor stored.
        values.pop('auth_token', None)
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> 'Context':
        """Return the context of the values that ``to_dict`` returned."""
        context: Context = cls.from_dict(dict(values))
        return context


def generate_request_id() -> str:
    """Return a new request id, ``req-`` and a uuid."""
    return f'req-{clock.uuid4()}'


def get_admin_context() -> Context:
    """Return the context of actions that Minova begins itself."""
    return Context(is_admin=True, request_id=generate_request_id())
