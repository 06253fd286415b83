# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of the guests of an embedded host.

libvirt's test driver has no hot plug. Its guests see nothing of their
hardware, so their definition is all that there is to change.
"""

from minova.virt.driver import GuestSpec
from minova.virt.driver import Nic
from minova.virt.libvirt import xml
from minova.virt.libvirt.embedded.guests import EmbeddedGuests


class EmbeddedInterfaces:
    """The interfaces in the definitions of guests."""

    def __init__(self, guests: EmbeddedGuests) -> None:
        self._guests = guests

    def interfaces(self, uuid: str) -> list[str]:
        """Return the MACs in the definition."""
        text = self._guests.definition(uuid)
        return [] if text is None else list(xml.interface_elements(text))

    def attach_interface(self, spec: GuestSpec, nic: Nic) -> None:
        """Add the interface to the definition."""
        if nic['mac'].lower() not in self.interfaces(spec.uuid):
            self._guests.redefine(
                spec.uuid,
                lambda text: xml.add_interface(
                    text, xml.interface_xml(spec, nic)
                ),
            )

    def detach_interface(self, uuid: str, nic: Nic) -> None:
        """Remove the interface from the definition."""
        mac = nic['mac'].lower()
        if mac in self.interfaces(uuid):
            self._guests.redefine(
                uuid, lambda text: xml.remove_interface(text, mac)
            )
