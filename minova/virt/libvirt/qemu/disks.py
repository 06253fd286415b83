# SPDX-License-Identifier: Apache-2.0
"""The disks of one QEMU host: overlays of images, maybe on shared storage."""

from collections.abc import Iterator
import contextlib
import os

from minova import exception
from minova.objects.transfer_ticket import TransferTicket
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.libvirt import qcow2_header
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.firmware import Firmware
from minova.virt.libvirt.qemu import nvram
from minova.virt.libvirt.qemu import qcow2
from minova.virt.libvirt.qemu import tpm_state
from minova.virt.libvirt.qemu.disk_ownership import write_owner
from minova.virt.libvirt.qemu.disk_transfer import TransferableDisks
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.overlay_checks import OverlayChecker
from minova.virt.libvirt.qemu.qcow2 import BOOT_DISKS
from minova.virt.libvirt.qemu.qcow2 import OverlayBackend


def missing_base_reason(host: str, base: str) -> str:
    """Return the error of a host that shares disks but lacks their image."""
    return (
        f'{host} shares the disk but lacks its image {base}; hosts that share '
        '[libvirt] instances_path must also share [compute] '
        'image_cache_directory, at the same path'
    )


class QemuDisks(TransferableDisks):
    """The disks of the guests of a QEMU host."""

    def __init__(self, host_config: HostConfig) -> None:
        super().__init__(
            host_config.instances_path,
            OverlayBackend(),
            host_config.host,
            OverlayChecker(host_config.image_cache_path, BOOT_DISKS),
        )
        self._tpms = tpm_state.from_config(host_config.connection_uri)

    def has_disks(self, uuid: str) -> bool:
        """Return whether the root disk and its image exist here."""
        return super().has_disks(uuid) and not self.missing_base(uuid)

    def has_visible_disks(self, uuid: str) -> bool:
        """Return whether the root disk exists here; any host may own it."""
        return os.path.exists(self._root_disk(uuid))

    def missing_base(self, uuid: str) -> str | None:
        """Return the image of the root disk if the image is missing here.

        None also without an image and without a root disk.
        """
        if not self.has_visible_disks(uuid):
            return None
        with translate_os_errors(uuid):
            base = qcow2_header.read_backing_file(self._root_disk(uuid))
        return None if base is None or os.path.exists(base) else base

    def prepare_directory(self, uuid: str) -> str:
        """Create and own the directory of a guest's disks; return it."""
        folder = self.guest_directory(uuid)
        os.makedirs(folder, exist_ok=True)
        write_owner(folder, self.host)
        return folder

    def prepare_console_log(self, uuid: str) -> None:
        """Create the console log, to which virtlogd appends.

        virtlogd would create a file that only root may read.
        """
        # No directory: no disks yet. No permission: a file of virtlogd.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
            os.close(os.open(self.console_log(uuid), flags, 0o660))

    def prepare_nvram(self, uuid: str, firmware: Firmware | None) -> None:
        """Create the missing variables of a guest with UEFI firmware."""
        if firmware is not None:
            with translate_os_errors(uuid):
                nvram.prepare(
                    self.guest_directory(uuid),
                    self._retained_directory(uuid),
                    firmware,
                )

    # -- the state of the TPM ------------------------------------------------

    @property
    def has_tpms(self) -> bool:
        """Whether this service can move the states of TPMs."""
        return self._tpms.is_usable()

    def save_tpm(self, uuid: str) -> None:
        """Copy the state of the TPM of a guest that is off to its disks."""
        if self.is_owned(uuid):
            with translate_os_errors(uuid):
                self._tpms.save(uuid, self.guest_directory(uuid))

    def install_tpm(self, uuid: str) -> None:
        """Use the copy of the state of the TPM for a guest that is off."""
        with translate_os_errors(uuid):
            self._tpms.install(uuid, self.guest_directory(uuid))

    def discard_tpm_copy(self, uuid: str) -> None:
        """Remove the copy of the state before the guest changes it."""
        with translate_os_errors(uuid):
            self._tpms.discard_copy(self.guest_directory(uuid))

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Iterator[TransferProgress]:
        """Send the disks with the state of the TPM."""
        self.save_tpm(uuid)
        yield from super().send_disks(uuid, dest, transfer_ticket)

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Retain the disks with the state of the TPM."""
        self.save_tpm(uuid)
        super().retain_disks(uuid, copy)

    def require_shared(self, uuid: str) -> None:
        """Require the shared disks of another host and their image."""
        if not self.has_visible_disks(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'{self.host} does not see the shared disk '
                f'{self._root_disk(uuid)}',
            )
        base = self.missing_base(uuid)
        if base is not None:
            raise exception.DiskMissing(
                instance_id=uuid, reason=missing_base_reason(self.host, base)
            )

    def has_shared_disks(self, uuid: str) -> bool:
        """Return whether the root disk is here and another host owns it."""
        if self.is_owned(uuid) or not self.has_visible_disks(uuid):
            return False
        self.require_shared(uuid)
        return True

    def set_disk_owner(self, uuid: str, host: str) -> None:
        """Change the owner while no QEMU has the root disk open."""
        self.require_shared(uuid)
        if self.get_owner(uuid) == host:
            return
        with translate_os_errors(uuid):
            qcow2.require_unlocked(self._root_disk(uuid))
            self.set_owner(uuid, host)

    def take_ownership(self, uuid: str) -> None:
        """Own the disks of a guest that arrived running."""
        if os.path.isdir(self.guest_directory(uuid)) and not self.is_owned(
            uuid
        ):
            with translate_os_errors(uuid):
                self.set_owner(uuid, self.host)
