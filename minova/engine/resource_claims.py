# SPDX-License-Identifier: Apache-2.0
"""The part of a unit of work that writes what an instance holds."""

from minova.db.queries import console_tokens
from minova.db.queries import hosts
from minova.db.queries import server_groups
from minova.engine import placements
from minova.engine.notice_buffer import NoticeBuffer
from minova.objects.flavor import Flavor


class ResourceClaims(NoticeBuffer):
    """Claims of hosts, the place in a server group, tokens of consoles."""

    def claim(
        self,
        host: str,
        flavor: Flavor,
        consumer: str,
        is_running: bool = False,
    ) -> bool:
        """Claim a flavor; False if the host or the server group refuses.

        ``is_running``: the guest runs while it migrates there.
        """
        uuid, group = self.instance.uuid, self.instance.request_spec.group
        if not server_groups.admits(self.connection, group, uuid, host):
            return False
        return placements.claim(
            self.connection,
            self.instance,
            host,
            consumer,
            flavor,
            is_running,
        )

    def release(self, host: str, consumer: str | None = None) -> None:
        """Release what is claimed on a host, by ``consumer`` if given."""
        hosts.release(self.connection, self.instance.uuid, host, consumer)

    def transfer_claim(self, host: str, consumer: str, to: str) -> None:
        """Make ``to`` the consumer of what ``consumer`` claimed on a host."""
        hosts.transfer_claim(
            self.connection, self.instance.uuid, host, consumer, to
        )

    def leave_server_group(self) -> None:
        """Let an instance that is deleted leave its server group."""
        if self.instance.request_spec.group is not None:
            server_groups.remove_member(self.connection, self.instance.uuid)

    def delete_console_tokens(self) -> None:
        """Revoke the tokens of the instance's consoles."""
        console_tokens.delete_by_instance(self.connection, self.instance.uuid)
