# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of the guests of an embedded host.

libvirt's test driver counts nothing: the devices are those of the definition.
"""

from minova import exception
from minova.objects.diagnostics import Diagnostics
from minova.virt.libvirt.diagnostics import describe
from minova.virt.libvirt.diagnostics import Statistics
from minova.virt.libvirt.embedded.guests import EmbeddedGuests


class EmbeddedDiagnostics:
    """The diagnostics of the guests of one embedded host."""

    def __init__(self, guests: EmbeddedGuests) -> None:
        self._guests = guests

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return the devices of the definition."""
        guest = self._guests.guest(uuid)
        definition = self._guests.definition(uuid)
        if (
            guest is None
            or definition is None
            or guest.is_incoming
            or not guest.is_on
        ):
            raise exception.InstanceNotReady(
                instance_id=uuid, reason='the guest does not run'
            )
        return describe(definition, guest.power, Statistics())
