# SPDX-License-Identifier: Apache-2.0
"""Live migration between QEMU hosts, from libvirt to libvirt.

Every migration is peer to peer: the libvirt of the source talks to that of the
destination and goes on when the compute service that began the migration is
killed. The state of a migration is therefore libvirt's: after a restart the
service finds libvirt's job, or a guest that has left. One thread per migration
waits for libvirt's result.
"""

import dataclasses
import os
from typing import Final

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import MigrateDisk
from minova.objects.live_migrate_data import QemuMigrateData
from minova.virt.driver import GuestSpec
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.libvirt import networks
from minova.virt.libvirt import qcow2_header
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.qemu import config_drive_migration
from minova.virt.libvirt.qemu import domain_jobs
from minova.virt.libvirt.qemu import migration_plan
from minova.virt.libvirt.qemu import migration_xml
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.guests import QemuGuests
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.host_config import quote_address
from minova.virt.libvirt.qemu.live_migration_checks import LiveMigrationChecks
from minova.virt.libvirt.sparse_files import extend_file

LOG = logging.getLogger(__name__)

_DOWNTIME_STEPS: Final = 10


@dataclasses.dataclass
class _MigrationJob:
    """A migration that this process started.

    ``final_status`` is libvirt's result, None while the migration runs.
    ``downtime`` is the last value that libvirt was given, 0 before the first.
    """

    final_status: MigrationStatus | None = None
    downtime: int = 0
    is_post_copy: bool = False


class QemuLiveMigration(LiveMigrationChecks):
    """Live migration of QEMU guests; see ``driver.LiveMigrationInterface``."""

    def __init__(
        self,
        host_config: HostConfig,
        connection: Connection,
        guests: QemuGuests,
        disks: QemuDisks,
    ) -> None:
        super().__init__(host_config, connection, guests, disks)
        self._jobs: dict[str, _MigrationJob] = {}

    # -- at the destination --------------------------------------------------

    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """Create the files that a block migration copies into."""
        uuid = spec.uuid
        self._filters.ensure(uuid, spec.nics)
        networks.ensure_reservations(self._connection, uuid, spec.nics)
        qemu = _require_qemu(uuid, migrate_data).replace(
            cpu_binding=migration_xml.cpu_binding(
                spec, CONF.compute.cpu_shared_set
            )
        )
        if not migrate_data.block_migration:
            self._disks.require_shared(uuid)
            return migrate_data.replace(qemu=qemu)
        migration_plan.require_safe(self._disks, spec, qemu)
        # libvirt copies a whole disk unless both ends are overlays of the
        # same image.
        base = qemu.disks[0].base
        wanted = image if image and os.path.basename(image) == base else None
        with translate_os_errors(uuid):
            folder = self._disks.prepare_directory(uuid)
            self._disks.prepare_console_log(uuid)
            self._disks.prepare_nvram(uuid, self._guests.firmware(spec))
            config_drive_migration.write_drive(folder, qemu.config_drive)
            self._disks.create_auxiliary_files(spec)
            for disk in qemu.disks:
                path = os.path.join(folder, disk.name)
                if not os.path.exists(path):
                    _create_target_disk(
                        path, disk, wanted, qcow2.image_format(spec.image)
                    )
            root = os.path.join(folder, qemu.disks[0].name)
            has_base = qcow2_header.read_backing_file(root) is not None
        return migrate_data.replace(qemu=qemu.replace(incremental=has_base))

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """Remove the guest and its copied disks; the source keeps both.

        Shared disks belong to the source and stay.
        """
        self._guests.destroy(uuid)
        if migrate_data.block_migration:
            self._disks.remove_disks(uuid)

    # -- at the source -------------------------------------------------------

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """Start libvirt's job in a thread that waits for its result."""
        domain = self._guests.require(uuid)
        qemu = _require_qemu(uuid, migrate_data)
        block_migration = migrate_data.block_migration
        if self.migration_status(uuid).state == 'running':
            return
        guest = self._guests.guest(uuid)
        if guest is None or not guest.is_on:
            raise exception.GuestMigrationFailed(
                instance_id=uuid, reason='the guest is off'
            )
        with translate_errors(uuid):
            params = self._migrate_params(domain, qemu, block_migration)
        job = self._jobs[uuid] = _MigrationJob()
        clock.spawn(
            f'migrate-{uuid[:8]}',
            self._run_migration,
            uuid,
            self._config.destination_uri(qemu.destination.inbound_address),
            params,
            _flags(qemu, block_migration),
            job,
        )

    def _run_migration(
        self,
        uuid: str,
        uri: str,
        params: dict[str, str | int],
        flags: int,
        job: _MigrationJob,
    ) -> None:
        """Run libvirt's blocking call and keep its result in ``job``."""
        try:
            with self._connection.dedicated() as conn:
                domain = conn.lookupByUUIDString(uuid)
                domain.migrateToURI3(uri, params, flags)
        except libvirt.libvirtError as error:
            aborted = has_error_code(error, libvirt.VIR_ERR_OPERATION_ABORTED)
            job.final_status = MigrationStatus(
                'cancelled' if aborted else 'failed', error_message(error)
            )
        except exception.GuestFailed as error:
            job.final_status = MigrationStatus('failed', str(error))
        except Exception as error:
            # The step that watches the job must get a result.
            LOG.exception('Live migration of %s failed unexpectedly', uuid)
            job.final_status = MigrationStatus('failed', str(error))
        else:
            job.final_status = MigrationStatus('completed')

    def _migrate_params(
        self,
        domain: libvirt.virDomain,
        qemu: QemuMigrateData,
        block_migration: bool,
    ) -> dict[str, str | int]:
        dest = qemu.destination
        address = quote_address(dest.inbound_address)
        path_map = {
            self._config.instances_path: dest.instances_path,
            self._config.image_cache_path: dest.image_cache_path,
        }
        running, persistent = (
            migration_xml.incoming_domain_xml(
                domain.XMLDesc(flags | libvirt.VIR_DOMAIN_XML_MIGRATABLE),
                path_map,
                dest.emulator,
                dest.vnc_listen,
                qemu.cpu_binding,
            )
            for flags in (
                libvirt.VIR_DOMAIN_XML_SECURE,
                libvirt.VIR_DOMAIN_XML_SECURE
                | libvirt.VIR_DOMAIN_XML_INACTIVE,
            )
        )
        params: dict[str, str | int] = {
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: running,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: persistent,
            libvirt.VIR_MIGRATE_PARAM_URI: f'tcp://{address}',
        }
        if block_migration:
            params[libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS] = (
                dest.inbound_address
            )
        if CONF.libvirt.live_migration_bandwidth:
            params[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = (
                CONF.libvirt.live_migration_bandwidth
            )
        return params

    def migration_status(self, uuid: str) -> MigrationStatus:
        """Return libvirt's job, or else the result that the thread kept."""
        # In this order: a job that ends in between has a result in ``job``.
        job = self._jobs.get(uuid)
        domain = self._guests.find(uuid)
        if domain is not None:
            running = domain_jobs.migration_job_status(uuid, domain)
            if running is not None:
                return running
        if job is None:
            return MigrationStatus('none')
        return job.final_status or MigrationStatus('running')

    def tune_migration(
        self,
        uuid: str,
        migrate_data: LiveMigrateData,
        elapsed_seconds: float,
    ) -> None:
        """Raise the permitted downtime in steps; switch to post-copy."""
        qemu = _require_qemu(uuid, migrate_data)
        job = self._jobs.setdefault(
            uuid, _MigrationJob(final_status=MigrationStatus('none'))
        )
        domain = self._guests.find(uuid)
        if domain is None:
            return
        downtime = _downtime(elapsed_seconds)
        try:
            if downtime != job.downtime:
                self._guests.request(
                    domain, lambda dom: dom.migrateSetMaxDowntime(downtime)
                )
                job.downtime = downtime
            if qemu.mode == 'post-copy' and not job.is_post_copy:
                self._guests.request(
                    domain, lambda dom: dom.migrateStartPostCopy()
                )
                job.is_post_copy = True
        except libvirt.libvirtError as error:
            # The job has not begun or has just ended. The caller reads the
            # status next.
            LOG.debug(
                'Guest %s: the migration was not tuned: %s',
                uuid,
                error_message(error),
            )

    def force_complete(self, uuid: str) -> None:
        """Pause the guest, or switch to post-copy where it is permitted."""
        domain = self._guests.require(uuid)
        with translate_errors(uuid):
            if self.migration_status(uuid).state != 'running':
                return
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                # A paused guest changes no memory: the job ends by itself.
                return
            if CONF.libvirt.live_migration_permit_post_copy:
                self._guests.request(
                    domain, lambda dom: dom.migrateStartPostCopy()
                )
            else:
                self._guests.request(domain, lambda dom: dom.suspend())

    def abort_migration(self, uuid: str) -> None:
        """Abort libvirt's job."""
        domain = self._guests.find(uuid)
        if domain is None:
            return
        try:
            with self._guests.dedicated(domain) as dom:
                dom.abortJob()
        except libvirt.libvirtError as error:
            # The job has not begun or is over. The caller repeats the call
            # as long as the migration runs.
            if not has_error_code(error, libvirt.VIR_ERR_OPERATION_INVALID):
                raise exception.GuestFailed(
                    instance_id=uuid, reason=error_message(error)
                ) from error


def _require_qemu(uuid: str, migrate_data: LiveMigrateData) -> QemuMigrateData:
    """Return the QEMU part, which the checks of QEMU hosts always add."""
    if migrate_data.qemu is None:
        raise exception.GuestMigrationFailed(
            instance_id=uuid,
            reason=f'{migrate_data.source_host} and {migrate_data.dest_host} '
            'did not agree on a migration between QEMU hosts',
        )
    return migrate_data.qemu


def _create_target_disk(
    path: str, disk: MigrateDisk, image: str | None, image_format: str
) -> None:
    """Create the file that a disk is copied into, with the disk's size."""
    folder, name = os.path.split(path)
    part = os.path.join(folder, f'.{name}.part')
    if disk.format == 'qcow2':
        qcow2.make_overlay(part, disk.size, image, image_format)
    else:
        with open(part, 'wb') as file:
            extend_file(file.fileno(), disk.size)
    os.rename(part, path)


def _flags(qemu: QemuMigrateData, block_migration: bool) -> int:
    flags: int = (
        libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    )
    if qemu.mode != 'pause':
        flags |= libvirt.VIR_MIGRATE_LIVE
        if CONF.libvirt.live_migration_permit_auto_converge:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if (
            CONF.libvirt.live_migration_permit_post_copy
            or qemu.mode == 'post-copy'
        ):
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
    if not block_migration:
        # The probe proved that storage is shared; libvirt cannot know.
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    elif qemu.incremental:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
    else:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
    if qemu.tls:
        flags |= libvirt.VIR_MIGRATE_TLS
    return flags


def _downtime(seconds: float) -> int:
    """Return the permitted downtime, in milliseconds, after ``seconds``."""
    most: int = CONF.libvirt.live_migration_downtime
    delay = CONF.libvirt.live_migration_downtime_delay
    step = (
        _DOWNTIME_STEPS
        if not delay
        else min(_DOWNTIME_STEPS, 1 + int(seconds / delay))
    )
    return max(1, most * step // _DOWNTIME_STEPS)
