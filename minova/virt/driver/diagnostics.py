# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of guests."""

from typing import Protocol

from minova.objects.diagnostics import Diagnostics


class DiagnosticsInterface(Protocol):
    """The diagnostics of guests."""

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return what the hypervisor counts of a guest that is on.

        Raises InstanceNotReady for an unknown guest and one that is off.
        """
