# SPDX-License-Identifier: Apache-2.0
"""Lock and unlock: whether the owner of an instance may act on it.

Neither has a step: the transaction that begins the operation ends it. They run
concurrently with the operation that owns the instance, which goes on.
"""

from minova.flows.base import Flow
from minova.flows.base import UnitOfWork
from minova.objects.instance import LOCKED_BY_ADMIN
from minova.objects.operation_params import LockParams


class Lock(Flow):
    """Refuse the actions of the owner from now on."""

    params_class = LockParams

    def on_begin(self, uow: UnitOfWork) -> None:
        """Record who has locked the instance, and why.

        A lock stays as it is when a member of the project locks again.
        """
        params = LockParams.narrow(uow.operation.params)
        if not uow.instance.locked or params.locked_by == LOCKED_BY_ADMIN:
            uow.update_instance(
                locked=True,
                locked_by=params.locked_by,
                locked_reason=params.reason,
            )
            uow.emit_change()
        uow.finish()


class Unlock(Flow):
    """Accept the actions of the owner again."""

    def on_begin(self, uow: UnitOfWork) -> None:
        """Remove the lock."""
        uow.update_instance(locked=False, locked_by=None, locked_reason=None)
        uow.emit_change()
        uow.finish()
