# SPDX-License-Identifier: Apache-2.0
"""The records that the hosts of a live migration exchange.

The conductor sends LiveMigrateSource to a candidate. The candidate answers
with DestCheckData, the source completes that to LiveMigrateData, and the
operation stores the latter with its steps. The ``qemu`` parts are None unless
both hosts run QEMU.
"""

from typing import Any
from typing import Self

from minova.objects import base


@base.register
class LiveMigrateSource(base.Object):
    """The source host, as a candidate checks it.

    ``cpu_info`` is the processor that ``HostReport`` describes.
    """

    VERSION = '1.0'

    host: str
    cpu_info: dict[str, Any]


@base.register
class StorageProbe(base.Object):
    """A file by which another host finds out whether storage is shared.

    ``name`` is the name of the file in the directory of instances, ``token``
    its whole content.
    """

    VERSION = '1.0'

    name: str
    token: str


@base.register
class QemuDestination(base.Object):
    """A QEMU host that can receive a guest.

    ``qemu_version`` counts as ``virt.qemu_version`` does. ``missing_base`` is
    the image that disks in a shared directory need and the host lacks.
    ``config_drive_digest`` is the SHA-256 of the config drive that the host
    would build. ``disk_over_commit`` is the user's choice: free space has to
    suffice for the allocated bytes of the disks, not for their sizes.
    ``firmware`` is the file of the guest's UEFI firmware there, None for a
    guest without. ``has_spice`` tells whether its QEMU has SPICE.
    """

    VERSION = '1.0'

    virt_type: str
    emulator: str
    qemu_version: int
    instances_path: str
    image_cache_path: str
    vnc_listen: str
    inbound_address: str
    probe: StorageProbe
    has_disks: bool
    missing_base: str | None
    config_drive_digest: str | None
    free_bytes: int
    disk_over_commit: bool
    firmware: str | None
    has_spice: bool


@base.register
class DestCheckData(base.Object):
    """The answer of a candidate that can receive the guest.

    ``simulation_notice`` is None for a real migration; otherwise it says what
    the simulated one leaves out.
    """

    VERSION = '1.0'

    host: str
    simulation_notice: str | None = None
    qemu: QemuDestination | None = None


@base.register
class MigrateDisk(base.Object):
    """A disk that a block migration copies.

    ``size`` is in bytes. ``base`` is the file name of the image that a qcow2
    disk is an overlay of.
    """

    VERSION = '1.0'

    name: str
    size: int
    format: str
    base: str | None


@base.register
class QemuMigrateData(base.Object):
    """How a guest migrates between two QEMU hosts.

    ``mode`` is 'live', 'pause' or 'post-copy'. ``config_drive`` is the config
    drive itself, packed, when the destination would build another one.
    ``incremental`` is set by the destination when its disks are overlays of
    the same image, so that only the overlays are copied. ``cpu_binding`` has
    the CPUs and NUMA cells of the destination for the guest, which it sets.
    """

    VERSION = '1.0'

    destination: QemuDestination
    disks: list[MigrateDisk]
    mode: str
    tls: bool
    config_drive: str | None
    incremental: bool = False
    cpu_binding: dict[str, Any] | None = None


@base.register
class LiveMigrateData(base.Object):
    """How a guest migrates, as both hosts agreed before it begins.

    With ``block_migration`` the disks are copied; without it both hosts see
    the same files.
    """

    VERSION = '1.0'

    source_host: str
    dest_host: str
    block_migration: bool
    simulation_notice: str | None = None
    qemu: QemuMigrateData | None = None

    def with_preparation(self, prepared: 'LiveMigrateData') -> Self:
        """Return this data with what only the prepared destination knows.

        Everything else stays as the source decided it.
        """
        if self.qemu is None or prepared.qemu is None:
            return self
        return self.replace(
            qemu=self.qemu.replace(
                incremental=prepared.qemu.incremental,
                cpu_binding=prepared.qemu.cpu_binding,
            )
        )
