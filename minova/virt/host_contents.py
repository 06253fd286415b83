# SPDX-License-Identifier: Apache-2.0
"""The contents of a host: guests, disks, reserved addresses."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from minova.objects.host import HostArtifact
from minova.virt.driver import Guest


@dataclasses.dataclass
class DiskArtifacts:
    """The disks of one guest on a host; see HostArtifact."""

    has_disks: bool = False
    has_retained_disks: bool = False
    has_partial_disks: bool = False
    has_snapshots: bool = False
    has_config_drive: bool = False


def build(
    guests: Iterable[Guest],
    disk_artifacts: Mapping[str, DiskArtifacts],
    reserved: Collection[str] = (),
    macs: Mapping[str, list[str]] | None = None,
) -> list[HostArtifact]:
    """Return an artifact for each uuid that has something on the host.

    ``reserved`` has the uuids with reserved addresses in networks, ``macs``
    the interfaces of guests.
    """
    by_uuid = {guest.uuid: guest for guest in guests}
    return [
        _build_artifact(
            uuid,
            by_uuid.get(uuid),
            disk_artifacts.get(uuid) or DiskArtifacts(),
            uuid in reserved,
            (macs or {}).get(uuid),
        )
        for uuid in sorted({*by_uuid, *disk_artifacts, *reserved})
    ]


def _build_artifact(
    uuid: str,
    guest: Guest | None,
    disk_artifacts: DiskArtifacts,
    reserved: bool,
    macs: list[str] | None,
) -> HostArtifact:
    here = guest is not None and not guest.is_incoming
    return HostArtifact(
        uuid=uuid,
        power_state=int(guest.power) if guest and here else None,
        is_incoming=guest is not None and guest.is_incoming,
        operation=guest.operation if guest else None,
        generation=guest.generation if guest else None,
        has_reserved_addresses=reserved,
        macs=macs if here else None,
        **vars(disk_artifacts),
    )
