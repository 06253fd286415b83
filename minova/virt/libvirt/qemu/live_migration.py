# SPDX-License-Identifier: Apache-2.0
"""Live migration between QEMU hosts, from libvirt to libvirt.

It is always peer to peer: the libvirt of the source talks to that of the
destination, and goes on when the compute that began it is killed. So nothing
of a move is known only here: whoever starts next finds libvirt's job, or a
guest that has gone. One thread per move waits for libvirt's word on how it
ended.

What the hosts tell each other before is the plan, which is kept with the
operation::

    check_can_live_migrate_destination     the destination says where and what it is
    check_can_live_migrate_source     the source adds how: block or shared, disks, mode
    pre_live_migration   the destination makes disks; 'incremental' says that
                        they are over the same image
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import shutil
from typing import Any
from typing import Final
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.states import POWERED_ON
from minova.virt import qemu_version
from minova.virt.driver import GuestSpec
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.libvirt import networks
from minova.virt.libvirt import qcow2_header
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import error_message
from minova.virt.libvirt.connection import has_error_code
from minova.virt.libvirt.connection import translate_errors
from minova.virt.libvirt.disks import extend_file
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.qemu import config_drive_migration
from minova.virt.libvirt.qemu import domain_jobs
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu.disks import missing_base_reason
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.shared_storage import SharedStorageProbe

LOG = logging.getLogger(__name__)

MigrateData = dict[str, Any]

_DOWNTIME_STEPS: Final = 10


@dataclasses.dataclass
class _MigrationJob:
    """A move that this process has begun; ``ended`` is libvirt's word."""

    final_status: MigrationStatus | None = None
    #: What libvirt was last told; 0: nothing yet.
    downtime: int = 0
    is_post_copy: bool = False


class QemuLiveMigration:
    """Live migration as a driver is asked for it."""

    def __init__(
        self,
        host_config: HostConfig,
        connection: Connection,
        guests: Guests,
        disks: QemuDisks,
    ) -> None:
        self._config = host_config
        self._host = host_config.host
        self._shared_storage = SharedStorageProbe(
            host_config.instances_path, host_config.host
        )
        self._connection = connection
        self._guests = guests
        self._disks = disks
        self._jobs: dict[str, _MigrationJob] = {}

    # -- at the destination, before ------------------------------------------

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: dict[str, Any],
        block_migration: bool | None,
    ) -> MigrateData:
        """Refuse what cannot come; tell where it would come to."""
        if self._guests.find(spec.uuid) is not None:
            raise exception.MigrationPreCheckError(
                reason=f'{self._host} still has a guest {spec.uuid}; it is '
                'removed when its power states are reconciled'
            )
        if self._config.virt_type == 'kvm':
            self._compare_cpu(source.get('cpu_info') or {})
        with _refusals_as_check_failures():
            return {
                'dest': self._host,
                'virt_type': self._config.virt_type,
                'emulator': self._config.emulator,
                'version': self._config.qemu_version(self._connection.get()),
                'places': list(self._config.file_directories),
                'vnc_listen': CONF.vnc.server_listen,
                'uri': self._config.live_migration_uri,
                'address': self._config.live_migration_inbound_addr,
                'probe': self._shared_storage.probe(),
                'has_disks': self._disks.has_visible_disks(spec.uuid),
                'missing_base': self._disks.missing_base(spec.uuid),
                'config_drive': config_drive_migration.drive_digest(spec),
                'free': shutil.disk_usage(self._config.instances_path).free,
                'over_commit': bool(source.get('disk_over_commit')),
            }

    def _compare_cpu(self, cpu_info: dict[str, Any]) -> None:
        if not cpu_info.get('model'):
            return
        with _refusals_as_check_failures():
            result = self._connection.get().compareCPU(xml.cpu_xml(cpu_info))
        if result <= libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
            raise exception.InvalidCPUInfo(
                reason=f'the processor of {self._host} lacks what guests of '
                f'the source were given ({cpu_info["model"]})'
            )

    def pre_live_migration(
        self, spec: GuestSpec, plan: MigrateData, image: str | None = None
    ) -> MigrateData:
        """Make the files that are copied into, where disks are copied."""
        uuid = spec.uuid
        networks.ensure_reservations(self._connection, uuid, spec.nics)
        if not plan['block_migration']:
            self._disks.require_shared(uuid)
            return {}
        # Over another image, or over none, everything would be copied.
        base = plan['disks'][0]['base']
        wanted = image if image and os.path.basename(image) == base else None
        with translate_os_errors(uuid):
            folder = self._disks.prepare_directory(uuid)
            config_drive_migration.write_drive(
                folder, plan.get('config_drive_content')
            )
            self._disks.create_auxiliary_files(spec)
            for disk in plan['disks']:
                path = os.path.join(folder, disk['name'])
                if not os.path.exists(path):
                    _create_target_disk(
                        path, disk, wanted, qcow2.image_format(spec.image)
                    )
            root = os.path.join(folder, plan['disks'][0]['name'])
            return {
                'incremental': qcow2_header.read_backing_file(root) is not None
            }

    def rollback_live_migration_at_destination(
        self, uuid: str, plan: MigrateData
    ) -> None:
        """Remove the guest, which the source has kept, and its copied disks.

        Disks that both hosts share are the source's.
        """
        self._guests.destroy(uuid)
        if plan['block_migration']:
            self._disks.remove_disks(uuid)

    # -- at the source, before -----------------------------------------------

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: MigrateData,
        block_migration: bool | None,
    ) -> MigrateData:
        """Find out whether storage is shared, and how the guest may move."""
        domain = self._guests.find(uuid)
        guest = self._guests.guest(uuid)
        if domain is None or guest is None or guest.power not in POWERED_ON:
            raise exception.MigrationPreCheckError(
                reason=f'guest {uuid} does not run at {self._host}'
            )
        with _refusals_as_check_failures():
            shared = self._shared_storage.is_visible(dest_check_data['probe'])
            self._check_storage(uuid, dest_check_data, block_migration, shared)
            running = ElementTree.fromstring(domain.XMLDesc())  # noqa: S314
            with self._guests.dedicated(domain) as dom:
                disks = _disks_to_copy(dom, running)
            mode = _migration_mode(running, dest_check_data)
            drive = None
            if not shared:
                self._check_free_space(uuid, dest_check_data, disks)
                drive = config_drive_migration.changed_drive(
                    self._disks.guest_directory(uuid),
                    dest_check_data.get('config_drive'),
                )
        return dest_check_data | {
            'config_drive_content': drive,
            'source': self._host,
            'block_migration': not shared,
            'disks': disks,
            'mode': mode,
            'tls': CONF.libvirt.live_migration_with_native_tls,
        }

    def _check_storage(
        self,
        uuid: str,
        dest_check_data: MigrateData,
        block: bool | None,
        shared: bool,
    ) -> None:
        path, dest = self._disks.guest_directory(uuid), dest_check_data['dest']
        if shared and block:
            raise exception.InvalidSharedStorage(
                path=path,
                reason=f'{self._host} and {dest} see the same files, so that '
                'there is nothing to copy; ask for no block migration',
            )
        # A host of an older release does not say.
        missing = dest_check_data.get('missing_base')
        if shared and missing is not None:
            raise exception.MigrationPreCheckError(
                reason=missing_base_reason(dest, missing)
            )
        if not shared and block is False:
            raise exception.InvalidLocalStorage(
                path=path,
                reason=f'{dest} does not see it; ask for block migration',
            )
        if not shared and dest_check_data['has_disks']:
            raise exception.MigrationPreCheckError(
                reason=f'{dest} still has disks of {uuid}; '
                '"minova-manage audit" tells whose they are'
            )

    def _check_free_space(
        self, uuid: str, dest_check_data: MigrateData, disks: list[MigrateData]
    ) -> None:
        if dest_check_data['over_commit']:
            needed = self._disks.bytes_used(uuid)
        else:
            needed = sum(disk['size'] for disk in disks)
        if needed > dest_check_data['free']:
            raise exception.MigrationPreCheckError(
                reason=f'{dest_check_data["dest"]} has {dest_check_data["free"]} bytes free, '
                f'the disks of {uuid} need {needed}'
            )

    # -- at the source, meanwhile --------------------------------------------

    def start_live_migration(
        self, uuid: str, dest: Peer, plan: MigrateData
    ) -> None:
        """Let libvirt begin, in a thread that waits for the end."""
        domain = self._guests.require(uuid)
        if self.migration_status(uuid).state == 'running':
            return
        guest = self._guests.guest(uuid)
        if guest is None or guest.power not in POWERED_ON:
            raise exception.GuestMigrationFailed(
                instance_id=uuid, reason='it is off'
            )
        with translate_errors(uuid):
            parameters = self._migrate_params(domain, plan)
        job = self._jobs[uuid] = _MigrationJob()
        clock.spawn(
            f'move-{uuid[:8]}',
            self._run_migration,
            uuid,
            plan,
            parameters,
            job,
        )

    def _run_migration(
        self,
        uuid: str,
        plan: MigrateData,
        parameters: dict[str, Any],
        job: _MigrationJob,
    ) -> None:
        """Be the thread that hears from libvirt how a move has ended."""
        try:
            with self._connection.dedicated() as conn:
                domain = conn.lookupByUUIDString(uuid)
                domain.migrateToURI3(plan['uri'], parameters, _flags(plan))
        except libvirt.libvirtError as error:
            aborted = has_error_code(error, libvirt.VIR_ERR_OPERATION_ABORTED)
            job.final_status = MigrationStatus(
                'cancelled' if aborted else 'failed', error_message(error)
            )
        except exception.GuestFailed as error:
            job.final_status = MigrationStatus('failed', str(error))
        else:
            job.final_status = MigrationStatus('completed')

    def _migrate_params(
        self, domain: Any, plan: MigrateData
    ) -> dict[str, Any]:
        places = dict(
            zip(self._config.file_directories, plan['places'], strict=True)
        )
        running, lasting = (
            xml.incoming_domain_xml(
                domain.XMLDesc(flags | libvirt.VIR_DOMAIN_XML_MIGRATABLE),
                places,
                plan['emulator'],
                plan['vnc_listen'],
            )
            for flags in (
                libvirt.VIR_DOMAIN_XML_SECURE,
                libvirt.VIR_DOMAIN_XML_SECURE
                | libvirt.VIR_DOMAIN_XML_INACTIVE,
            )
        )
        found: dict[str, Any] = {
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: running,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: lasting,
            libvirt.VIR_MIGRATE_PARAM_URI: f'tcp://{plan["address"]}',
        }
        if plan['block_migration']:
            found[libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS] = plan['address']
        if CONF.libvirt.live_migration_bandwidth:
            found[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = (
                CONF.libvirt.live_migration_bandwidth
            )
        return found

    def migration_status(self, uuid: str) -> MigrationStatus:
        """Ask libvirt for its job; then what the thread has heard."""
        job = self._jobs.get(uuid)
        domain = self._guests.find(uuid)
        under_way = (
            None
            if domain is None
            else domain_jobs.migration_job_status(uuid, domain)
        )
        if under_way is not None:
            return under_way
        if job is None:
            return MigrationStatus('none')
        return job.final_status or MigrationStatus('running')

    def tune_migration(
        self, uuid: str, plan: MigrateData, elapsed_seconds: float
    ) -> None:
        """Allow more downtime the longer it takes; go over to post-copy."""
        job = self._jobs.setdefault(
            uuid, _MigrationJob(final_status=MigrationStatus('none'))
        )
        domain = self._guests.find(uuid)
        if domain is None:
            return
        downtime = _downtime(elapsed_seconds)
        try:
            if downtime != job.downtime:
                with self._guests.dedicated(domain) as dom:
                    dom.migrateSetMaxDowntime(downtime)
                job.downtime = downtime
            if plan['mode'] == 'post-copy' and not job.is_post_copy:
                with self._guests.dedicated(domain) as dom:
                    dom.migrateStartPostCopy()
                job.is_post_copy = True
        except libvirt.libvirtError as error:
            # It has not begun, or has just ended; the next look tells.
            LOG.debug(
                'Guest %s is not hastened: %s', uuid, error_message(error)
            )

    def force_complete(self, uuid: str) -> None:
        """Let the guest stand still, or go on there with what has come."""
        domain = self._guests.require(uuid)
        with translate_errors(uuid):
            if self.migration_status(uuid).state != 'running':
                return
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                # It stands still already: there is nothing to wait for.
                return
            with self._guests.dedicated(domain) as dom:
                if CONF.libvirt.live_migration_permit_post_copy:
                    dom.migrateStartPostCopy()
                else:
                    dom.suspend()

    def abort_migration(self, uuid: str) -> None:
        """Ask libvirt to end its job."""
        domain = self._guests.find(uuid)
        if domain is None:
            return
        try:
            with self._guests.dedicated(domain) as dom:
                dom.abortJob()
        except libvirt.libvirtError as error:
            # It has not begun or is over; who asks looks again, and asks.
            if not has_error_code(error, libvirt.VIR_ERR_OPERATION_INVALID):
                raise exception.GuestFailed(
                    instance_id=uuid, reason=error_message(error)
                ) from error


# -- how ---------------------------------------------------------------------


@contextlib.contextmanager
def _refusals_as_check_failures() -> Iterator[None]:
    """Raise what libvirt or a file refuses as a check that failed."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise exception.MigrationPreCheckError(
            reason=error_message(error)
        ) from error
    except (OSError, exception.DiskFailed) as error:
        raise exception.MigrationPreCheckError(reason=str(error)) from error


def _disks_to_copy(
    domain: Any, running: ElementTree.Element
) -> list[MigrateData]:
    """Return the disks that are written to: name, size, format, image."""
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
            {
                'name': os.path.basename(path),
                'size': domain.blockInfo(path)[0],
                'format': kind,
                'base': base and os.path.basename(base),
            }
        )
    return found


def _create_target_disk(
    path: str, disk: MigrateData, image: str | None, image_format: str
) -> None:
    """Make the file that a disk is copied into, of exactly its size."""
    folder, name = os.path.split(path)
    part = os.path.join(folder, f'.{name}.part')
    if disk['format'] == 'qcow2':
        qcow2.make_overlay(part, disk['size'], image, image_format)
    else:
        with open(part, 'wb') as file:
            extend_file(file.fileno(), disk['size'])
    os.rename(part, path)


def _migration_mode(
    running: ElementTree.Element, dest_check_data: MigrateData
) -> str:
    """Return 'live', 'pause' or 'post-copy'; refuse what is not safe."""
    kind = running.get('type')
    if kind != dest_check_data['virt_type']:
        raise exception.MigrationPreCheckError(
            reason=f'the guest runs on {kind}, guests of {dest_check_data["dest"]} on '
            f'{dest_check_data["virt_type"]} ([libvirt] virt_type)'
        )
    path = running.findtext('./devices/emulator')
    versions = [dest_check_data['version']]
    if path:
        versions.append(qemu_version.get_version(path))
    if kind != 'qemu' or min(versions) >= qemu_version.MIN_SAFE_VERSION:
        return 'live'
    setting: str = CONF.libvirt.tcg_migration_policy
    if setting == 'refuse':
        raise exception.MigrationPreCheckError(
            reason='a QEMU older than 10 may corrupt the memory of a guest '
            'with emulated processors that moves while it runs; use a newer '
            'one ([libvirt] emulator) or another way ([libvirt] '
            'tcg_migration_policy)'
        )
    return 'live' if setting == 'trust' else setting


def _flags(plan: MigrateData) -> int:
    flags: int = (
        libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    )
    if plan['mode'] != 'pause':
        flags |= libvirt.VIR_MIGRATE_LIVE
        if CONF.libvirt.live_migration_permit_auto_converge:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if (
            CONF.libvirt.live_migration_permit_post_copy
            or plan['mode'] == 'post-copy'
        ):
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
    if not plan['block_migration']:
        # Proven by a file of ours, which libvirt does not know of.
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    elif plan.get('incremental'):
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
    else:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
    if plan['tls']:
        flags |= libvirt.VIR_MIGRATE_TLS
    return flags


def _downtime(seconds: float) -> int:
    """Return the milliseconds that a move may stop its guest after a while."""
    most: int = CONF.libvirt.live_migration_downtime
    delay = CONF.libvirt.live_migration_downtime_delay
    step = (
        _DOWNTIME_STEPS
        if not delay
        else min(_DOWNTIME_STEPS, 1 + int(seconds / delay))
    )
    return max(1, most * step // _DOWNTIME_STEPS)
