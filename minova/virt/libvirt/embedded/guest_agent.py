# SPDX-License-Identifier: Apache-2.0
"""The guests of an embedded host have no operating system, and no agent."""

from minova import exception


class NoGuestAgents:
    """Refuses each request to an agent."""

    def set_admin_password(self, uuid: str, user: str, password: str) -> None:
        """Raise GuestFailed."""
        raise exception.GuestFailed(
            instance_id=uuid,
            reason='guests of embedded hosts have no guest agent',
        )
