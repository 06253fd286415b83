# SPDX-License-Identifier: Apache-2.0
"""The requests that the agent in a guest answers."""

from typing import Protocol


class GuestAgentInterface(Protocol):
    """The agents of guests."""

    def set_admin_password(self, uuid: str, user: str, password: str) -> None:
        """Let the agent of a running guest set the password of ``user``.

        Raises GuestFailed when the guest does not run, has no agent, or when
        the agent refuses or does not answer. No error has the password.
        """
