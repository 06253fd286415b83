# SPDX-License-Identifier: Apache-2.0
"""The checks of a live migration at both QEMU hosts, before it begins.

The destination checks first and answers with DestCheckData. The source checks
against that and decides how the guest migrates: over shared storage or with a
copy of the disks, which disks, in which mode. The source also holds the config
drive against the one that the destination would build.
"""

from collections.abc import Iterator
import contextlib
import os
import shutil
from typing import Any
from xml.etree import ElementTree

import libvirt

from minova import exception
from minova.conf import CONF
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.live_migrate_data import MigrateDisk
from minova.objects.live_migrate_data import QemuDestination
from minova.objects.live_migrate_data import QemuMigrateData
from minova.virt import qemu_version
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import qcow2_header
from minova.virt.libvirt import spice
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.network_filters import NetworkFilters
from minova.virt.libvirt.qemu import config_drive_migration
from minova.virt.libvirt.qemu import migration_xml
from minova.virt.libvirt.qemu.disks import missing_base_reason
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.guests import QemuGuests
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.shared_storage import SharedStorage


class LiveMigrationChecks:
    """The checks of one host, as destination and as source."""

    def __init__(
        self,
        host_config: HostConfig,
        connection: Connection,
        guests: QemuGuests,
        disks: QemuDisks,
    ) -> None:
        self._config = host_config
        self._host = host_config.host
        self._shared_storage = SharedStorage(
            host_config.instances_path, host_config.host
        )
        self._connection = connection
        self._guests = guests
        self._disks = disks
        self._filters = NetworkFilters(connection)

    # -- at the destination --------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """Check the guest's name and processor; describe this host."""
        if self._guests.find(spec.uuid) is not None:
            raise exception.MigrationPreCheckError(
                reason=f'{self._host} still has a guest {spec.uuid}; power '
                'synchronization removes it'
            )
        if self._config.virt_type == 'kvm':
            self._compare_cpu(source.cpu_info)
        self._require_filters(spec)
        with _failures_as_check_errors():
            return DestCheckData(
                host=self._host,
                qemu=self._describe(spec, disk_over_commit),
            )

    def _describe(
        self, spec: GuestSpec, disk_over_commit: bool
    ) -> QemuDestination:
        config, firmware = self._config, self._guests.firmware(spec)
        return QemuDestination(
            virt_type=config.virt_type,
            emulator=config.emulator,
            qemu_version=config.qemu_version(self._connection.get()),
            instances_path=config.instances_path,
            image_cache_path=config.image_cache_path,
            vnc_listen=CONF.vnc.server_listen,
            inbound_address=config.live_migration_inbound_addr,
            probe=self._shared_storage.write_probe(),
            has_disks=self._disks.has_visible_disks(spec.uuid),
            missing_base=self._disks.missing_base(spec.uuid),
            config_drive_digest=config_drive_migration.drive_digest(spec),
            free_bytes=shutil.disk_usage(config.instances_path).free,
            disk_over_commit=disk_over_commit,
            firmware=None if firmware is None else firmware.code,
            has_spice=spice.is_supported(
                self._connection.get(),
                config.emulator or None,
                config.virt_type,
            ),
        )

    def _require_filters(self, spec: GuestSpec) -> None:
        try:
            self._filters.ensure(spec.uuid, spec.nics)
        except exception.HypervisorUnavailable:
            raise
        except exception.GuestFailed as error:
            raise exception.MigrationPreCheckError(
                reason=f'{self._host}: {error}'
            ) from error

    def _compare_cpu(self, cpu_info: dict[str, Any]) -> None:
        if not cpu_info.get('model'):
            return
        with _failures_as_check_errors():
            result = self._connection.get().compareCPU(
                migration_xml.cpu_xml(cpu_info)
            )
        if result <= libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
            raise exception.InvalidCPUInfo(
                reason=f'the processor of {self._host} lacks features of the '
                f"source's ({cpu_info['model']})"
            )

    # -- at the source -------------------------------------------------------

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """Check the storage and the QEMU versions; decide on the mode."""
        domain = self._guests.find(uuid)
        guest = self._guests.guest(uuid)
        if domain is None or guest is None or not guest.is_on:
            raise exception.MigrationPreCheckError(
                reason=f'guest {uuid} does not run on {self._host}'
            )
        dest, qemu = dest_check_data.host, require_qemu(dest_check_data)
        self._require_address(dest, qemu)
        with _failures_as_check_errors():
            shared = self._shared_storage.has_probe(qemu.probe)
            self._check_storage(uuid, dest, qemu, block_migration, shared)
            running = ElementTree.fromstring(domain.XMLDesc())  # noqa: S314
            with self._guests.dedicated(domain) as dom:
                disks = _disks_to_copy(dom, running)
            mode = _migration_mode(running, dest, qemu)
            _require_same_firmware(running, dest, qemu)
            _require_spice(running, dest, qemu)
            drive = None
            if not shared:
                self._check_free_space(uuid, dest, qemu, disks)
                drive = config_drive_migration.changed_drive(
                    self._disks.guest_directory(uuid),
                    qemu.config_drive_digest,
                )
        return LiveMigrateData(
            source_host=self._host,
            dest_host=dest,
            block_migration=not shared,
            qemu=QemuMigrateData(
                destination=qemu,
                disks=disks,
                mode=mode,
                tls=CONF.libvirt.live_migration_with_native_tls,
                config_drive=drive,
            ),
        )

    def _require_address(self, dest: str, qemu: QemuDestination) -> None:
        try:
            self._config.destination_uri(qemu.inbound_address)
        except ValueError as error:
            raise exception.MigrationPreCheckError(
                reason=f'the address of {dest}: {error}; set [libvirt] '
                'live_migration_inbound_addr there'
            ) from error

    def _check_storage(
        self,
        uuid: str,
        dest: str,
        qemu: QemuDestination,
        block_migration: bool | None,
        shared: bool,
    ) -> None:
        path = self._disks.guest_directory(uuid)
        if shared and block_migration:
            raise exception.InvalidSharedStorage(
                path=path,
                reason=f'{self._host} and {dest} share this storage; request '
                'a live migration without block migration',
            )
        if shared and qemu.missing_base is not None:
            raise exception.MigrationPreCheckError(
                reason=missing_base_reason(dest, qemu.missing_base)
            )
        if not shared and block_migration is False:
            raise exception.InvalidLocalStorage(
                path=path,
                reason=f'{dest} does not share this storage; request block '
                'migration',
            )
        if not shared and qemu.has_disks:
            raise exception.MigrationPreCheckError(
                reason=f'{dest} still has disks of {uuid}; '
                '"minova-manage audit" shows their owner'
            )

    def _check_free_space(
        self,
        uuid: str,
        dest: str,
        qemu: QemuDestination,
        disks: list[MigrateDisk],
    ) -> None:
        if qemu.disk_over_commit:
            needed = self._disks.bytes_used(uuid)
        else:
            needed = sum(disk.size for disk in disks)
        if needed > qemu.free_bytes:
            raise exception.MigrationPreCheckError(
                reason=f'the disks of {uuid} need {needed} bytes, {dest} has '
                f'{qemu.free_bytes} bytes free'
            )


def require_qemu(dest_check_data: DestCheckData) -> QemuDestination:
    """Return the QEMU part; MigrationPreCheckError without it."""
    if dest_check_data.qemu is None:
        raise exception.MigrationPreCheckError(
            reason=f'{dest_check_data.host} is not a QEMU host; a guest '
            'migrates only between hosts with the same driver'
        )
    return dest_check_data.qemu


@contextlib.contextmanager
def _failures_as_check_errors() -> Iterator[None]:
    """Raise errors of libvirt and of files as MigrationPreCheckError."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise exception.MigrationPreCheckError(
            reason=error_message(error)
        ) from error
    except (OSError, exception.DiskFailed) as error:
        raise exception.MigrationPreCheckError(reason=str(error)) from error


def _disks_to_copy(
    domain: libvirt.virDomain, running: ElementTree.Element
) -> list[MigrateDisk]:
    """Return the disks that the guest can write to."""
    found = []
    for disk in running.iterfind("./devices/disk[@device='disk']"):
        source, driver = disk.find('source'), disk.find('driver')
        if source is None or disk.find('readonly') is not None:
            continue
        path = str(source.get('file'))
        kind = 'raw' if driver is None else str(driver.get('type'))
        base = (
            qcow2_header.read_backing_file(path) if kind == 'qcow2' else None
        )
        found.append(
            MigrateDisk(
                name=os.path.basename(path),
                size=domain.blockInfo(path)[0],
                format=kind,
                base=base and os.path.basename(base),
            )
        )
    return found


def _require_same_firmware(
    running: ElementTree.Element, dest: str, qemu: QemuDestination
) -> None:
    """Reject a destination with another UEFI firmware.

    QEMU copies the code of the firmware like memory, so its size must be the
    same; libvirt opens the file of the source's path.
    """
    loader = running.find("./os/loader[@type='pflash']")
    path = None if loader is None else loader.text
    if path != qemu.firmware:
        raise exception.MigrationPreCheckError(
            reason=f'the guest runs with the firmware {path or "of QEMU"}, '
            f'{dest} would use {qemu.firmware or "that of QEMU"}; install the '
            'same firmware on both hosts'
        )


def _require_spice(
    running: ElementTree.Element, dest: str, qemu: QemuDestination
) -> None:
    """Reject a destination whose QEMU lacks the guest's SPICE server."""
    if spice.has_spice(running) and not qemu.has_spice:
        raise exception.MigrationPreCheckError(
            reason=f'the guest has a SPICE server, and QEMU of {dest} has no '
            'SPICE; install it there (since Debian 13 '
            'qemu-system-modules-spice)'
        )


def _migration_mode(
    running: ElementTree.Element, dest: str, qemu: QemuDestination
) -> str:
    """Return 'live', 'pause' or 'post-copy'; reject an unsafe migration."""
    kind = running.get('type')
    if kind != qemu.virt_type:
        raise exception.MigrationPreCheckError(
            reason=f'the guest runs with virt_type {kind}, {dest} runs guests '
            f'with {qemu.virt_type} (option [libvirt] virt_type)'
        )
    path = running.findtext('./devices/emulator')
    versions = [qemu.qemu_version]
    if path:
        versions.append(qemu_version.get_version(path))
    if kind != 'qemu' or min(versions) >= qemu_version.MIN_SAFE_VERSION:
        return 'live'
    policy: str = CONF.libvirt.tcg_migration_policy
    if policy == 'refuse':
        raise exception.MigrationPreCheckError(
            reason='QEMU older than version 10 may corrupt the memory of a '
            'guest with emulated processors that migrates while it runs; '
            'install a newer one ([libvirt] emulator) or choose another '
            'policy ([libvirt] tcg_migration_policy)'
        )
    return 'live' if policy == 'trust' else policy
