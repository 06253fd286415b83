# SPDX-License-Identifier: Apache-2.0
"""The contents of a host, for the audit."""

from typing import Protocol

from minova.objects.host import HostArtifact


class HostContentsInterface(Protocol):
    """All contents of a host, for the audit."""

    def list_host_contents(self) -> list[HostArtifact]:
        """Return the artifacts of every guest on the host, ordered by uuid.

        Includes leftovers: disks without a guest, parts of an interrupted
        copy, reserved addresses of a deleted guest. Guests that Minova did not
        define have no operation. Concurrent changes may or may not be
        included.
        """
