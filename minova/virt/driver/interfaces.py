# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of guests."""

from typing import Any
from typing import Protocol

from minova.virt.driver.guests import GuestSpec

#: A NIC of ``Instance.network_info``.
Nic = dict[str, Any]


class NicInterface(Protocol):
    """The network interfaces of a guest, which their MACs identify."""

    def interfaces(self, uuid: str) -> list[str]:
        """Return the MACs of the interfaces of a guest, in order.

        Those of the running guest, or of the definition of one that is off;
        none of an unknown guest.
        """

    def attach_interface(self, spec: GuestSpec, nic: Nic) -> None:
        """Add the interface of a NIC to a guest and to its definition.

        A guest that is on gets it at once. Its host filters and reserves its
        addresses, as for ``define``. Adds what is missing; nothing if the
        guest and its definition have the interface.
        """

    def detach_interface(self, uuid: str, nic: Nic) -> None:
        """Remove the interface of a NIC from a guest and its definition.

        Waits until a guest that is on has released it. Raises GuestFailed if
        the guest does not; the definition then keeps it. Nothing if neither
        has the interface, or without a guest.
        """
