# SPDX-License-Identifier: Apache-2.0
"""The snapshots of QEMU guests: qcow2 files without a backing file.

QEMU copies the disk of a guest that is on by a backup job: the copy is the
disk at the begin of the job, while the guest runs on and writes. qemu-img
copies the disk of a guest that is off; its lock of the disk keeps the guest
off meanwhile.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import cancellation
from minova import exception
from minova.conf import CONF
from minova.subprocesses import run
from minova.virt.driver import DiskSnapshot
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code
from minova.virt.libvirt.errors import translate_errors
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.root_disk import find_root_disk
from minova.virt.libvirt.root_disk import RootDisk
from minova.virt.libvirt.snapshot_files import SnapshotFiles
from minova.virt.libvirt.xml_elements import add

LOG = logging.getLogger(__name__)

#: Seconds between two looks at a backup job.
_POLL_INTERVAL: Final = 0.5
#: Seconds within which an aborted job ends.
_ABORT_TIMEOUT: Final = 30.0
#: Seconds for which libvirt waits for an answer of the guest agent. It would
#: wait for ever. A freeze writes the dirty pages of all file systems first.
_FREEZE_TIMEOUT: Final = 60
_AGENT_TIMEOUT: Final = 15
_BACKUP: Final = libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP


class QemuSnapshots:
    """The snapshots of a QEMU host; see ``driver.SnapshotInterface``."""

    def __init__(self, guests: Guests, disks: QemuDisks) -> None:
        self._guests = guests
        self._disks = disks
        self._files = SnapshotFiles(disks)

    def take_snapshot(
        self, uuid: str, image_id: str, quiesce: bool
    ) -> Iterator[TransferProgress]:
        """Copy the disk by a job of QEMU or by qemu-img."""
        with translate_os_errors(uuid):
            if self._files.find(uuid, image_id) is not None:
                return
        self._disks.require_disks(uuid)
        domain = self._guests.require(uuid)
        self._stop_copy(domain, image_id)
        with translate_errors(uuid):
            is_on = bool(domain.isActive())
        if not is_on or not (
            yield from self._back_up(domain, image_id, quiesce)
        ):
            self._convert(uuid, image_id)
        with translate_os_errors(uuid):
            self._files.commit(uuid, image_id, 'qcow2')

    def find_snapshot(self, uuid: str, image_id: str) -> DiskSnapshot | None:
        """Return a complete copy, None without one."""
        with translate_os_errors(uuid):
            return self._files.find(uuid, image_id)

    def remove_snapshot(self, uuid: str, image_id: str | None) -> None:
        """Abort the job that writes the copy; thaw the guest."""
        domain = self._guests.find(uuid)
        if domain is not None:
            self._stop_copy(domain, image_id)
        self._files.remove(uuid, image_id)

    # -- a guest that is off -------------------------------------------------

    def _convert(self, uuid: str, image_id: str) -> None:
        with translate_os_errors(uuid):
            part = self._files.prepare(uuid, image_id)
            compress = ['-c'] if CONF.libvirt.snapshot_compression else []
            run(
                *('qemu-img', 'convert', '-q', '-f', 'qcow2', '-O', 'qcow2'),
                *compress,
                *(self._disks.root_disk(uuid), part),
                timeout=None,
            )

    # -- a guest that is on --------------------------------------------------

    def _back_up(
        self, domain: libvirt.virDomain, image_id: str, quiesce: bool
    ) -> Generator[TransferProgress, None, bool]:
        """Copy the disk by a backup job; return whether the copy is complete.

        It is not when the guest went off meanwhile.
        """
        uuid = domain.UUIDString()
        root = find_root_disk(domain, self._disks)
        with translate_os_errors(uuid):
            part = self._files.prepare(uuid, image_id)
            size = qcow2.virtual_size(root.path, root.disk_format)
            run('qemu-img', 'create', '-q', '-f', 'qcow2', part, str(size))
        try:
            with translate_errors(uuid):
                self._begin_job(domain, _backup_xml(root, part), quiesce)
                while (stats := _job_stats(domain)) is not None:
                    yield _progress(stats)
                    cancellation.wait(_POLL_INTERVAL)
                problem = _find_problem(domain)
        except exception.GuestFailed:
            if _is_active(domain):
                raise
            problem = 'the guest went off'
        if problem is None:
            return True
        if _is_active(domain):
            raise exception.GuestFailed(
                instance_id=uuid, reason=f'its disk was not copied: {problem}'
            )
        LOG.info('Guest %s went off; copying its disk again', uuid)
        return False

    def _begin_job(
        self, domain: libvirt.virDomain, text: str, quiesce: bool
    ) -> None:
        """Begin the job; freeze the file systems for its first moment."""
        flags = libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL
        uuid = domain.UUIDString()
        state, _ = domain.state()
        freezes = quiesce and state == libvirt.VIR_DOMAIN_RUNNING
        try:
            if freezes:
                # Fails without an agent, before anything can be frozen.
                self._ask_agent(
                    domain, _AGENT_TIMEOUT, lambda dom: dom.getTime()
                )
                with translate_os_errors(uuid):
                    self._files.mark_frozen(uuid)
                self._ask_agent(
                    domain, _FREEZE_TIMEOUT, lambda dom: dom.fsFreeze()
                )
            self._guests.request(
                domain, lambda dom: dom.backupBegin(text, None, flags)
            )
        finally:
            if freezes:
                self._thaw(domain)

    def _ask_agent(
        self,
        domain: libvirt.virDomain,
        seconds: int,
        ask: Callable[[libvirt.virDomain], object],
    ) -> None:
        """Ask the guest agent; libvirtError if it does not answer in time."""

        def send(dom: libvirt.virDomain) -> None:
            dom.agentSetResponseTimeout(seconds, 0)
            ask(dom)

        self._guests.request(domain, send)

    def _thaw(self, domain: libvirt.virDomain) -> None:
        """Thaw the file systems if they may be frozen.

        A guest that is off has none that are frozen.
        """
        uuid = domain.UUIDString()
        if not self._files.is_frozen(uuid):
            return
        try:
            if domain.isActive():
                self._ask_agent(
                    domain, _AGENT_TIMEOUT, lambda dom: dom.fsThaw()
                )
        except libvirt.libvirtError as error:
            if domain.isActive():
                raise
            LOG.debug('Guest %s went off: %s', uuid, error_message(error))
        self._files.mark_thawed(uuid)

    def _stop_copy(
        self, domain: libvirt.virDomain, image_id: str | None
    ) -> None:
        """Abort a job that writes the copy, and thaw the guest."""
        uuid = domain.UUIDString()
        with translate_errors(uuid, ignore_missing=True):
            self._thaw(domain)
            if not self._is_writing(domain, image_id):
                return
            domain.abortJob()
            waited = 0.0
            while self._is_writing(domain, image_id):
                if waited > _ABORT_TIMEOUT:
                    raise exception.GuestFailed(
                        instance_id=uuid,
                        reason='QEMU does not end the copy of its disk, which '
                        f'was aborted {_ABORT_TIMEOUT:g} s ago',
                    )
                cancellation.wait(_POLL_INTERVAL)
                waited += _POLL_INTERVAL

    def _is_writing(
        self, domain: libvirt.virDomain, image_id: str | None
    ) -> bool:
        """Tell whether a backup job writes a copy with this id."""
        try:
            text = domain.backupGetXMLDesc()
        except libvirt.libvirtError as error:
            if has_error_code(
                error,
                libvirt.VIR_ERR_NO_DOMAIN_BACKUP,
                libvirt.VIR_ERR_OPERATION_INVALID,
                libvirt.VIR_ERR_NO_DOMAIN,
            ):
                return False
            raise
        backup = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
        folder = self._disks.snapshot_directory(domain.UUIDString())
        wanted = folder if image_id is None else f'{folder}/{image_id}.'
        return any(
            str(target.get('file')).startswith(wanted)
            for target in backup.iter('target')
        )


def _backup_xml(root: RootDisk, target: str) -> str:
    """Return libvirt's description of a copy of one disk to a file."""
    backup = ElementTree.Element('domainbackup', mode='push')
    disks = add(backup, 'disks')
    disk = add(disks, 'disk', name=root.device, backup='yes', type='file')
    add(disk, 'driver', type='qcow2')
    add(disk, 'target', file=target)
    for device in root.others:
        add(disks, 'disk', name=device, backup='no')
    return ElementTree.tostring(backup, encoding='unicode')


def _job_stats(domain: libvirt.virDomain) -> dict[str, int] | None:
    """Return the statistics of a running backup job, None without one."""
    stats: dict[str, int] = domain.jobStats()
    if stats.get('type', libvirt.VIR_DOMAIN_JOB_NONE) in (
        libvirt.VIR_DOMAIN_JOB_BOUNDED,
        libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
    ):
        return stats
    return None


def _progress(stats: dict[str, int]) -> TransferProgress:
    return TransferProgress(
        int(stats.get('disk_total', 0)), int(stats.get('disk_processed', 0))
    )


def _find_problem(domain: libvirt.virDomain) -> str | None:
    """Return why the last backup job did not succeed, None if it did."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED
    stats = domain.jobStats(flags)
    if stats.get('operation') != _BACKUP:
        return 'libvirt has no result of the backup job'
    if stats.get('type') == libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return None
    return str(stats.get('errmsg') or 'the backup job failed')


def _is_active(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError:
        return False
