# SPDX-License-Identifier: Apache-2.0
"""The QEMU guest agent, over libvirt."""

from typing import Final

import libvirt

from minova import exception
from minova.states import PowerState
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.errors import unanswered
from minova.virt.libvirt.guests import Guests

#: Seconds for which libvirt waits for an answer of the agent.
_AGENT_TIMEOUT: Final = 8
#: What users can do about an agent that does not answer.
_NO_AGENT: Final = (
    'the QEMU guest agent does not answer. Start qemu-guest-agent in the guest'
)


class GuestAgents:
    """The agents of the guests of one libvirt."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def set_admin_password(self, uuid: str, user: str, password: str) -> None:
        """Send guest-set-user-password."""
        guest = self._guests.guest(uuid)
        if guest is None or guest.power is not PowerState.RUNNING:
            raise exception.GuestFailed(
                instance_id=uuid, reason='the guest does not run'
            )
        domain = self._guests.require(uuid)

        def send(dom: libvirt.virDomain) -> None:
            dom.agentSetResponseTimeout(_AGENT_TIMEOUT, 0)
            dom.setUserPassword(user, password, 0)

        try:
            self._guests.request(domain, send)
        except libvirt.libvirtError as error:
            raise _agent_failed(uuid, error) from error


def _agent_failed(
    uuid: str, error: libvirt.libvirtError
) -> exception.GuestFailed:
    """Return the error for users."""
    if has_error_code(
        error,
        libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
        libvirt.VIR_ERR_AGENT_UNSYNCED,
    ):
        return exception.GuestFailed(
            instance_id=uuid, reason=f'{_NO_AGENT} ({error_message(error)})'
        )
    return unanswered(uuid, error)
