# SPDX-License-Identifier: Apache-2.0
"""What a host has, put together: guests, disks, reserved addresses."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from minova.objects.host import Holding
from minova.virt.driver import Guest


@dataclasses.dataclass
class Kept:
    """What is found of the disks of one guest; see ``Holding``."""

    disks: bool = False
    aside: bool = False
    scraps: bool = False
    config_drive: bool = False


def of(
    guests: Iterable[Guest],
    kept: Mapping[str, Kept],
    reserved: Collection[str] = (),
) -> list[Holding]:
    """Return a holding for each uuid that has something.

    ``reserved`` are those for which networks keep addresses.
    """
    by_uuid = {guest.uuid: guest for guest in guests}
    return [
        _holding(
            uuid,
            by_uuid.get(uuid),
            kept.get(uuid) or Kept(),
            uuid in reserved,
        )
        for uuid in sorted({*by_uuid, *kept, *reserved})
    ]


def _holding(
    uuid: str, guest: Guest | None, kept: Kept, reserved: bool
) -> Holding:
    here = guest is not None and not guest.arriving
    return Holding(
        uuid=uuid,
        power_state=int(guest.power) if guest and here else None,
        arriving=guest is not None and guest.arriving,
        operation=guest.operation if guest else None,
        generation=guest.generation if guest else None,
        reserved=reserved,
        **vars(kept),
    )
